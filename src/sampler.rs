//! Which pictures of a camera are worth decoding: the cheapest decode that satisfies what its rules need now.
//!
//! Dwell rules are content with key pictures, which need no history and so no decoder of their own. When a camera's
//! key pictures come more rarely than a rule needs, the group of pictures is decoded forward; rules that look at
//! motion need every picture. Time is media time, so a file replays exactly like a live stream.

use std::time::Duration;

use crate::frame::AccessUnit;

/// What a camera's rules want of its pictures now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Need {
    /// Seconds between two pictures that a detector or a background model looks at; `None`: nobody wants any.
    pub picture_every_s: Option<f64>,
    /// Whether something follows motion from picture to picture.
    pub every_picture: bool,
}

/// What to do with one access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// Keep it compressed.
    No,
    /// Decode this key picture by itself.
    KeyPicture,
    /// Decode it with the camera's own decoder; the pictures before it must have been decoded too.
    InOrder,
}

/// Decides for one camera, access unit by access unit.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Running estimate of the time between key pictures; grows at once when a key picture is overdue.
    key_interval: Option<Duration>,
    last_key: Option<Duration>,
    last_looked: Option<Duration>,
    in_order: bool,
}

/// A picture that comes this much too early still counts as due: pictures jitter.
const EARLY: f64 = 0.15;

/// The cadence may be stretched by this much before decoding everything between two key pictures pays.
const KEY_INTERVAL_SLACK: f64 = 1.6;

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
        let wants_in_order = need.every_picture
            || match (need.picture_every_s, self.longest_key_interval(now)) {
                (Some(every_s), Some(interval)) => interval > every_s * KEY_INTERVAL_SLACK,
                _ => false,
            };
        if !wants_in_order {
            self.in_order = false;
        } else if unit.key {
            self.in_order = true;
        }
        match (self.in_order, unit.key) {
            (true, _) => Decode::InOrder,
            (false, true) if self.is_due(now, need) => Decode::KeyPicture,
            _ => Decode::No,
        }
    }

    /// Whether the picture captured at this media time should be looked at by detector and background model.
    pub fn is_due(&self, now: Duration, need: Need) -> bool {
        let Some(every_s) = need.picture_every_s else { return false };
        // Of two key pictures the one nearer to the wanted time: waiting for the later one could double the cadence.
        let half_s = self.key_interval.filter(|_| !self.in_order).map_or(0.0, |i| 0.5 * i.as_secs_f64());
        let early_s = half_s.clamp(EARLY * every_s, 0.5 * every_s);
        self.last_looked.is_none_or(|last| now.saturating_sub(last).as_secs_f64() >= every_s - early_s)
    }

    /// Notes that the picture captured at this media time was looked at.
    pub fn looked(&mut self, now: Duration) {
        self.last_looked = Some(now);
    }

    /// Seconds between key pictures as far as known: at least the time already waited for the next one.
    fn longest_key_interval(&self, now: Duration) -> Option<f64> {
        let waited = self.last_key.map(|last| now.saturating_sub(last));
        self.key_interval.max(waited).map(|interval| interval.as_secs_f64())
    }
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

    /// Plays 60 s at 25 pictures/s with the given key interval; gives (key pictures, in order, looked at) per minute.
    fn play(key_every: usize, need: Need) -> (u32, u32, u32) {
        let mut sampler = Sampler::default();
        let (mut keys, mut in_order, mut looked) = (0, 0, 0);
        for i in 0..1500 {
            let unit = unit(i as f64 / 25.0, i % key_every == 0);
            let decode = sampler.decide(&unit, need);
            match decode {
                Decode::No => continue,
                Decode::KeyPicture => keys += 1,
                Decode::InOrder => in_order += 1,
            }
            if sampler.is_due(unit.captured.media, need) {
                sampler.looked(unit.captured.media);
                looked += 1;
            }
        }
        (keys, in_order, looked)
    }

    #[test]
    fn the_cheapest_decode_that_satisfies() {
        let every = |s| Need { picture_every_s: Some(s), every_picture: false };
        // Key pictures every 2 s, one picture wanted every 2 s: each key picture, nothing else.
        assert_eq!(play(50, every(2.0)), (30, 0, 30));
        // One wanted every 4.4 s: the second key picture (4 s) is nearer than the third.
        assert_eq!(play(50, every(4.4)), (15, 0, 15));
        assert_eq!(play(50, every(5.2)), (10, 0, 10));
        // Nothing wanted: nothing decoded.
        assert_eq!(play(50, Need::default()), (0, 0, 0));
        // Motion wanted: everything, from the first key picture.
        assert_eq!(play(50, Need { picture_every_s: None, every_picture: true }), (0, 1500, 0));
    }

    #[test]
    fn long_groups_are_decoded_forward() {
        // Key pictures every 10 s, one wanted every 2 s. The first group shows the interval, from the second on it runs.
        let (keys, in_order, looked) = play(250, Need { picture_every_s: Some(2.0), every_picture: false });
        assert_eq!(keys, 1);
        assert_eq!(in_order, 1250);
        assert!(looked >= 25, "{looked}");
    }
}
