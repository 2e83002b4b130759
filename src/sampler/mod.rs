//! Which pictures of a camera are worth decoding: the cheapest decode that satisfies what its rules need now.
//!
//! | the rules want | decoded is |
//! |---|---|
//! | nothing now | nothing |
//! | a picture now and then, and key pictures come often enough | key pictures, each by itself, no decoder is kept |
//! | the same, but the next key picture is too far away (long groups, intra refresh) | the group of pictures so far, forward to the newest |
//! | every picture | every picture, by the camera's own decoder |
//!
//! Time is media time, so a file replays exactly like a live stream.

pub mod activity;
pub mod budget;
pub mod patrol;

use std::time::Duration;

use crate::frame::AccessUnit;

/// What a camera's rules want of its pictures now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Need {
    /// Seconds between two pictures that a detector or a background model looks at; `None`: nobody wants any.
    pub picture_every_s: Option<f64>,
    /// Whether something follows motion from picture to picture.
    pub every_picture: bool,
    /// Whether something is suspected or an incident is open: then nothing may be spared.
    pub urgent: bool,
    /// Longest time for which pictures may be spared because nothing seems to move, in seconds.
    pub blind_s_max: f64,
}

/// What to do with one access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// Keep it compressed.
    No,
    /// Decode this key picture by itself.
    KeyPicture,
    /// Decode what has come since the last key picture, or since the last time this was said in the same group, and look
    /// at the newest picture.
    Forward,
    /// Decode it with the camera's own decoder; the pictures before it must have been decoded too.
    InOrder,
}

/// Decides for one camera, access unit by access unit.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Time between the last two key pictures; grows while the next one is overdue.
    key_interval: Option<Duration>,
    last_key: Option<Duration>,
    last_looked: Option<Duration>,
    /// The own decoder has had every unit since a key picture.
    in_order: bool,
}

/// A picture that comes this much too early still counts as due: pictures jitter.
const EARLY: f64 = 0.15;

/// Key pictures that come at least this often are good enough for any rule that counts dwell, in seconds: what lies between
/// costs several times as much to decode, and cameras send one in two seconds by default.
const FORWARD_S_MIN: f64 = 2.0;

/// The cadence may be stretched by this much before decoding what lies between two key pictures pays.
const STRETCH_MAX: f64 = 1.6;

impl Sampler {
    /// How this access unit is to be decoded, given what is needed now.
    pub fn decide(&mut self, unit: &AccessUnit, need: Need) -> Decode {
        let now = unit.captured.media;
        if let Some(last) = self.last_key {
            let since = now.saturating_sub(last);
            if unit.key || self.key_interval.is_some_and(|known| since > known) {
                self.key_interval = Some(since);
            }
        }
        if unit.key {
            self.last_key = Some(now);
        }
        self.in_order = need.every_picture && (self.in_order || unit.key);
        let Some(every_s) = need.picture_every_s.filter(|_| !need.every_picture) else {
            return if self.in_order { Decode::InOrder } else { Decode::No };
        };
        if unit.key {
            return if self.is_due(now, every_s) { Decode::KeyPicture } else { Decode::No };
        }
        let (Some(last_key), Some(looked)) = (self.last_key, self.last_looked) else { return Decode::No };
        let every_s = every_s.max(FORWARD_S_MIN);
        let waited_s = now.saturating_sub(looked).as_secs_f64();
        // In the first group nobody knows when the next key picture comes: the longer none has come, the later.
        let next_key = match self.key_interval {
            Some(interval) => (last_key + interval).max(now),
            None => now + now.saturating_sub(last_key) / 2,
        };
        let would_wait_s = next_key.saturating_sub(looked).as_secs_f64();
        let (due, too_long) = (waited_s >= every_s * (1.0 - EARLY), would_wait_s > every_s * STRETCH_MAX);
        if due && too_long { Decode::Forward } else { Decode::No }
    }

    /// Notes that the picture captured at this media time is looked at.
    pub fn looked(&mut self, now: Duration) {
        self.last_looked = Some(now);
    }

    /// Media time of the last look.
    pub fn last_looked(&self) -> Option<Duration> {
        self.last_looked
    }

    /// Media time at which the next key picture is expected, once two have come.
    pub fn next_key(&self) -> Option<Duration> {
        Some(self.last_key? + self.key_interval?)
    }

    /// Whether a key picture captured at this media time should be looked at.
    fn is_due(&self, now: Duration, every_s: f64) -> bool {
        // Of two key pictures the one nearer to the wanted time: waiting for the later one could double the cadence.
        let half_s = self.key_interval.map_or(0.0, |interval| 0.5 * interval.as_secs_f64());
        let early_s = half_s.clamp(EARLY * every_s, 0.5 * every_s);
        self.last_looked.is_none_or(|last| now.saturating_sub(last).as_secs_f64() >= every_s - early_s)
    }
}

/// Whether a picture of a camera of which all are decoded is due for a detector that wants one every `every_s` seconds.
pub fn is_due_in_order(now: Duration, last_looked: Option<Duration>, every_s: f64) -> bool {
    last_looked.is_none_or(|last| now.saturating_sub(last).as_secs_f64() >= every_s * (1.0 - EARLY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Captured, Clock, Codec};

    fn unit(at_s: f64, key: bool) -> AccessUnit {
        let media = Duration::from_secs_f64(at_s);
        AccessUnit {
            captured: Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File },
            codec: Codec::H264,
            key,
            after_loss: false,
            data: [].into(),
            pts_90k: 0,
        }
    }

    /// What became of a minute at 25 pictures/s.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Minute {
        keys: u32,
        forward: u32,
        in_order: u32,
        /// Longest time between two looks, in pictures.
        longest: usize,
    }

    /// Plays 60 s with a key picture every `key_every` pictures (0: only the first is one).
    fn play(key_every: usize, need: Need) -> Minute {
        let (mut sampler, mut minute, mut last) = (Sampler::default(), Minute::default(), 0);
        for i in 0..1500 {
            let key = if key_every == 0 { i == 0 } else { i % key_every == 0 };
            let unit = unit(i as f64 / 25.0, key);
            let decode = sampler.decide(&unit, need);
            match decode {
                Decode::No => {}
                Decode::KeyPicture => minute.keys += 1,
                Decode::Forward => minute.forward += 1,
                Decode::InOrder => minute.in_order += 1,
            }
            if matches!(decode, Decode::KeyPicture | Decode::Forward) {
                sampler.looked(unit.captured.media);
                minute.longest = minute.longest.max(i - last);
                last = i;
            }
        }
        minute
    }

    #[test]
    fn the_cheapest_decode_that_satisfies() {
        let every = |s| Need { picture_every_s: Some(s), ..Need::default() };
        let keys = |keys, longest| Minute { keys, longest, ..Minute::default() };
        // Key pictures every 2 s, one picture wanted every 2 s: each key picture, nothing else.
        assert_eq!(play(50, every(2.0)), keys(30, 50));
        // One wanted every 4.4 s: the second key picture (4 s) is nearer than the third.
        assert_eq!(play(50, every(4.4)), keys(15, 100));
        assert_eq!(play(50, every(5.2)), keys(10, 150));
        // Nothing wanted: nothing decoded.
        assert_eq!(play(50, Need::default()), Minute::default());
        // Motion wanted: everything, from the first key picture.
        let all = Need { every_picture: true, ..Need::default() };
        assert_eq!(play(50, all), Minute { in_order: 1500, ..Minute::default() });
    }

    #[test]
    fn long_groups_are_decoded_forward_as_far_as_needed() {
        let every = |s| Need { picture_every_s: Some(s), ..Need::default() };
        let check = |key_every, every_s, keys: u32, forward: std::ops::RangeInclusive<u32>, longest| {
            let minute = play(key_every, every(every_s));
            // A picture in between may lie so near to a key picture that it stands for it.
            assert!((keys - keys / 6..=keys).contains(&minute.keys), "{minute:?}");
            assert!(forward.contains(&minute.forward) && minute.longest <= longest, "{minute:?}");
        };
        // Key pictures every 10 s, one wanted every 2 s: four or five in between, never later than 2 s and a bit.
        check(250, 2.0, 6, 24..=36, 81);
        // Every 4 s: one in between.
        check(100, 2.0, 15, 14..=16, 81);
        // Every 3 s: waiting for the next one stretches the cadence by half, which is allowed (once it is known).
        check(75, 2.0, 20, 0..=2, 81);
        // Intra refresh: no key picture after the first.
        check(0, 2.0, 1, 24..=36, 81);
        check(0, 10.0, 1, 3..=7, 401);
        // More is wanted than key pictures give, but these come often enough.
        check(50, 0.8, 30, 0..=1, 81);
    }
}
