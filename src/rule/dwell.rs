//! The dwell clock of a zone: how long something has stayed, in seconds of capture time, and what that amounts to.
//!
//! | happens | policy |
//! |---|---|
//! | missed for less than `clear_s` | bridged: the dwell goes on as if it had been seen |
//! | missed for most of the time | never confirmed: it must have been seen in half of the looks' time at least |
//! | a brief sight before `suspect_s` | forgotten once it is missed for longer than it was seen |
//! | no look for more than `gap_s` | clears nothing, unless it was missed before and after; see the next three |
//! | ... then the same object in the same place | the gap counts as dwell, up to `unseen_max_s`, and is declared as unseen |
//! | ... the same, but the gap was longer than that | the gap adds nothing, the dwell goes on |
//! | ... then another object | its own time begins; what is confirmed already stays so |
//! | one look without it | never clears: two looks, `clear_s` apart or more, must agree |

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::frame::Captured;
use crate::observation::Stage;

/// Least share of the dwell in which the matter was really seen, times without looks left out.
const SEEN_SHARE_MIN: f64 = 0.5;
/// Most gaps remembered: a day of a patrol that comes every half hour.
const GAPS_MAX: usize = 48;

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
    /// Seconds for which it has stayed, short misses included, and gaps after which the same object was there.
    pub dwell_s: f64,
    /// How many of these nobody looked.
    #[serde(default)]
    pub unseen_s: f64,
    /// Seconds between looks that both saw it, and half of those between looks of which one did.
    seen_s: f64,
    /// Seconds since it was last seen, long gaps not counted.
    missed_s: f64,
    /// Seconds for which it has been gone, from half-way between the looks that saw it last and missed it first; `None` if
    /// the latest look saw it.
    absent_s: Option<f64>,
    /// Seconds of long gaps since it was last seen.
    #[serde(default)]
    away_s: f64,
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
        /// Since when the oldest of what is there now has been known: after a gap this tells whether it is another object.
        /// `None`: nobody can tell, so it counts as another.
        known: Option<Captured>,
    },
}

impl Seen {
    /// It is there and has been since then.
    pub fn since(since: Captured) -> Self {
        Self::Yes { since: Some(since), known: Some(since) }
    }
}

/// The dwell clock of one zone; it belongs to the zone and knows no track ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dwell {
    suspect_s: f64,
    dwell_s: f64,
    clear_s: f64,
    gap_s: f64,
    unseen_max_s: f64,
    matter: Option<Matter>,
    looked: Option<Captured>,
    /// Times without looks, from and until in media time, the latest last.
    gaps: VecDeque<(Duration, Duration)>,
}

impl Dwell {
    /// A clock at rest, with the rule's times.
    pub fn new(rule: &Rule) -> Self {
        Self {
            suspect_s: rule.suspect_s,
            dwell_s: rule.dwell_s,
            clear_s: rule.clear_s,
            gap_s: rule.gap_s,
            unseen_max_s: rule.unseen_max_s,
            matter: None,
            looked: None,
            gaps: VecDeque::new(),
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
        if let Some(looked) = self.looked.replace(*at)
            && passed_s > self.gap_s
        {
            if self.gaps.len() == GAPS_MAX {
                self.gaps.pop_front();
            }
            self.gaps.push_back((looked.media, at.media));
            if let Some(matter) = &mut self.matter {
                matter.away_s += passed_s;
            }
        }
        match seen {
            Seen::Yes { since, known } => self.see(at, since, known, counted_s),
            Seen::No => self.miss(counted_s, passed_s),
        }
    }

    /// Ends the matter whatever its state; gives it if it had become anything.
    pub fn end(&mut self) -> Option<(Stage, Matter)> {
        self.looked = None;
        self.matter.take().filter(|m| m.stage.is_some()).map(|m| (Stage::Cleared, m))
    }

    /// Seconds since a moment in which nobody looked: in gaps that count as dwell if the same object was there before and
    /// after them, and in those that are too long for that.
    fn unseen_since(&self, since: &Captured) -> (f64, f64) {
        let (mut counting_s, mut lost_s) = (0.0, 0.0);
        for (from, until) in &self.gaps {
            let within_s = until.saturating_sub(since.media.max(*from)).as_secs_f64();
            let counts = until.saturating_sub(*from).as_secs_f64() <= self.unseen_max_s;
            *(if counts { &mut counting_s } else { &mut lost_s }) += within_s;
        }
        (counting_s, lost_s)
    }

    /// Something that is there now and has been for as long as is known.
    fn fresh(&self, at: &Captured, since: Option<Captured>) -> Matter {
        let first_seen = since.unwrap_or(*at);
        let (unseen_s, lost_s) = self.unseen_since(&first_seen);
        let dwell_s = (at.seconds_since(&first_seen) - lost_s).max(0.0);
        Matter {
            first_seen,
            last_seen: *at,
            confirmed_at: None,
            stage: None,
            dwell_s,
            unseen_s: unseen_s.min(dwell_s),
            seen_s: (dwell_s - unseen_s).max(0.0),
            missed_s: 0.0,
            absent_s: None,
            away_s: 0.0,
        }
    }

    /// After a gap: if the same object was there before it, the gap counts; if another one has come, it has its own time.
    fn bridge(&mut self, at: &Captured, since: Option<Captured>, known: Option<Captured>) {
        let Some(matter) = &mut self.matter else { return };
        let away_s = std::mem::take(&mut matter.away_s);
        if away_s == 0.0 {
            return;
        }
        let same = known.is_some_and(|known| known.media <= matter.last_seen.media);
        if same && away_s <= self.unseen_max_s {
            matter.dwell_s += away_s;
            matter.unseen_s += away_s;
        } else if !same && matter.confirmed_at.is_none() {
            let stage = matter.stage;
            self.matter = Some(Matter { stage, ..self.fresh(at, since.or(known)) });
        }
    }

    fn see(
        &mut self,
        at: &Captured,
        since: Option<Captured>,
        known: Option<Captured>,
        counted_s: f64,
    ) -> Option<(Stage, Matter)> {
        self.bridge(at, since, known);
        // It may be known to have stood there before it first counted.
        let fresh = self.fresh(at, since);
        let unseen_s = fresh.unseen_s;
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
                matter.unseen_s = matter.unseen_s.min(unseen_s);
                matter.first_seen = since;
            }
            matter.seen_s = matter.seen_s.min(matter.dwell_s - matter.unseen_s);
        }
        let often = matter.seen_s >= SEEN_SHARE_MIN * (matter.dwell_s - matter.unseen_s);
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

    fn miss(&mut self, counted_s: f64, passed_s: f64) -> Option<(Stage, Matter)> {
        let matter = self.matter.as_mut()?;
        matter.missed_s += counted_s;
        if matter.absent_s.is_none() {
            matter.seen_s += 0.5 * counted_s;
        }
        // Two looks agree that it is gone, however far apart they are.
        let absent_s = matter.absent_s.map(|s| s + passed_s);
        matter.absent_s = Some(absent_s.unwrap_or(0.5 * counted_s));
        let limit_s = if matter.stage.is_none() { self.clear_s.min(matter.seen_s) } else { self.clear_s };
        if absent_s? < limit_s {
            return None;
        }
        self.matter.take().filter(|m| m.stage.is_some()).map(|m| (Stage::Cleared, m))
    }
}
