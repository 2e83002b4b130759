//! What is known about one cell of the grid.

use std::num::NonZeroU32;
use std::time::Duration;

use super::grid::Sample;

/// A cell differs beyond this many grey levels, ...
const LUMA_MIN: f32 = 7.0;
/// ... or this many times its noise if that is more, ...
const LUMA_NOISES: f32 = 4.5;
/// ... or by this much in colour (both chroma planes together).
const CHROMA_MIN: f32 = 12.0;

/// Media time in hundredths of a second, for sixteen months: all cells together should fit into a processor's cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment(NonZeroU32);

impl Moment {
    /// The moment of a media time.
    pub fn of(at: Duration) -> Self {
        Self(NonZeroU32::MIN.saturating_add((at.as_millis() / 10) as u32))
    }

    /// Seconds from this to a later moment; 0 if it is not later.
    pub fn seconds_until(self, at: Self) -> f64 {
        f64::from(at.0.get().saturating_sub(self.0.get())) / 100.0
    }
}

/// What is known about one cell.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// The empty place.
    pub empty: Sample,
    /// What the empty place looked like before the light on it changed; it may come back (a shower passes).
    pub earlier: Sample,
    /// Mean deviation from it in grey levels.
    pub noise: f32,
    /// The value that has been steady, and since when.
    pub steady: Sample,
    /// See `steady`.
    pub steady_since: Moment,
    /// Since when it looks empty, while it counts.
    pub empty_since: Option<Moment>,
    /// Whether it differs from empty and has stayed so.
    pub counts: bool,
    /// Whether it counted before the light changed and the model was learnt anew, with the object in it.
    pub held: bool,
    /// Grey levels by which a shaking camera may change the empty place, ...
    pub slack: f32,
    /// ... and what stands there now.
    pub tremble: f32,
}

impl Cell {
    /// A cell that is taken for empty as it is now.
    pub fn new(sample: Sample, at: Moment) -> Self {
        Self {
            empty: sample,
            earlier: sample,
            noise: 1.5,
            steady: sample,
            steady_since: at,
            empty_since: None,
            counts: false,
            held: false,
            slack: 0.0,
            tremble: 0.0,
        }
    }

    /// Whether the value is neither the empty place's now nor in its other light.
    pub fn differs(&self, now: &Sample, coloured: bool) -> bool {
        self.far(now, &self.empty, coloured) && self.far(now, &self.earlier, coloured)
    }

    /// Whether two values are further apart than noise and shake explain.
    pub fn far(&self, now: &Sample, from: &Sample, coloured: bool) -> bool {
        let luma = (now.luma - from.luma).abs();
        luma > LUMA_MIN.max(LUMA_NOISES * self.noise) + self.slack
            || (coloured && now.chroma_distance(from) > CHROMA_MIN)
    }

    /// Whether the value is the one that was there before; more lenient than `differs`, for noise on both sides.
    pub fn is_steady(&self, now: &Sample, coloured: bool) -> bool {
        let luma = (now.luma - self.steady.luma).abs();
        luma <= LUMA_MIN.max(3.0 * self.noise) + self.tremble
            && (!coloured || now.chroma_distance(&self.steady) <= CHROMA_MIN)
    }

    /// Takes what is there now for the empty place, and forgets what was taken for it.
    pub fn learn(&mut self, now: &Sample) {
        self.relight(now);
        self.earlier = *now;
    }

    /// The empty place is in another light now; the old one may come back.
    pub fn relight(&mut self, now: &Sample) {
        let earlier = self.empty;
        *self = Self { empty: *now, earlier, counts: false, held: false, empty_since: None, ..*self };
    }
}
