//! `[[zone]]`: a polygon in a camera's picture and what may not happen in it.

use std::sync::Arc;

use super::{Rule, Scenario};
use crate::geometry::{Point, Polygon};
use crate::observation::ZoneId;

/// When a zone is watched: every day or on some weekdays, in one or several spans of local time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hours {
    /// Spans `(weekday bit mask, Monday = bit 0; from minute of day; to minute of day)`; `to < from` runs over midnight. Empty: always.
    pub spans: Vec<(u8, u16, u16)>,
}

impl Hours {
    /// Whether the zone is watched at this local time.
    pub fn contains(&self, local: &jiff::civil::DateTime) -> bool {
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let today = 1u8 << local.weekday().to_monday_zero_offset();
        let yesterday = 1u8 << (local.weekday().to_monday_zero_offset() + 6) % 7;
        self.spans.is_empty()
            || self.spans.iter().any(|&(days, from, to)| {
                if from <= to {
                    days & today != 0 && (from..to).contains(&minute)
                } else {
                    (days & today != 0 && minute >= from) || (days & yesterday != 0 && minute < to)
                }
            })
    }
}

/// A facade's place in the picture, so that falls can be measured in metres.
#[derive(Debug, Clone, PartialEq)]
pub struct Facade {
    /// Picture points of the facade's rectangle: bottom left, bottom right, top right, top left.
    pub corners: [Point; 4],
    /// Height above ground of the bottom edge, in metres.
    pub bottom_m: f32,
    /// Height above ground of the top edge, in metres.
    pub top_m: f32,
    /// Width of the rectangle in metres.
    pub width_m: f32,
    /// Height of one floor in metres, if floors should be named.
    pub floor_m: Option<f32>,
}

/// A polygon in a camera's picture and what may not happen in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its id, unique on its camera.
    pub id: ZoneId,
    /// Its name for people.
    pub name: String,
    /// Short hash of everything that shapes its verdicts; events carry it.
    pub revision: String,
    /// Where it is, in ratios of the picture.
    pub polygon: Polygon,
    /// What is watched for.
    pub scenario: Arc<Scenario>,
    /// The scenario's rule with this zone's own settings put over it.
    pub rule: Rule,
    /// When it is watched.
    pub hours: Hours,
    /// The facade, for thrown objects.
    pub facade: Option<Facade>,
}
