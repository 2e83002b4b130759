//! Capture times from a file's timestamps.

use std::time::Duration;

use ffmpeg_next as ff;
use jiff::{SignedDuration, Timestamp};

use crate::frame::{Captured, Clock};

/// A forward jump of decoding time above this is a broken timestamp, not a pause in the recording.
const JUMP_S_MAX: f64 = 3600.0;

/// Capture times from a file's timestamps, with missing and broken ones replaced.
pub struct FileClock {
    /// Wall time of the first picture.
    pub wall: Timestamp,
    /// Seconds per unit of the file's timestamps.
    tick_s: f64,
    /// Seconds per picture.
    pub frame_s: f64,
    /// The presentation timestamp that counts as zero, once known.
    origin: Option<i64>,
    /// Seconds added since the file's own timestamps jumped.
    shift_s: f64,
    /// Decoding time of the unit before, in seconds since the origin, `shift_s` included.
    last_s: Option<f64>,
}

impl FileClock {
    /// The clock of a stream.
    pub fn new(stream: &ff::Stream) -> Self {
        let tick_s = f64::from(stream.time_base());
        let rates = [stream.avg_frame_rate(), stream.rate()];
        let rate = rates.map(f64::from).into_iter().find(|rate| (0.01..=240.0).contains(rate));
        Self {
            wall: Timestamp::now(),
            tick_s: if tick_s.is_finite() && tick_s > 0.0 { tick_s } else { 1.0 / 90_000.0 },
            frame_s: 1.0 / rate.unwrap_or(25.0),
            origin: Some(stream.start_time()).filter(|&start| start != ff::ffi::AV_NOPTS_VALUE),
            shift_s: 0.0,
            last_s: None,
        }
    }

    /// When the next packet in decoding order is decoded and shown.
    pub fn stamp(&mut self, packet: &ff::Packet) -> Stamp {
        let expected_s = self.last_s.map_or(0.0, |last| last + self.frame_s);
        let Some(decoded) = packet.dts().or(packet.pts()) else {
            self.last_s = Some(expected_s);
            return Stamp { decoded_s: expected_s, presented_s: None };
        };
        let origin = *self.origin.get_or_insert(packet.pts().unwrap_or(decoded));
        let seconds = |ticks: i64| ticks.saturating_sub(origin) as f64 * self.tick_s;
        // A file put together from pieces starts its clock anew: go on where the last piece ended.
        let jump_s = seconds(decoded) + self.shift_s - expected_s;
        if self.last_s.is_some() && !(-2.0 * self.frame_s - 0.5..=JUMP_S_MAX).contains(&jump_s) {
            self.shift_s -= jump_s;
        }
        let decoded_s = seconds(decoded) + self.shift_s;
        self.last_s = Some(decoded_s);
        Stamp { decoded_s, presented_s: packet.pts().map(|pts| seconds(pts) + self.shift_s) }
    }

    /// Capture time, and presentation time in 90 kHz, of a picture shown so many seconds after the first.
    pub fn captured(&self, at_s: f64) -> (Captured, i64) {
        let at_s = at_s.max(0.0);
        let media = Duration::try_from_secs_f64(at_s).unwrap_or_default();
        let wall = SignedDuration::try_from(media).ok().and_then(|media| self.wall.checked_add(media).ok());
        let captured = Captured { wall: wall.unwrap_or(self.wall), media, clock: Clock::File };
        (captured, (at_s * 90_000.0).round() as i64)
    }
}

/// When a packet is decoded and shown, in seconds since the file's first picture.
pub struct Stamp {
    /// In decoding order these never go back, unless by less than a jump.
    pub decoded_s: f64,
    /// `None` if the container does not say.
    pub presented_s: Option<f64>,
}
