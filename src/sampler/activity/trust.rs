//! How good a camera's sizes have been as a witness: what they announced, and what came.

use serde::{Deserialize, Serialize};

use super::Verdict;

/// Changes that are remembered: a hundred older ones count no more than a recent one.
const MEMORY: f32 = 60.0;
/// Trust needs so much for the share of changes that the sizes announce, ...
const CAUGHT_MIN: f32 = 0.8;
/// ... as the lower end of an interval that holds nine times of ten (one-sided).
const CONFIDENCE: f32 = 1.28;
/// With more than this share of still stretches taken for motion the gate saves little, and catches much by chance.
const NEEDLESS_MAX: f32 = 0.5;
/// After so many needless looks in a row the usual is another one (rain, night, another bitrate) and is learnt anew.
const RELEARN: u32 = 60;

/// Whether the verdict may be acted upon, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The sizes announce what happens in this camera's zones.
    Trusted,
    /// Too few changes have been seen to know; every camera begins like this.
    New,
    /// Too many changes came that the sizes did not announce: constant bitrate, "smart codec", or what matters is too small.
    Blind,
    /// The sizes announce changes all the time: traffic beside the zones, rain, leaves.
    Restless,
}

/// How good a camera's sizes have been as a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// Whether the gate may be used.
    pub standing: Standing,
    /// Changes in the zones that the sizes announced in time, ...
    pub caught: u32,
    /// ... one key picture late, ...
    pub late: u32,
    /// ... or not at all.
    pub missed: u32,
    /// Groups of pictures that the sizes called quiet.
    pub quiet: u32,
    /// Pictures that were called for although nothing had changed in the zones.
    pub needless: u32,
}

/// What was announced and what came.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Recent changes, with weights that fade: announced, not announced.
    announced: f32,
    unannounced: f32,
    /// Share of recent still stretches that were taken for motion.
    restless: f32,
    stretches: u32,
    caught: u32,
    late: u32,
    missed: u32,
    quiet: u32,
    needless: u32,
    needless_in_a_row: u32,
    /// Whether the picture looked at last had changed.
    changed: Option<bool>,
    /// A change was not announced; if the next group announces it, it would have been found a key picture later.
    waiting: bool,
}

impl Record {
    /// A look; `at_once`: the look before was at the key picture before.
    pub fn look(&mut self, verdict: Verdict, changed: Option<bool>, at_once: bool) {
        if std::mem::take(&mut self.waiting) {
            self.change(verdict != Verdict::Quiet && at_once, true);
        }
        let began = changed == Some(true) && self.changed == Some(false);
        match (verdict, changed) {
            (Verdict::Active, Some(false)) => {
                self.needless = self.needless.saturating_add(1);
                self.needless_in_a_row += 1;
                self.stretch(true);
            }
            (_, Some(true)) => self.needless_in_a_row = 0,
            _ => {}
        }
        match verdict {
            Verdict::Active if began => self.change(true, false),
            Verdict::Quiet if began && at_once => self.waiting = true,
            Verdict::Quiet if began => self.change(false, false),
            _ => {}
        }
        self.changed = changed;
    }

    fn change(&mut self, announced: bool, late: bool) {
        let count = match (announced, late) {
            (true, false) => &mut self.caught,
            (true, true) => &mut self.late,
            (false, _) => &mut self.missed,
        };
        *count = count.saturating_add(1);
        let fading = 1.0 - 1.0 / MEMORY;
        self.announced = fading * self.announced + f32::from(u8::from(announced));
        self.unannounced = fading * self.unannounced + f32::from(u8::from(!announced));
    }

    /// Whether so many looks in a row were needless that what is usual must be learnt anew; they are counted anew then.
    pub fn is_mistaken(&mut self) -> bool {
        let mistaken = self.needless_in_a_row >= RELEARN;
        if mistaken {
            self.needless_in_a_row = 0;
        }
        mistaken
    }

    /// A group of pictures was quiet.
    pub fn quiet(&mut self) {
        self.quiet = self.quiet.saturating_add(1);
        self.needless_in_a_row = 0;
        self.stretch(false);
    }

    fn stretch(&mut self, restless: bool) {
        self.stretches = self.stretches.saturating_add(1);
        let gain = (1.0 / self.stretches as f32).max(0.005);
        self.restless += gain * (f32::from(u8::from(restless)) - self.restless);
    }

    pub fn standing(&self) -> Standing {
        let changes = self.announced + self.unannounced;
        if lower_end(changes, changes) < CAUGHT_MIN {
            Standing::New
        } else if lower_end(self.announced, changes) < CAUGHT_MIN {
            Standing::Blind
        } else if self.restless > NEEDLESS_MAX {
            Standing::Restless
        } else {
            Standing::Trusted
        }
    }

    pub fn trust(&self) -> Trust {
        let Self { caught, late, missed, quiet, needless, .. } = *self;
        Trust { standing: self.standing(), caught, late, missed, quiet, needless }
    }
}

/// Lower end of the interval for a share of which `hits` of `tries` are known (E. B. Wilson, JASA 22, 1927).
fn lower_end(hits: f32, tries: f32) -> f32 {
    if tries <= 0.0 {
        return 0.0;
    }
    let (share, z2) = (hits / tries, CONFIDENCE * CONFIDENCE);
    let spread = (share * (1.0 - share) / tries + z2 / (4.0 * tries * tries)).max(0.0).sqrt();
    (share + z2 / (2.0 * tries) - CONFIDENCE * spread) / (1.0 + z2 / tries)
}
