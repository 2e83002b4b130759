//! [`Timekeeper`]: one camera's media time and wall time, over all its connections.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::frame::{Captured, Clock};

/// How far the sender's clock may run away from ours before we follow ours: more than a server's burst of buffered
/// pictures or a network's hiccup (seconds), less than what would spoil a dwell of minutes.
const DRIFT_S_MAX: f64 = 5.0;

/// How far a presentation time may go back within a stream: reordering of B pictures, 16 at 10 pictures/s and some.
const REORDER_S_MAX: f64 = 2.0;

/// How far a sender report's wall time may be from ours to be believed. Cameras without NTP are off by minutes to decades.
const REPORT_SKEW_S_MAX: f64 = 5.0;

/// Sender reports older than this say nothing any more (they come every 5 s or so).
const REPORT_AGE_S_MAX: f64 = 120.0;

const TICKS_PER_S: f64 = 90_000.0;

/// Turns the sender's timestamps into capture times that go on over reconnects.
#[derive(Debug, Default)]
pub struct Timekeeper {
    /// Media time at the start, in seconds, and when that was: when the first picture arrived, if nobody said.
    begins_s: f64,
    start: Option<Instant>,
    /// The sender's tick that means `anchor_s` in media time; `None` at the start of a connection.
    anchor: Option<(i64, f64)>,
    /// Latest media time given out, in seconds.
    latest_s: f64,
    /// The newest sender report that is sane: tick and wall time.
    report: Option<(i64, Timestamp)>,
    /// Seconds that the sender's clock is ahead of ours, by its newest report.
    ahead_s: Option<f64>,
}

impl Timekeeper {
    /// A clock on which it is now this media time.
    pub fn going_on(now: Duration) -> Self {
        let now_s = now.as_secs_f64();
        Self { begins_s: now_s, start: Some(Instant::now()), latest_s: now_s, ..Self::default() }
    }

    /// A new connection: its timestamps have nothing to do with those before.
    pub fn reconnected(&mut self) {
        self.anchor = None;
        self.report = None;
        self.ahead_s = None;
    }

    /// Seconds that the sender's clock is ahead of ours, if it has said what time it is on this connection.
    pub fn ahead_s(&self) -> Option<f64> {
        self.ahead_s
    }

    /// A sender report (RFC 3550 section 6.4.1): the sender says that `tick` (90 kHz) was at `wall`.
    pub fn sender_report(&mut self, tick: i64, wall: Timestamp, arrived: Timestamp) {
        let ahead_s = wall.duration_since(arrived).as_secs_f64();
        let sane = ahead_s.abs() <= REPORT_SKEW_S_MAX;
        self.ahead_s = Some(ahead_s);
        self.report = sane.then_some((tick, wall));
    }

    /// Capture time of a picture with presentation time `tick` (90 kHz, unwrapped) whose first packet came at `arrived`.
    pub fn captured(&mut self, tick: i64, arrived: Instant, arrived_wall: Timestamp) -> (Captured, i64) {
        let start = *self.start.get_or_insert(arrived);
        let elapsed_s = self.begins_s + arrived.saturating_duration_since(start).as_secs_f64();
        let by_sender = self.anchor.map(|(anchor, anchor_s)| anchor_s + seconds(tick, anchor));
        let media_s = match by_sender {
            Some(at_s)
                if (at_s - elapsed_s).abs() <= DRIFT_S_MAX && at_s >= self.latest_s - REORDER_S_MAX =>
            {
                at_s
            }
            // The first picture of a connection, or a sender whose clock jumped, stopped or runs at the wrong speed.
            _ => {
                let at_s = elapsed_s.max(self.latest_s);
                self.anchor = Some((tick, at_s));
                at_s
            }
        }
        .max(0.0);
        self.latest_s = self.latest_s.max(media_s);
        let reported = self.report.and_then(|(at, wall)| {
            let since_s = seconds(tick, at);
            let wall = wall.checked_add(SignedDuration::try_from_secs_f64(since_s).ok()?).ok()?;
            let skew_s = wall.duration_since(arrived_wall).as_secs_f64().abs();
            (since_s.abs() <= REPORT_AGE_S_MAX && skew_s <= REPORT_SKEW_S_MAX + DRIFT_S_MAX).then_some(wall)
        });
        let captured = Captured {
            wall: reported.unwrap_or(arrived_wall),
            media: Duration::try_from_secs_f64(media_s).unwrap_or_default(),
            clock: if reported.is_some() { Clock::Rtcp } else { Clock::Arrival },
        };
        (captured, (media_s * TICKS_PER_S).round() as i64)
    }
}

fn seconds(tick: i64, since: i64) -> f64 {
    tick.saturating_sub(since) as f64 / TICKS_PER_S
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `(tick in ms, arrival in ms)` and gives media times in ms.
    fn media_ms(pictures: &[(i64, u64)]) -> Vec<u128> {
        let (mut keeper, start) = (Timekeeper::default(), Instant::now());
        let arrive = |ms| start + Duration::from_millis(ms);
        let time = |&(tick, at): &(i64, u64)| keeper.captured(tick * 90, arrive(at), Timestamp::UNIX_EPOCH).0;
        pictures.iter().map(time).map(|captured| captured.media.as_millis()).collect()
    }

    #[test]
    fn media_time_follows_the_sender_as_long_as_it_makes_sense() {
        let check = |pictures: &[(i64, u64)], expected: &[u128]| assert_eq!(media_ms(pictures), expected);
        // Steady, with jitter on arrival.
        check(&[(1000, 0), (1040, 55), (1080, 70)], &[0, 40, 80]);
        // B pictures: presentation order differs from decoding order.
        check(&[(1000, 0), (1120, 40), (1040, 80), (1080, 120)], &[0, 120, 40, 80]);
        // A burst of buffered pictures at the beginning.
        check(&[(1000, 0), (2000, 1), (3000, 2), (3040, 40)], &[0, 1000, 2000, 2040]);
        // The sender's clock jumps ahead by an hour, then back to zero: ours counts.
        check(&[(1000, 0), (3_601_000, 40), (3_601_040, 80), (0, 120), (40, 160)], &[0, 40, 80, 120, 160]);
        // The sender's clock stands still: corrected every few seconds.
        check(&[(1000, 0), (1000, 4000), (1000, 6000), (1000, 7000)], &[0, 0, 6000, 6000]);
    }

    #[test]
    fn media_time_goes_on_over_a_reconnect() {
        let (mut keeper, start) = (Timekeeper::default(), Instant::now());
        let at = |keeper: &mut Timekeeper, tick: i64, ms| {
            keeper
                .captured(tick, start + Duration::from_millis(ms), Timestamp::UNIX_EPOCH)
                .0
                .media
                .as_millis()
        };
        assert_eq!(at(&mut keeper, 5_000_000, 0), 0);
        assert_eq!(at(&mut keeper, 5_090_000, 1000), 1000);
        keeper.reconnected();
        assert_eq!(at(&mut keeper, 77, 31_000), 31_000);
        assert_eq!(at(&mut keeper, 77 + 9000, 31_100), 31_100);
    }

    #[test]
    fn media_time_goes_on_over_a_restart() {
        let (mut keeper, start) =
            (Timekeeper::going_on(Duration::from_secs(600)), Instant::now() + Duration::from_secs(3));
        let at = |keeper: &mut Timekeeper, tick: i64, ms| {
            keeper
                .captured(tick, start + Duration::from_millis(ms), Timestamp::UNIX_EPOCH)
                .0
                .media
                .as_secs_f64()
        };
        // Three seconds until the camera was there again.
        assert!((at(&mut keeper, 77, 0) - 603.0).abs() < 0.5);
        assert!((at(&mut keeper, 77 + 90_000, 1000) - 604.0).abs() < 0.5);
    }

    #[test]
    fn wall_time_comes_from_a_sane_sender_report_only() {
        let (now, wall) = (Instant::now(), Timestamp::UNIX_EPOCH + SignedDuration::from_hours(400_000));
        let check = |skew_s: i64, tick: i64, expected_clock, expected_shift_s: i64| {
            let mut keeper = Timekeeper::default();
            keeper.sender_report(0, wall + SignedDuration::from_secs(skew_s), wall);
            let (captured, _) = keeper.captured(tick * 90_000, now, wall + SignedDuration::from_secs(tick));
            assert_eq!(captured.clock, expected_clock, "skew {skew_s} tick {tick}");
            assert_eq!(captured.wall, wall + SignedDuration::from_secs(tick + expected_shift_s));
        };
        check(0, 0, Clock::Rtcp, 0);
        check(-2, 3, Clock::Rtcp, -2);
        check(8 * 3600, 0, Clock::Arrival, 0);
        check(-1_000_000_000, 0, Clock::Arrival, 0);
        check(1, 500, Clock::Arrival, 0);
    }
}
