//! [`Link`]: what is known of a camera without looking at a picture, and what that says.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::frame::CameraState;

/// Seconds over which pictures are counted at least.
const INTERVAL_S_MIN: f64 = 5.0;
/// Share of the usual frame rate below which it is low: night modes halve it, and that is no fault.
const LOW: f32 = 0.4;
/// The same for the rate that the camera only declares, which is often wrong.
const LOW_OF_DECLARED: f32 = 0.2;
/// Intervals until the usual frame rate is known.
const INTERVALS_FIRST: u32 = 6;
/// Frame rates that anybody means.
const DECLARED: std::ops::RangeInclusive<f32> = 0.1..=240.0;
/// Seconds that clocks may differ, ...
const DRIFT_S: f64 = 10.0;
/// ... and that they must come back to.
const DRIFT_S_BACK: f64 = 5.0;

/// A camera's connection over the last few seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Now, on a clock of the caller's that never goes back.
    pub at: Duration,
    /// Now, for people.
    pub wall: Timestamp,
    /// What the connection is doing.
    pub state: CameraState,
    /// Seconds since the last time this was said, or since the connection came up.
    pub seconds: f64,
    /// Pictures that came in these seconds.
    pub pictures: u32,
    /// Pictures per second that the camera declares, if it does.
    pub declared_fps: Option<f32>,
    /// Seconds that the camera's clock is ahead of ours, if it says what time it is.
    pub ahead_s: Option<f64>,
}

/// What is usual for a connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    fps: f32,
    intervals: u32,
    #[serde(skip)]
    away_since: Option<Duration>,
    #[serde(skip)]
    drifts: bool,
}

impl Usual {
    /// What each check finds: whether something is wrong, and the value. A check that cannot be made is left out.
    pub fn look(&mut self, link: &Link) -> Vec<(Check, bool, f32)> {
        let mut found = Vec::new();
        if link.state == CameraState::Disabled {
            return found;
        }
        let online = link.state == CameraState::Online;
        let refused = link.state == CameraState::AuthFailed;
        let since = if online { None } else { Some(self.away_since.unwrap_or(link.at)) };
        self.away_since = since;
        let away_s = since.map_or(0.0, |since| link.at.saturating_sub(since).as_secs_f32());
        found.push((Check::Offline, !online && !refused, away_s));
        if online || refused {
            found.push((Check::LoginFailed, refused, 0.0));
        }
        if !online {
            return found;
        }
        if link.seconds.is_finite() && link.seconds >= INTERVAL_S_MIN {
            let fps = (f64::from(link.pictures) / link.seconds) as f32;
            let declared = link.declared_fps.filter(|fps| DECLARED.contains(fps));
            let known = self.intervals >= INTERVALS_FIRST;
            let low = if known {
                fps < LOW * self.fps
            } else {
                declared.is_some_and(|d| fps < LOW_OF_DECLARED * d)
            };
            if known || declared.is_some() {
                found.push((Check::LowFrameRate, low, fps));
            }
            if !low {
                self.intervals = self.intervals.saturating_add(1);
                self.fps += (fps - self.fps) / self.intervals.min(64) as f32;
            }
        }
        if let Some(ahead_s) = link.ahead_s.filter(|s| s.is_finite()) {
            self.drifts = ahead_s.abs() > if self.drifts { DRIFT_S_BACK } else { DRIFT_S };
            found.push((Check::ClockDrift, self.drifts, ahead_s as f32));
        }
        found
    }
}
