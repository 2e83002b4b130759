//! What is known about the cells of the grid, many side by side: what a processor does to one it does to several at once.

// By index, and both sides of every condition: what compilers turn into instructions for many cells.
#![allow(clippy::needless_range_loop, clippy::needless_bitwise_bool)]

use std::mem::swap;

use super::grid::Sample;
use super::lanes::{LANES, Lanes, Values, ValuesRef, lane};

/// A cell differs beyond this many grey levels, ...
const LUMA_MIN: f32 = 7.0;
/// ... or this many times its noise if that is more, ...
const LUMA_NOISES: f32 = 4.5;
/// ... or by this much in colour (both chroma planes together).
const CHROMA_MIN: f32 = 12.0;
/// A value is steady within this many times the noise: more lenient, for noise on both sides.
const STEADY_NOISES: f32 = 3.0;
/// A cell's noise, until it is known, in grey levels.
const NOISE_FIRST: f32 = 1.5;
/// In place of a time that a cell has looked empty: it does not.
const NOT_EMPTY: f32 = -1.0;
/// Times are counted in hundredths of a second.
const HUNDREDTHS: f32 = 100.0;

/// How cells are followed from one picture to the next.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Time since the picture before, in hundredths of a second.
    pub passed: f32,
    /// Whether colours mean anything.
    pub coloured: bool,
    /// Whether the empty place is still being learnt: only what is steady is followed then.
    pub learning: bool,
    /// Share of the way by which the empty place follows what is seen, ...
    pub slow: f32,
    /// ... and noise follows what deviates.
    pub calm: f32,
    /// No noise is believed to exceed this many grey levels.
    pub noise_max: f32,
    /// A cell that differs must be steady for this long to count, in seconds, ...
    pub steady_s: f32,
    /// ... and be seen empty for this long to count no longer.
    pub empty_s: f32,
}

/// What is known about some cells.
#[derive(Debug, Clone)]
pub struct Cells {
    /// The empty place.
    pub empty: Values,
    /// What the empty place looked like before the light on it changed; it may come back (a shower passes).
    pub earlier: Values,
    /// The value that has been steady.
    pub steady: Values,
    /// Mean deviation from the empty place in grey levels.
    pub noise: Lanes,
    /// For how long `steady` has been so, in hundredths of a second.
    pub steady_for: Lanes,
    /// For how long it has looked empty, in hundredths of a second; below 0 where it does not.
    pub empty_for: Lanes,
    /// Whether it differs from empty and has stayed so.
    pub counts: [bool; LANES],
    /// Whether it counted before the light changed and the model was learnt anew, with the object in it.
    pub held: [bool; LANES],
    /// Grey levels by which a shaking camera may change the empty place, ...
    pub slack: Lanes,
    /// ... and what stands there now.
    pub tremble: Lanes,
}

impl Cells {
    /// In place of cells that come.
    pub const BLANK: Self = Self {
        empty: [[0.0; LANES]; 3],
        earlier: [[0.0; LANES]; 3],
        steady: [[0.0; LANES]; 3],
        noise: [NOISE_FIRST; LANES],
        steady_for: [0.0; LANES],
        empty_for: [NOT_EMPTY; LANES],
        counts: [false; LANES],
        held: [false; LANES],
        slack: [0.0; LANES],
        tremble: [0.0; LANES],
    };

    /// Cells that are taken for empty as they are now.
    pub fn new(now: ValuesRef) -> Self {
        let now = now.map(|lanes| *lanes);
        Self { empty: now, earlier: now, steady: now, ..Self::BLANK }
    }

    /// Which values are neither the empty place's now nor in its other light.
    pub fn differ(&self, now: ValuesRef, coloured: bool) -> [bool; LANES] {
        let colours = colours_from(coloured);
        let mut wide = [0u32; LANES];
        for i in 0..LANES {
            let limit = self.limit(i);
            let differs =
                far(now, &self.empty, i, limit, colours) & far(now, &self.earlier, i, limit, colours);
            wide[i] = u32::from(differs);
        }
        let mut differ = [false; LANES];
        differ.iter_mut().zip(&wide).for_each(|(differs, &wide)| *differs = wide != 0);
        differ
    }

    /// Grey levels that noise and shake explain.
    #[inline]
    fn limit(&self, i: usize) -> f32 {
        larger(LUMA_MIN, LUMA_NOISES * self.noise[i]) + self.slack[i]
    }

    /// Brings the cells up to date, but for those that nobody can see just now.
    pub fn follow(&mut self, now: ValuesRef, hidden: &[bool; LANES], step: &Step) {
        let before = hidden.contains(&true).then(|| self.clone());
        self.follow_steady(now, step);
        if !step.learning {
            self.follow_empty(now, step);
        }
        if let Some(before) = before {
            (0..LANES).filter(|&i| hidden[i]).for_each(|i| self.stay(i, &before, step.passed));
        }
    }

    fn follow_steady(&mut self, now: ValuesRef, step: &Step) {
        const SHARE: f32 = 0.3;
        let colours = colours_from(step.coloured);
        let mut steady = [0u32; LANES];
        for i in 0..LANES {
            let limit = larger(LUMA_MIN, STEADY_NOISES * self.noise[i]) + self.tremble[i];
            steady[i] = u32::from(!far(now, &self.steady, i, limit, colours));
        }
        for (value, now) in self.steady.iter_mut().zip(now) {
            for i in 0..LANES {
                let mixed = value[i] + SHARE * (now[i] - value[i]);
                value[i] = if steady[i] != 0 { mixed } else { now[i] };
            }
        }
        for i in 0..LANES {
            let longer = self.steady_for[i] + step.passed;
            self.steady_for[i] = if steady[i] != 0 { longer } else { 0.0 };
        }
    }

    fn follow_empty(&mut self, now: ValuesRef, step: &Step) {
        let colours = colours_from(step.coloured);
        let (steady_for, empty_for) = (step.steady_s * HUNDREDTHS, step.empty_s * HUNDREDTHS);
        // Marks as wide as the numbers: else they are gone through one by one.
        let (mut differs, mut earlier_again) = ([0u32; LANES], [0u32; LANES]);
        for i in 0..LANES {
            let limit = self.limit(i);
            let from_empty = far(now, &self.empty, i, limit, colours);
            let from_earlier = far(now, &self.earlier, i, limit, colours);
            differs[i] = u32::from(from_empty & from_earlier);
            earlier_again[i] = u32::from(from_empty & !from_earlier);
        }
        if earlier_again.contains(&1) {
            let swapped = (0..LANES).filter(|&i| earlier_again[i] != 0);
            swapped.for_each(|i| {
                (0..3).for_each(|plane| swap(&mut self.empty[plane][i], &mut self.earlier[plane][i]));
            });
        }
        let mut counts = [0u32; LANES];
        counts.iter_mut().zip(&self.counts).for_each(|(wide, &counts)| *wide = u32::from(counts));
        for i in 0..LANES {
            let longer = self.empty_for[i] + step.passed;
            let looks_empty_for = if self.empty_for[i] < 0.0 { 0.0 } else { longer };
            let (stays, clears) = (self.steady_for[i] >= steady_for, looks_empty_for >= empty_for);
            let if_differs = counts[i] | u32::from(stays);
            let if_empty = counts[i] & u32::from(!clears);
            counts[i] = if differs[i] != 0 { if_differs } else { if_empty };
            self.empty_for[i] = if differs[i] != 0 { NOT_EMPTY } else { looks_empty_for };
        }
        for i in 0..LANES {
            let deviation = smaller((now[0][i] - self.empty[0][i]).abs(), step.noise_max);
            // Restless: leaves, water, a flag. A quarter as fast, so that a passer-by does not blind the place.
            let restless = if self.steady_for[i] == 0.0 { 0.25 * step.calm } else { 0.0 };
            let if_differs = if counts[i] != 0 { 0.0 } else { restless };
            let share = if differs[i] != 0 { if_differs } else { step.calm };
            self.noise[i] += share * (deviation - self.noise[i]);
        }
        for (value, now) in self.empty.iter_mut().zip(now) {
            for i in 0..LANES {
                let slow = if differs[i] | counts[i] != 0 { 0.0 } else { step.slow };
                value[i] += slow * (now[i] - value[i]);
            }
        }
        self.counts.iter_mut().zip(&counts).for_each(|(counts, &wide)| *counts = wide != 0);
    }

    /// One cell stays what it was before: only time has passed.
    fn stay(&mut self, i: usize, before: &Self, passed: f32) {
        lane::put(&mut self.empty, i, &lane::get(&before.empty, i));
        lane::put(&mut self.earlier, i, &lane::get(&before.earlier, i));
        lane::put(&mut self.steady, i, &lane::get(&before.steady, i));
        (self.noise[i], self.counts[i]) = (before.noise[i], before.counts[i]);
        self.steady_for[i] = before.steady_for[i] + passed;
        let empty_for = before.empty_for[i];
        self.empty_for[i] = if empty_for < 0.0 { empty_for } else { empty_for + passed };
    }

    /// Takes what is there now for a cell's empty place, and forgets what was taken for it.
    pub fn learn(&mut self, i: usize, now: &Sample) {
        self.relight(i, now);
        lane::put(&mut self.earlier, i, now);
    }

    /// A cell's empty place is in another light now; the old one may come back.
    pub fn relight(&mut self, i: usize, now: &Sample) {
        let earlier = lane::get(&self.empty, i);
        lane::put(&mut self.earlier, i, &earlier);
        lane::put(&mut self.empty, i, now);
        (self.counts[i], self.held[i], self.empty_for[i]) = (false, false, NOT_EMPTY);
    }
}

/// From which distance on colours differ.
fn colours_from(coloured: bool) -> f32 {
    if coloured { CHROMA_MIN } else { f32::INFINITY }
}

/// Whether two values are further apart than explained.
#[inline]
fn far(now: ValuesRef, from: &Values, i: usize, limit: f32, colours: f32) -> bool {
    let luma = (now[0][i] - from[0][i]).abs();
    let colour = (now[1][i] - from[1][i]).abs() + (now[2][i] - from[2][i]).abs();
    (luma > limit) | (colour > colours)
}

/// `max` and `min` as processors have them; the library's own ask for what is no number.
#[inline]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}
