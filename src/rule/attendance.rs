//! For how long somebody has been beside what is in a zone: of the zone, not of one object, for vendors walk about.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::frame::Captured;

use super::gap::later;

/// Whether somebody is beside what is in a zone, and since when.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Attendance {
    attended: Option<Attended>,
}

/// Somebody is or was beside what is in the zone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Attended {
    from: Captured,
    last: Captured,
    /// When something was last in the zone.
    there: Captured,
}

impl Attendance {
    /// Since when it has been attended.
    pub fn from(&self) -> Option<Captured> {
        self.attended.map(|attended| attended.from)
    }

    /// Notes whether something is in the zone and, if somebody is beside it now, since when it has been attended. Nobody is
    /// missed for `unattended_s`, nor in a `gap` in which nobody looked. Once that has lasted for the dwell time, the thing
    /// holds the zone by itself: a stall whose vendor is away for lunch is not gone.
    pub fn look(
        &mut self,
        at: &Captured,
        gap: Option<Duration>,
        there: bool,
        since: Option<Captured>,
        unattended_s: f64,
        rule: &Rule,
    ) {
        if let (Some(gap), Some(attended)) = (gap, &mut self.attended) {
            (attended.last, attended.there) = (later(&attended.last, gap), later(&attended.there, gap));
        }
        if let Some(attended) = &mut self.attended {
            if there {
                attended.there = *at;
            }
            let held = attended.last.seconds_since(&attended.from) + unattended_s >= rule.dwell_s;
            let seen = if held { attended.there } else { attended.last };
            let patience_s = if held { rule.clear_s } else { unattended_s };
            if at.seconds_since(&seen) > patience_s {
                self.attended = None;
            }
        }
        if let Some(since) = since {
            let from = self.from().unwrap_or(since);
            self.attended = Some(Attended { from, last: *at, there: *at });
        }
    }
}
