//! Times in which nobody looked: the camera was away, or others were visited (patrol). What happened then, nobody knows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::frame::Captured;

/// Notices them between the looks of one judge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Looks {
    gap_s: f64,
    last: Option<Captured>,
}

impl Looks {
    /// Nobody has looked yet.
    pub fn new(rule: &Rule) -> Self {
        Self { gap_s: rule.gap_s, last: None }
    }

    /// Notes a look; gives the time since the one before if that was too long to know what happened in between.
    pub fn after_gap(&mut self, at: &Captured) -> Option<Duration> {
        let last = self.last.replace(*at)?;
        (at.seconds_since(&last) > self.gap_s).then(|| at.media.saturating_sub(last.media))
    }
}

/// The same moment as seen by a clock that stood still meanwhile.
pub fn later(moment: &Captured, by: Duration) -> Captured {
    Captured { media: moment.media + by, ..*moment }
}
