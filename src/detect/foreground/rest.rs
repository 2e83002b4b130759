//! Cells between two pictures: in whole numbers, less than half the size. Thousands of cameras rest while one is looked at.

use super::cell::Cells;
use super::grid::Sample;
use super::lanes::{LANES, Lanes};

/// Parts of a grey level that are told apart: finer than what is learnt from one picture.
const PARTS: f32 = 128.0;
/// Colour differences go both ways.
const ZERO: f32 = 128.0;

/// A sample in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestingSample([u16; 3]);

fn whole(level: f32) -> u16 {
    let parts = level * PARTS + 0.5;
    // What is too large, or no number, becomes the nearest end or zero.
    let parts = if parts > 0.0 { parts } else { 0.0 };
    let parts = if parts < 65535.0 { parts } else { 65535.0 };
    // SAFETY: between 0 and 65535, by the lines before. A conversion that checks by itself is done one by one, and `round`
    // would be a call for each.
    unsafe { parts.to_int_unchecked::<i32>() as u16 }
}

fn level(whole: u16) -> f32 {
    f32::from(whole) / PARTS
}

impl From<&Sample> for RestingSample {
    fn from(sample: &Sample) -> Self {
        Self([whole(sample.luma), whole(sample.blue + ZERO), whole(sample.red + ZERO)])
    }
}

impl From<&RestingSample> for Sample {
    fn from(&RestingSample([luma, blue, red]): &RestingSample) -> Self {
        Self { luma: level(luma), blue: level(blue) - ZERO, red: level(red) - ZERO }
    }
}

impl RestingSample {
    /// Six bytes, little-endian.
    pub fn to_bytes(self) -> [u8; 6] {
        let [[a, b], [c, d], [e, f]] = self.0.map(u16::to_le_bytes);
        [a, b, c, d, e, f]
    }

    /// Back from them.
    pub fn from_bytes([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self([[a, b], [c, d], [e, f]].map(u16::from_le_bytes))
    }
}

/// One number of each cell, as whole numbers.
type Whole = [u16; LANES];

/// Cells in whole numbers.
#[derive(Debug, Clone)]
pub struct RestingCells {
    /// Empty, earlier and steady; luma, blue and red of each.
    values: [[Whole; 3]; 3],
    noise: Whole,
    steady_for: [i16; LANES],
    empty_for: [i16; LANES],
    counts: [bool; LANES],
    held: [bool; LANES],
}

fn to_wholes(wholes: &mut Whole, values: &Lanes, zero: f32) {
    wholes.iter_mut().zip(values).for_each(|(whole, &value)| *whole = self::whole(value + zero));
}

fn to_levels(levels: &mut Lanes, wholes: &Whole, zero: f32) {
    levels.iter_mut().zip(wholes).for_each(|(level, &whole)| *level = self::level(whole) - zero);
}

/// What is zero for luma, blue and red.
const ZEROS: [f32; 3] = [0.0, ZERO, ZERO];

/// Hundredths of a second; beyond five minutes they are all the same.
fn to_hundredths(hundredths: &mut [i16; LANES], times: &Lanes) {
    const TIME_MAX: f32 = 30_000.0;
    for (hundredths, &time) in hundredths.iter_mut().zip(times) {
        let time = if time < TIME_MAX { time } else { TIME_MAX };
        let time = if time > -1.0 { time } else { -1.0 };
        // SAFETY: between -1 and 30,000, by the lines before.
        *hundredths = unsafe { time.to_int_unchecked::<i32>() as i16 };
    }
}

impl RestingCells {
    /// In place of cells that come.
    pub const BLANK: Self = Self {
        values: [[[0; LANES]; 3]; 3],
        noise: [0; LANES],
        steady_for: [0; LANES],
        empty_for: [0; LANES],
        counts: [false; LANES],
        held: [false; LANES],
    };

    /// The place without what stands there, cell by cell.
    pub fn empty(&self) -> impl Iterator<Item = RestingSample> {
        let [luma, blue, red] = &self.values[0];
        luma.iter().zip(blue).zip(red).map(|((&luma, &blue), &red)| RestingSample([luma, blue, red]))
    }

    /// Becomes what these cells are.
    pub fn rest(&mut self, cells: &Cells) {
        for (wholes, values) in self.values.iter_mut().zip([&cells.empty, &cells.earlier, &cells.steady]) {
            for plane in 0..3 {
                to_wholes(&mut wholes[plane], &values[plane], ZEROS[plane]);
            }
        }
        to_wholes(&mut self.noise, &cells.noise, 0.0);
        to_hundredths(&mut self.steady_for, &cells.steady_for);
        to_hundredths(&mut self.empty_for, &cells.empty_for);
        (self.counts, self.held) = (cells.counts, cells.held);
    }

    /// Makes the cells what these are.
    pub fn wake(&self, cells: &mut Cells) {
        let Cells { empty, earlier, steady, .. } = cells;
        for (values, wholes) in [empty, earlier, steady].into_iter().zip(&self.values) {
            for plane in 0..3 {
                to_levels(&mut values[plane], &wholes[plane], ZEROS[plane]);
            }
        }
        to_levels(&mut cells.noise, &self.noise, 0.0);
        cells.steady_for.iter_mut().zip(&self.steady_for).for_each(|(time, &whole)| *time = whole.into());
        cells.empty_for.iter_mut().zip(&self.empty_for).for_each(|(time, &whole)| *time = whole.into());
        (cells.counts, cells.held) = (self.counts, self.held);
        (cells.slack, cells.tremble) = ([0.0; LANES], [0.0; LANES]);
    }
}

#[cfg(test)]
mod tests {
    use std::array;

    use proptest::prelude::*;

    use super::super::lanes::Values;
    use super::*;

    #[test]
    fn resting_cells_are_half_the_size() {
        assert!(size_of::<RestingCells>() <= 26 * LANES && size_of::<Cells>() >= 50 * LANES);
    }

    proptest! {
        #[test]
        fn nothing_that_matters_is_lost(seed: u64, time in -1i16..30_000) {
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut cells = Cells::BLANK;
            let Cells { empty, earlier, steady, .. } = &mut cells;
            for [luma, blue, red] in [empty, earlier, steady] {
                luma.fill_with(|| chance.f32() * 255.0);
                blue.iter_mut().chain(red).for_each(|value| *value = chance.f32() * 255.0 - 127.0);
            }
            cells.noise.fill_with(|| chance.f32() * 12.0);
            (cells.steady_for, cells.empty_for) = ([time.max(0).into(); LANES], [time.into(); LANES]);
            cells.counts = array::from_fn(|_| chance.bool());
            cells.held = array::from_fn(|_| chance.bool());
            let mut resting = RestingCells::BLANK;
            resting.rest(&cells);
            let mut woken = Cells { slack: [1.0; LANES], tremble: [1.0; LANES], ..Cells::BLANK };
            resting.wake(&mut woken);
            let near = |a: &Lanes, b: &Lanes| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 0.5 / PARTS + 1e-4);
            let all_near = |a: &Values, b: &Values| a.iter().zip(b).all(|(a, b)| near(a, b));
            prop_assert!(all_near(&cells.empty, &woken.empty) && all_near(&cells.earlier, &woken.earlier));
            prop_assert!(all_near(&cells.steady, &woken.steady) && near(&cells.noise, &woken.noise));
            prop_assert_eq!((cells.counts, cells.held), (woken.counts, woken.held));
            prop_assert_eq!((cells.steady_for, cells.empty_for), (woken.steady_for, woken.empty_for));
            prop_assert_eq!((woken.slack, woken.tremble), ([0.0; LANES], [0.0; LANES]));
        }

        #[test]
        fn any_level_has_a_whole_number(level: f32, time: f32) {
            let parts = (level * PARTS + 0.5).floor();
            let clamped = if parts.is_nan() { 0.0 } else { parts.clamp(0.0, 65535.0) };
            prop_assert_eq!(f32::from(whole(level)), clamped);
            let mut hundredths = [0; LANES];
            to_hundredths(&mut hundredths, &[time; LANES]);
            prop_assert!((-1..=30_000).contains(&hundredths[0]));
        }
    }
}
