//! Whether what stands in a place is still what came to stand there: by the pattern of its light and dark parts, which clouds,
//! headlights and exposure leave alone, and which no other vehicle shares, be it of the same colour and in the same spot.
//!
//! | looks | means |
//! |---|---|
//! | like before | it has stayed |
//! | never twice alike | nobody can be told from it: it has stayed |
//! | unlike before, once | nobody knows: it is in doubt |
//! | unlike before and like each other, twice | another one has come |
//! | unlike before, each in its own way, for a while | traffic passes in front of it: it has stayed |
//! | like the one before this one | that one had only been hidden |

use serde::{Deserialize, Serialize};

use crate::detection::Pattern;
use crate::frame::Captured;

/// What a place looked like from look to look is how alike looks of one vehicle are, until more is known; ...
const USUALLY_ALIKE: f32 = 0.95;
/// ... who is less alike by so many times what is usual is another one. Of looks at one standing vehicle, seconds to a minute
/// apart, two in a hundred are; of two vehicles that stood in one spot, ninety-seven (rendered streets, by day and night).
const UNUSUAL: f32 = 5.0;
/// Of one that was seen to leave and is not seen for a moment, less is enough: what stands there then has hardly come back.
const UNUSUAL_AFTER_LEAVING: f32 = 1.5;
/// Noise, rain and snow make nothing more unlike than this, ...
const LIKE_MIN_LEAST: f32 = 0.7;
/// ... and what is as like as this is the same.
const LIKE_MIN_MOST: f32 = 0.92;
/// Share of the last look in what is usual.
const NEWEST_SHARE: f32 = 0.2;
/// Another one has come when it has looked alike for this long, in seconds: who passes in front of it is gone by then.
const ANOTHER_S: f64 = 1.5;
/// What passes in front of it is no reason for doubt for longer than this, in seconds.
const DOUBT_S_MAX: f64 = 8.0;
/// Who was hidden is remembered for this long, in seconds.
const HIDDEN_S_MAX: f64 = 60.0;

/// What stands in a place looks like, and what looked otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Portrait {
    pattern: Option<Pattern>,
    /// How alike its looks are usually, and whether there was more than one.
    alike: f32,
    settled: bool,
    stranger: Option<Stranger>,
    /// Since when looks have been unlike it.
    doubted: Option<Captured>,
    /// Who stood here before: its pattern, since when, and until when.
    before: Option<(Pattern, Captured, Captured)>,
}

/// What looks unlike the portrait.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stranger {
    since: Captured,
    pattern: Pattern,
}

/// What a look at the place says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Identity {
    /// What stood there stands there.
    Same,
    /// Nobody knows.
    InDoubt,
    /// Another one has stood there since then.
    Another(Captured),
    /// The one before this one was only hidden, and has stood there since then.
    Back(Captured),
}

impl Default for Portrait {
    fn default() -> Self {
        Self {
            pattern: None,
            alike: USUALLY_ALIKE,
            settled: false,
            stranger: None,
            doubted: None,
            before: None,
        }
    }
}

impl Portrait {
    /// Nothing is known yet but this.
    pub fn new(pattern: Option<&Pattern>) -> Self {
        Self { pattern: pattern.copied(), ..Self::default() }
    }

    /// Whether this can hardly be what the portrait shows; `left` says whether that was seen to leave.
    pub fn is_unlike(&self, pattern: Option<&Pattern>, left: bool) -> bool {
        let least = if left { 1.0 - UNUSUAL_AFTER_LEAVING * (1.0 - self.alike) } else { self.like_min() };
        let known = self.pattern.as_ref().filter(|_| self.settled);
        known.zip(pattern).is_some_and(|(known, seen)| known.likeness(seen) < least)
    }

    /// How alike looks must be.
    fn like_min(&self) -> f32 {
        (1.0 - UNUSUAL * (1.0 - self.alike)).clamp(LIKE_MIN_LEAST, LIKE_MIN_MOST)
    }

    /// Whether more than one look has shown the same.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Takes a look at what has stood here since `since`.
    pub fn look(&mut self, at: &Captured, pattern: Option<&Pattern>, since: &Captured) -> Identity {
        let Some(seen) = pattern else { return Identity::Same };
        let Some(known) = self.pattern else {
            self.pattern = Some(*seen);
            return Identity::Same;
        };
        let (like_min, likeness) = (self.like_min(), known.likeness(seen));
        if likeness < like_min && !self.settled {
            // A bush in the snow, a box that trembles: what never looks the same tells nobody from another.
            self.pattern = Some(*seen);
            return Identity::Same;
        }
        if likeness >= like_min {
            self.alike += NEWEST_SHARE * (likeness - self.alike);
            self.settled = true;
            // Light wanders; what is seen now is what the next look is compared with.
            (self.pattern, self.stranger, self.doubted) = (Some(*seen), None, None);
            return Identity::Same;
        }
        self.before = self.before.filter(|(_, _, until)| at.seconds_since(until) <= HIDDEN_S_MAX);
        if let Some((before, since, _)) = self.before
            && before.likeness(seen) >= like_min
        {
            *self = Self { alike: self.alike, ..Self::new(Some(seen)) };
            return Identity::Back(since);
        }
        let stranger = self.stranger.filter(|stranger| stranger.pattern.likeness(seen) >= like_min);
        let stranger = stranger.unwrap_or(Stranger { since: *at, pattern: *seen });
        let doubted = *self.doubted.get_or_insert(*at);
        if at.seconds_since(&stranger.since) >= ANOTHER_S {
            *self = Self { before: Some((known, *since, *at)), alike: self.alike, ..Self::new(Some(seen)) };
            return Identity::Another(stranger.since);
        }
        self.stranger = Some(Stranger { pattern: *seen, ..stranger });
        if at.seconds_since(&doubted) <= DOUBT_S_MAX { Identity::InDoubt } else { Identity::Same }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::frame::Clock;

    /// One of many patterns, with a little noise of its own each time.
    fn pattern(which: u8, noise: u64) -> Pattern {
        let mut fields = fastrand::Rng::with_seed(u64::from(which));
        let mut chance = fastrand::Rng::with_seed(noise);
        Pattern(std::array::from_fn(|_| fields.u8(40..200) + chance.u8(0..8)))
    }

    /// Looks two seconds apart, each a letter for who stands there (`-`: nobody noted it); answers: `S`ame, in `D`oubt,
    /// a`N`other, `B`ack.
    fn check(name: &str, looks: &str, expected: &str) {
        let mut portrait = Portrait::default();
        let mut since = None;
        let told: String = (0u64..)
            .zip(looks.bytes())
            .map(|(n, who)| {
                let wall = jiff::Timestamp::UNIX_EPOCH;
                let at = Captured { wall, media: Duration::from_secs(2 * n), clock: Clock::File };
                let seen = (who != b'-').then(|| pattern(who, n));
                match portrait.look(&at, seen.as_ref(), since.get_or_insert(at)) {
                    Identity::Same => 'S',
                    Identity::InDoubt => 'D',
                    Identity::Another(from) => {
                        assert_eq!(at.seconds_since(&from), 2.0, "{name}: since when");
                        since = Some(from);
                        'N'
                    }
                    Identity::Back(from) => {
                        assert_eq!(from.media, Duration::ZERO, "{name}: as old as it was");
                        'B'
                    }
                }
            })
            .collect();
        assert_eq!(told, expected, "{name}: {looks}");
    }

    #[test]
    fn others_are_told_from_itself() {
        check("it stays", "AAAAAA", "SSSSSS");
        check("nobody can tell", "A--A-A", "SSSSSS");
        check("never the same", "ABCDEF", "SSSSSS");
        check("somebody passes", "AAABAA", "SSSDSS");
        check("the next of a queue", "AAABBB", "SSSDNS");
        check("hidden for a while", "AAABBBAA", "SSSDNSBS");
        check("a queue of three", "AABBBCC", "SSDNSDN");
        check("traffic in front", "AABCBCAA", "SSDDDDSS");
        check("traffic without end", "AABCBCBCBCBCAA", "SSDDDDDSSSSSSS");
    }
}
