//! [`ChangeGate`]: whether the zones of a picture still look as they did when the detector looked last.
//!
//! The picture is reduced to a grid of at most 80 x 45 cells of luma and compared with the picture inferred last: an answer
//! from the detector holds as long as nothing in the zones or beside them has changed. Each cell has its own noise.
//!
//! When is a picture not inferred? If of the cells of a zone, and of a strip around it that is wider above, no two that
//! touch are brighter or darker than they were, and no single one is by far. What does not count as a change:
//!
//! | happens | answer |
//! |---|---|
//! | exposure, gain, clouds over the whole picture | gain and offset are fitted before the comparison |
//! | noise of the sensor, pumping of the codec | each cell's own noise |
//! | leaves, water, a flag in a zone | the cell's noise grows, up to a limit: then it is inferred too often rather than too seldom |
//! | dusk, a shadow that creeps | the reference stays the picture inferred last, so slow changes add up until one is due |
//!
//! Everything else is a change, needless or not: a shadow, headlights, a shaking camera, snow, rain on the lens. The gate
//! cannot see what has exactly the grey of the ground behind it, nor what is smaller than a cell: it must not be the only
//! reason to infer, some pictures are to be inferred anyway.

use crate::frame::Picture;
use crate::geometry::Polygon;

use super::foreground::exposure::Exposure;
use super::foreground::grid::Grid;

/// Most cells across and down; at 1080p a cell is 24 x 24 pixels, half a person across the street.
const CELLS_MAX: (usize, usize) = (80, 45);
/// Cells around a zone that are watched, too: who comes is seen before he is in.
const MARGIN: usize = 2;
/// Rows above a zone that are watched: who stands in it rises above it.
const ABOVE: usize = 4;
/// A cell has changed beyond this many grey levels, ...
const LUMA_MIN: f32 = 4.0;
/// ... or this many times its noise if that is more.
const LUMA_NOISES: f32 = 4.0;
/// One cell alone must have changed by so many times as much: single cells flicker.
const ALONE: f32 = 2.0;
/// Share of a picture's deviation that enters a cell's noise, ...
const NOISE_SHARE: f32 = 1.0 / 16.0;
/// ... and of one that counts as a change: what only passes must not blind its place.
const RESTLESS_SHARE: f32 = 1.0 / 64.0;
/// No noise is believed to exceed this many grey levels.
const NOISE_MAX: f32 = 4.0;
/// Where noise is not known yet.
const NOISE_FIRST: f32 = 1.0;

/// In place of a noise: the cell matters to no zone.
const UNWATCHED: u8 = u8::MAX;

/// What has become of the zones since the detector looked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Not known: nothing has been inferred yet, or a picture of another size.
    Unknown,
    /// They look the same; what was found then is still so.
    None,
    /// Something is different in a zone or beside it.
    Some,
}

/// One camera's change gate: about 18 KB.
pub struct ChangeGate {
    zones: Vec<Polygon>,
    state: Option<State>,
}

/// What is known of pictures of one size.
struct State {
    grid: Grid,
    /// The picture inferred last, if there is one, and the one observed last, in 1/128 of a grey level.
    inferred: Option<Vec<u16>>,
    observed: Vec<u16>,
    /// Mean deviation of each cell of the zones and the strips around them, in 1/32 of a grey level; elsewhere [`UNWATCHED`].
    noise: Vec<u8>,
}

impl ChangeGate {
    /// Knows nothing yet; everything is a change until the first [`ChangeGate::inferred`].
    pub fn new(zones: &[Polygon]) -> Self {
        Self { zones: zones.to_vec(), state: None }
    }

    /// Compares a picture with the one inferred last.
    pub fn observe(&mut self, picture: &Picture) -> Change {
        let Some(grid) = Grid::coarser(picture, CELLS_MAX) else {
            self.state = None;
            return Change::Unknown;
        };
        let luma = grid.luma(picture);
        if self.state.as_ref().is_none_or(|state| state.grid != grid) {
            self.state = Some(State::new(grid, &self.zones));
        }
        self.state.as_mut().map_or(Change::Unknown, |state| state.observe(&luma))
    }

    /// The picture observed last has been inferred: later ones are compared with it.
    pub fn inferred(&mut self) {
        if let Some(state) = &mut self.state {
            state.inferred = Some(state.observed.clone());
        }
    }
}

impl State {
    fn new(grid: Grid, zones: &[Polygon]) -> Self {
        let cells = grid.columns * grid.rows;
        let mut noise = vec![UNWATCHED; cells];
        for (cell, _) in zones.iter().flat_map(|zone| grid.cells_of(zone)) {
            let (row, column) = (usize::from(cell) / grid.columns, usize::from(cell) % grid.columns);
            for row in row.saturating_sub(ABOVE)..(row + MARGIN + 1).min(grid.rows) {
                let from = row * grid.columns;
                let columns = column.saturating_sub(MARGIN)..(column + MARGIN + 1).min(grid.columns);
                noise[from..][columns].fill((NOISE_FIRST * 32.0) as u8);
            }
        }
        Self { grid, inferred: None, observed: vec![0; cells], noise }
    }

    fn observe(&mut self, luma: &[f32]) -> Change {
        for (stored, luma) in self.observed.iter_mut().zip(luma) {
            *stored = (luma * 128.0) as u16;
        }
        let Some(inferred) = &self.inferred else { return Change::Unknown };
        let pairs: Vec<(f32, f32)> =
            inferred.iter().zip(luma).map(|(&then, &now)| (f32::from(then) / 128.0, now)).collect();
        let exposure = Exposure::fit(pairs.iter().copied().step_by(Exposure::stride(pairs.len())));
        let off: Vec<f32> = pairs.iter().map(|&(then, now)| now - exposure.apply(then)).collect();
        let limits: Vec<f32> =
            self.noise.iter().map(|&noise| LUMA_MIN.max(LUMA_NOISES * f32::from(noise) / 32.0)).collect();
        let watched = |i: usize| self.noise[i] != UNWATCHED;
        let marked: Vec<bool> = (0..off.len()).map(|i| watched(i) && off[i].abs() > limits[i]).collect();
        let changed = (0..off.len())
            .filter(|&i| marked[i])
            .any(|i| off[i].abs() > ALONE * limits[i] || self.grid.neighbours(i).any(|n| marked[n]));
        for i in 0..off.len() {
            if self.noise[i] == UNWATCHED {
                continue;
            }
            let share = if marked[i] { RESTLESS_SHARE } else { NOISE_SHARE };
            let noise = f32::from(self.noise[i]) / 32.0;
            let noise = (noise + share * (off[i].abs() - noise)).min(NOISE_MAX);
            self.noise[i] = (noise * 32.0).round() as u8;
        }
        if changed { Change::Some } else { Change::None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Captured, Clock};
    use crate::geometry::{BBox, Point};

    fn picture(width: usize, height: usize, luma: impl FnMut(usize) -> u8) -> Picture {
        let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
        Picture {
            captured: Captured {
                wall: jiff::Timestamp::UNIX_EPOCH,
                media: Duration::ZERO,
                clock: Clock::File,
            },
            width,
            height,
            y: (0..width * height).map(luma).collect(),
            u: chroma.clone().into(),
            v: chroma.into(),
            full_range: false,
        }
    }

    /// A street of rough stones under a noisy sensor, with something in the way.
    #[derive(Clone, Copy)]
    struct Street {
        seed: u64,
        gain: f32,
        offset: f32,
        thing: Option<(BBox, f32)>,
        /// Leaves over the left half, which the wind has moved.
        leaves: bool,
    }

    const EMPTY: Street = Street { seed: 1, gain: 1.0, offset: 0.0, thing: None, leaves: false };

    impl Street {
        fn picture(&self, (width, height): (usize, usize)) -> Picture {
            let mut noise = fastrand::Rng::with_seed(self.seed);
            let mut wind = fastrand::Rng::with_seed(self.seed * 31);
            let shades: Vec<f32> = (0..64).map(|_| wind.f32() * 8.0).collect();
            picture(width, height, |i| {
                let (x, y) = (i % width, i / width);
                let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
                let stone = ((x * 16 / width) * 37 + (y * 9 / height) * 53) % 60;
                let mut light = 70.0 + stone as f32;
                if self.leaves && u < 0.5 {
                    light += shades[(x * 16 / width) % 8 * 8 + (y * 9 / height) % 8];
                }
                if let Some((thing, contrast)) = self.thing
                    && (thing.x0..thing.x1).contains(&u)
                    && (thing.y0..thing.y1).contains(&v)
                {
                    light += contrast;
                }
                (self.gain * light + self.offset + noise.f32() * 12.0 - 6.0).clamp(0.0, 255.0) as u8
            })
        }
    }

    fn thing(x0: f32, y0: f32, wide: f32, high: f32, contrast: f32) -> (BBox, f32) {
        (BBox { x0, y0, x1: x0 + wide, y1: y0 + high }, contrast)
    }

    /// The middle of the picture.
    fn zone() -> Polygon {
        let corner = |x, y| Point { x, y };
        Polygon::new(vec![corner(0.3, 0.5), corner(0.7, 0.5), corner(0.7, 0.8), corner(0.3, 0.8)]).unwrap()
    }

    #[test]
    fn what_counts_as_a_change() {
        // What the gate says of the picture after some of the empty street.
        let cases = [
            ("nothing", Street { seed: 99, ..EMPTY }, Change::None),
            ("darker by a third", Street { gain: 0.66, ..EMPTY }, Change::None),
            ("brighter, and foggy", Street { gain: 0.9, offset: 40.0, ..EMPTY }, Change::None),
            (
                "a person across the street",
                Street { thing: Some(thing(0.5, 0.5, 0.03, 0.15, 25.0)), ..EMPTY },
                Change::Some,
            ),
            (
                "in dark clothes",
                Street { thing: Some(thing(0.5, 0.5, 0.03, 0.15, -12.0)), ..EMPTY },
                Change::Some,
            ),
            ("a carton", Street { thing: Some(thing(0.41, 0.7, 0.03, 0.04, 20.0)), ..EMPTY }, Change::Some),
            (
                "a head above the zone",
                Street { thing: Some(thing(0.5, 0.44, 0.03, 0.05, 25.0)), ..EMPTY },
                Change::Some,
            ),
            (
                "somebody at the zone's side",
                Street { thing: Some(thing(0.71, 0.6, 0.03, 0.15, 25.0)), ..EMPTY },
                Change::Some,
            ),
            (
                "a lorry far from the zone",
                Street { thing: Some(thing(0.0, 0.0, 0.2, 0.4, 80.0)), ..EMPTY },
                Change::None,
            ),
            (
                "a lorry, and it gets darker",
                Street { gain: 0.7, thing: Some(thing(0.3, 0.4, 0.4, 0.4, 60.0)), ..EMPTY },
                Change::Some,
            ),
        ];
        for size in [(640, 360), (1920, 1080), (355, 287)] {
            let before: Vec<Picture> = (0..8).map(|seed| Street { seed, ..EMPTY }.picture(size)).collect();
            for (name, street, expected) in &cases {
                let mut gate = ChangeGate::new(&[zone()]);
                for (i, picture) in before.iter().enumerate() {
                    let said = gate.observe(picture);
                    assert_eq!(said, if i == 0 { Change::Unknown } else { Change::None }, "{name}: before");
                    gate.inferred();
                }
                assert_eq!(gate.observe(&street.picture(size)), *expected, "{name}, {size:?}");
                gate.inferred();
                let again = Street { seed: 77, ..*street };
                assert_eq!(gate.observe(&again.picture(size)), Change::None, "{name}, {size:?}: once more");
            }
        }
    }

    #[test]
    fn slow_changes_add_up() {
        let mut gate = ChangeGate::new(&[zone()]);
        gate.observe(&EMPTY.picture((640, 360)));
        gate.inferred();
        let creeping = |step: u64| Street {
            seed: step,
            thing: Some(thing(0.4, 0.5, 0.2, 0.3, -0.5 * step as f32)),
            ..EMPTY
        };
        let inferred = (1..100).filter(|&step| {
            let changed = gate.observe(&creeping(step).picture((640, 360))) == Change::Some;
            if changed {
                gate.inferred();
            }
            changed
        });
        let inferred = inferred.count();
        assert!((2..30).contains(&inferred), "{inferred}");
    }

    #[test]
    fn leaves_are_got_used_to_and_hide_nobody() {
        let mut gate = ChangeGate::new(&[zone()]);
        let mut see = |street: Street| {
            let said = gate.observe(&street.picture((320, 180)));
            if said != Change::None {
                gate.inferred();
            }
            said
        };
        let windy = |seed| Street { seed, leaves: true, ..EMPTY };
        for seed in 0..200 {
            see(windy(seed));
        }
        let calm = (200..300).filter(|&seed| see(windy(seed)) == Change::None).count();
        assert!(calm > 20, "{calm}");
        let person = Street { thing: Some(thing(0.4, 0.5, 0.04, 0.2, 60.0)), ..windy(300) };
        assert_eq!(see(person), Change::Some);
    }

    #[test]
    fn memory_is_small() {
        let mut gate = ChangeGate::new(&[Polygon::whole_picture()]);
        (0..2).for_each(|seed| {
            gate.observe(&Street { seed, ..EMPTY }.picture((1920, 1080)));
            gate.inferred();
        });
        let state = gate.state.as_ref().unwrap();
        let bytes = 2 * 2 * state.observed.len() + state.noise.len();
        assert!(state.inferred.is_some() && bytes < 20 * 1024, "{bytes}");
    }

    proptest! {
        #[test]
        fn any_pictures_in_any_order(
            pictures in prop::collection::vec((0usize..200, 0usize..200, any::<u64>(), any::<bool>(), any::<bool>()), 1..12),
        ) {
            let mut gate = ChangeGate::new(&[zone()]);
            let mut known = false;
            for (width, height, seed, short, infer) in pictures {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut picture = picture(width, height, |_| random.u8(..));
                if short {
                    picture.y = picture.y.iter().copied().take(100).collect();
                }
                let said = gate.observe(&picture);
                prop_assert!(known || said == Change::Unknown);
                if infer {
                    gate.inferred();
                }
                known |= infer;
            }
        }
    }
}
