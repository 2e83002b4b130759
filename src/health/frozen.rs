//! [`Repeats`]: whether the same picture comes over and over although time passes.
//!
//! A live camera never sends the same key picture twice: its sensor has noise, and a clock runs in a corner. Only few do
//! (strong noise reduction, night, a rendered scene), and those are known by their repeats having ended before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Share of tiles that may differ in a frozen picture: a recorder goes on drawing its clock.
const CLOCK: f32 = 0.05;
/// Repeats must last this many times as long as any that ended by themselves.
const ENDED: f64 = 3.0;
/// Seconds of a repeat that are taken for the scene's own doing at most: after a real fault the next one is found, too.
const ENDED_MAX_S: f64 = 300.0;
/// Seconds after which repeats that ended are forgotten: a scene is calm for a night, not for ever.
const FORGET_S: f64 = 7.0 * 86_400.0;

/// How long the picture has been the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// The last key picture's tiles, since when they are so, and when they were seen last.
    #[serde(skip)]
    last: Option<(Vec<u32>, Duration, Duration)>,
    /// The longest stretch of the same picture that ended by itself, in seconds.
    longest_ended_s: f64,
}

impl Repeats {
    /// Takes in a key picture's tiles: seconds for which they have been the same, and whether that is too long to be a
    /// scene in which nothing stirs.
    pub fn look(&mut self, sums: Vec<u32>, at: Duration) -> (bool, f64) {
        let Some((before, since, seen)) = self.last.take() else {
            self.last = Some((sums, at, at));
            return (false, 0.0);
        };
        let differ = before.iter().zip(&sums).filter(|(a, b)| a != b).count();
        let same = before.len() == sums.len() && differ as f32 <= CLOCK * sums.len() as f32 && at > seen;
        let lasted = seen.saturating_sub(since).as_secs_f64().min(ENDED_MAX_S);
        if same {
            let lasts = at.saturating_sub(since).as_secs_f64();
            self.last = Some((sums, since, at));
            return (lasts > ENDED * self.longest_ended_s, lasts);
        }
        let passed = at.saturating_sub(seen).as_secs_f64();
        self.longest_ended_s = (self.longest_ended_s * (1.0 - passed / FORGET_S).max(0.0)).max(lasted);
        self.last = Some((sums, at, at));
        (false, 0.0)
    }
}
