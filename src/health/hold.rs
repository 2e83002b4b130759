//! [`Hold`]: one check's status, which does not follow every look.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::{Patience, Status};

/// One check as it stands; what goes on at the moment is not kept over a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Hold {
    /// How it stands.
    pub status: Status,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What was measured last.
    pub value: Option<f32>,
    /// Looks in a row that contradict the status.
    #[serde(skip)]
    streak: Option<(u32, Duration)>,
}

impl Hold {
    /// Takes in one look's answer, at a time on any clock that never goes back; returns the status before if it has changed.
    pub fn feed(
        &mut self,
        wrong: bool,
        value: f32,
        at: Duration,
        wall: Timestamp,
        patience: Patience,
    ) -> Option<Status> {
        self.value = value.is_finite().then_some(value);
        if wrong == (self.status == Status::Abnormal) && self.status != Status::Untested {
            self.streak = None;
            return None;
        }
        let (looks, first) = self.streak.map_or((1, at), |(looks, first)| (looks.saturating_add(1), first));
        if !wrong && self.status == Status::Untested {
            return Some(self.turn(Status::Normal, wall));
        }
        let (looks_needed, seconds) = if wrong {
            (patience.looks_on, patience.seconds_on)
        } else {
            (patience.looks_off, patience.seconds_off)
        };
        if looks >= looks_needed && at.saturating_sub(first).as_secs_f64() >= seconds {
            return Some(self.turn(if wrong { Status::Abnormal } else { Status::Normal }, wall));
        }
        self.streak = Some((looks, first));
        None
    }

    /// Whether the last look was wrong, however things stand.
    pub fn is_suspected(&self) -> bool {
        (self.status == Status::Abnormal) != self.streak.is_some()
    }

    /// Sets it without patience.
    pub fn turn(&mut self, status: Status, wall: Timestamp) -> Status {
        self.streak = None;
        self.since = Some(wall);
        std::mem::replace(&mut self.status, status)
    }
}
