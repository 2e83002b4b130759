//! The dwell clock of a zone: how long something has stayed, in seconds of capture time, and what that amounts to.
//!
//! | happens | policy |
//! |---|---|
//! | missed for less than `clear_s` | bridged: the dwell goes on as if it had been seen |
//! | missed for most of the time | never confirmed: at least half of the dwell must have been seen |
//! | a brief sight before `suspect_s` | forgotten once it is missed for longer than it was seen |
//! | no look for more than `gap_s` | the gap adds nothing and clears nothing |
//! | one look without it | never clears: two looks, `clear_s` apart or more, must agree |

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::frame::Captured;
use crate::observation::Stage;

/// Least share of the dwell in which the matter was really seen.
const SEEN_SHARE_MIN: f64 = 0.5;

/// What stays in a zone, from first sight to clearance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matter {
    /// When it was first seen.
    pub first_seen: Captured,
    /// When it was last seen.
    pub last_seen: Captured,
    /// When the dwell time was complete.
    pub confirmed_at: Option<Captured>,
    /// How far it has come; `None` before `suspect_s`.
    pub stage: Option<Stage>,
    /// Seconds for which it has stayed, short misses included, long gaps not.
    pub dwell_s: f64,
    /// Seconds between looks that both saw it, and half of those between looks of which one did.
    seen_s: f64,
    /// Seconds since it was last seen, long gaps not counted.
    missed_s: f64,
    /// Seconds for which it has been gone, from half-way between the looks that saw it last and missed it first; `None` if
    /// the latest look saw it.
    absent_s: Option<f64>,
}

/// Whether a look at the zone saw the matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen {
    /// It is not there.
    No,
    /// It is there; `since` is given if it is known since when what is there now has been there.
    Yes {
        /// Begin of the dwell when it first counts, and its upper bound until it is confirmed.
        since: Option<Captured>,
    },
}

/// The dwell clock of one zone; it belongs to the zone and knows no track ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dwell {
    suspect_s: f64,
    dwell_s: f64,
    clear_s: f64,
    gap_s: f64,
    matter: Option<Matter>,
    looked: Option<Captured>,
}

impl Dwell {
    /// A clock at rest, with the rule's times.
    pub fn new(rule: &Rule) -> Self {
        Self {
            suspect_s: rule.suspect_s,
            dwell_s: rule.dwell_s,
            clear_s: rule.clear_s,
            gap_s: rule.gap_s,
            matter: None,
            looked: None,
        }
    }

    /// What stays in the zone now.
    pub fn matter(&self) -> Option<&Matter> {
        self.matter.as_ref()
    }

    /// Takes one look; gives the stage that was reached by it, with the matter as it stands (or stood, when cleared).
    pub fn look(&mut self, at: &Captured, seen: Seen) -> Option<(Stage, Matter)> {
        let passed_s = self.looked.map_or(0.0, |looked| at.seconds_since(&looked));
        let counted_s = if passed_s <= self.gap_s { passed_s } else { 0.0 };
        self.looked = Some(*at);
        match seen {
            Seen::Yes { since } => self.see(at, since, counted_s),
            Seen::No => self.miss(counted_s),
        }
    }

    /// Ends the matter whatever its state; gives it if it had become anything.
    pub fn end(&mut self) -> Option<(Stage, Matter)> {
        self.looked = None;
        self.matter.take().filter(|m| m.stage.is_some()).map(|m| (Stage::Cleared, m))
    }

    /// Carries a matter over a restart: its dwell goes on from where it was, the time in between counts for nothing.
    pub fn resume(&mut self, matter: Matter) {
        self.matter = Some(matter);
        self.looked = None;
    }

    fn see(&mut self, at: &Captured, since: Option<Captured>, counted_s: f64) -> Option<(Stage, Matter)> {
        // It may be known to have stood there before it first counted.
        let first_seen = since.unwrap_or(*at);
        let known_s = at.seconds_since(&first_seen);
        let fresh = Matter {
            first_seen,
            last_seen: *at,
            confirmed_at: None,
            stage: None,
            dwell_s: known_s,
            seen_s: known_s,
            missed_s: 0.0,
            absent_s: None,
        };
        // What happened before the first sight is not dwell.
        let counted_s = if self.matter.is_some() { counted_s } else { 0.0 };
        let matter = self.matter.get_or_insert(fresh);
        // Between a look that saw it and one that did not, it was there for half of the time.
        let share = if matter.absent_s.take().is_none() { 1.0 } else { 0.5 };
        matter.seen_s += share * counted_s;
        matter.dwell_s += matter.missed_s + counted_s;
        matter.missed_s = 0.0;
        matter.last_seen = *at;
        if let (Some(since), None) = (since, matter.confirmed_at) {
            if matter.dwell_s > at.seconds_since(&since) {
                matter.dwell_s = at.seconds_since(&since);
                matter.first_seen = since;
            }
            matter.seen_s = matter.seen_s.min(matter.dwell_s);
        }
        let often = matter.seen_s >= SEEN_SHARE_MIN * matter.dwell_s;
        if matter.stage != Some(Stage::Confirmed) && matter.dwell_s >= self.dwell_s && often {
            matter.stage = Some(Stage::Confirmed);
            matter.confirmed_at = Some(*at);
        } else if matter.stage.is_none() && matter.dwell_s >= self.suspect_s {
            matter.stage = Some(Stage::Suspected);
        } else {
            return None;
        }
        matter.stage.map(|stage| (stage, matter.clone()))
    }

    fn miss(&mut self, counted_s: f64) -> Option<(Stage, Matter)> {
        let matter = self.matter.as_mut()?;
        matter.missed_s += counted_s;
        if matter.absent_s.is_none() {
            matter.seen_s += 0.5 * counted_s;
        }
        let absent_s = matter.absent_s.map(|s| s + counted_s);
        matter.absent_s = Some(absent_s.unwrap_or(0.5 * counted_s));
        let limit_s = if matter.stage.is_none() { self.clear_s.min(matter.seen_s) } else { self.clear_s };
        if absent_s? < limit_s {
            return None;
        }
        self.matter.take().filter(|m| m.stage.is_some()).map(|m| (Stage::Cleared, m))
    }
}
