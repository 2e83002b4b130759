//! Cells between two pictures: in whole numbers, half the size. Thousands of cameras rest while one is looked at.

use super::cell::{Cell, Moment};
use super::grid::Sample;

/// Parts of a grey level that are told apart: finer than what is learnt from one picture.
const PARTS: f32 = 128.0;
/// Colour differences go both ways.
const ZERO: f32 = 128.0;

/// A sample in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestingSample([u16; 3]);

fn whole(level: f32) -> u16 {
    // A float that is too large, or no number, becomes the nearest end or zero. `round` would be a call for each.
    (level * PARTS + 0.5) as u16
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

/// A cell in whole numbers.
#[derive(Debug, Clone, Copy)]
pub struct RestingCell {
    samples: [RestingSample; 3],
    noise: u16,
    slack: u16,
    tremble: u16,
    steady_since: Moment,
    empty_since: Option<Moment>,
    counts: bool,
    held: bool,
}

impl RestingCell {
    /// The place without what stands there.
    pub fn empty(&self) -> RestingSample {
        self.samples[0]
    }
}

impl From<&Cell> for RestingCell {
    fn from(cell: &Cell) -> Self {
        Self {
            samples: [&cell.empty, &cell.earlier, &cell.steady].map(RestingSample::from),
            noise: whole(cell.noise),
            slack: whole(cell.slack),
            tremble: whole(cell.tremble),
            steady_since: cell.steady_since,
            empty_since: cell.empty_since,
            counts: cell.counts,
            held: cell.held,
        }
    }
}

impl From<&RestingCell> for Cell {
    fn from(cell: &RestingCell) -> Self {
        let [empty, earlier, steady] = cell.samples.each_ref().map(Sample::from);
        Self {
            empty,
            earlier,
            steady,
            noise: level(cell.noise),
            slack: level(cell.slack),
            tremble: level(cell.tremble),
            steady_since: cell.steady_since,
            empty_since: cell.empty_since,
            counts: cell.counts,
            held: cell.held,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_resting_cell_is_half_a_cell() {
        assert!(size_of::<RestingCell>() <= 36 && size_of::<Cell>() >= 60);
    }

    proptest! {
        #[test]
        fn nothing_that_matters_is_lost(
            values in prop::array::uniform9(-127.0f32..255.0),
            more in prop::array::uniform3(0.0f32..100.0),
            (counts, held, since) in (any::<bool>(), any::<bool>(), 0u64..100_000_000),
        ) {
            let sample = |i: usize| Sample { luma: values[i].abs(), blue: values[i + 1], red: values[i + 2] };
            let since = Moment::of(Duration::from_millis(since));
            let cell = Cell {
                empty: sample(0),
                earlier: sample(3),
                steady: sample(6),
                noise: more[0],
                slack: more[1],
                tremble: more[2],
                steady_since: since,
                empty_since: counts.then_some(since),
                counts,
                held,
            };
            let woken = Cell::from(&RestingCell::from(&cell));
            let near = |a: f32, b: f32| (a - b).abs() <= 0.5 / PARTS + 1e-4;
            for (was, is) in [(cell.empty, woken.empty), (cell.earlier, woken.earlier), (cell.steady, woken.steady)] {
                prop_assert!(near(was.luma, is.luma) && near(was.blue, is.blue) && near(was.red, is.red));
            }
            prop_assert!(near(cell.noise, woken.noise) && near(cell.slack, woken.slack));
            prop_assert!(near(cell.tremble, woken.tremble));
            prop_assert_eq!((woken.counts, woken.held), (counts, held));
            prop_assert_eq!((woken.steady_since, woken.empty_since), (cell.steady_since, cell.empty_since));
        }
    }
}
