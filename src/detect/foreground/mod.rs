//! What stands in a zone and was not there before, whatever it is: a model of the empty place, and what differs and stays.
//!
//! The picture is reduced to a grid of at most 160 x 90 cells. Each cell knows its empty value (slow), its latest steady
//! value (fast) and its noise. A cell counts when it differs from empty and has been steady for three seconds, until it is
//! seen empty again: movers never get there, and who walks past in front erases nothing. Cells that count are never learnt.
//!
//! | happens | answer |
//! |---|---|
//! | a mast in the wind | pictures are laid over each other before they are compared |
//! | exposure, gain, clouds over the whole picture | gain and offset are fitted on what has not changed |
//! | shadow or lamp on a part | the region keeps the empty place's structure and colour: no object, learnt |
//! | something that stood there from the start drives off | the empty model has the outline, the picture has not: learnt |
//! | infrared switch | last night's reference, if there is one; else learnt anew, and what counted goes on counting |
//! | everything changes otherwise (camera turned, lens covered) | learnt anew; `settled` is false meanwhile |
//! | restart, camera turned back, lens uncovered | the reference that fits: what has come meanwhile is not learnt |

mod cell;
pub(super) mod exposure;
pub(super) mod grid;
mod ground;
mod reference;
mod region;
mod rest;
mod shake;

use std::time::Duration;

use crate::detection::ZoneForeground;
use crate::frame::Picture;
use crate::geometry::{BBox, Polygon};
use crate::observation::ZoneId;

use cell::{Cell, Moment};
use exposure::Exposure;
use grid::{Grid, Sample, ZoneCells};
pub use reference::Light;
use reference::{Known, References};
use region::Kind;
use rest::{RestingCell, RestingSample};
use shake::Profiles;

/// A cell that differs must be steady for this long to count, in seconds.
const STEADY_S: f64 = 3.0;
/// A cell that counts must be seen empty for this long, and in two pictures, to count no longer.
const EMPTY_S: f64 = 1.5;
/// Learning takes this long, in seconds, and at least three pictures.
const LEARN_S: f64 = 5.0;
const LEARN_PICTURES: u32 = 3;
/// Time constant in which an empty cell's slow changes are learnt, in seconds.
const SLOW_S: f64 = 60.0;
/// Time constant of a cell's noise, in seconds.
const NOISE_S: f64 = 30.0;
/// No noise is believed to exceed this many grey levels: else a busy place would go blind.
const NOISE_MAX: f32 = 12.0;
/// When more than this share of all cells differs at once, the model is of another picture.
const LOST_SHARE: f32 = 0.5;
/// A camera that shook in one of so many pictures may do so again, ...
const SHAKEN_PICTURES: i32 = 30;
/// ... and parts of a pixel stay: differences up to this share of the ground's own edges are no difference.
const EDGE_SLACK: f32 = 0.3;
/// How much of each picture enters the profiles that the next one is laid over.
const PROFILE_SHARE: f32 = 0.05;
/// Regions with fewer cells are noise.
const REGION_CELLS_MIN: usize = 3;
/// The place of what left while the light changed correlates at least so well with the ground that was there before.
const GROUND_LIKE_MIN: f32 = 0.4;
/// Most boxes reported per zone.
const BOXES_MAX: usize = 16;

/// The model of one picture size.
struct Model {
    grid: Grid,
    zones: Vec<ZoneCells>,
    /// Where the camera stood when the cells were learnt.
    profiles: Profiles,
    /// Its cells while it is looked at; empty in between, when they rest.
    cells: Vec<Cell>,
    resting: Vec<RestingCell>,
    /// When learning began and how many pictures it has had; `None` when learnt.
    learning: Option<(Duration, u32)>,
    last: Duration,
    /// Mean distance from grey of the last picture: an infrared picture has none.
    colour: f32,
    /// Which cells nobody can see just now.
    hidden: Vec<bool>,
    /// For how many more pictures the camera counts as shaking.
    shaken: i32,
}

/// Static foreground of any kind in the zones of one camera.
pub struct Foreground {
    zones: Vec<(ZoneId, Polygon)>,
    model: Option<Model>,
    references: References,
    /// Set when the latest picture shows all zones empty and should be kept.
    reference_due: Option<Light>,
}

impl Foreground {
    /// Knows nothing yet: the first pictures are taken for the empty place.
    pub fn new(zones: &[(ZoneId, Polygon)]) -> Self {
        Self { zones: zones.to_vec(), model: None, references: References::default(), reference_due: None }
    }

    /// Takes up a picture of the empty place from an earlier run; one that is of no use does no harm.
    pub fn know(&mut self, reference: &Picture) {
        if let Some(grid) = Grid::of(reference) {
            let profiles = Profiles::of(&reference.y, (reference.width, reference.height));
            self.references.know(Known { samples: grid.samples(reference, (0, 0)), profiles });
        }
    }

    /// Takes up what an earlier run had learnt, as [`Self::ground`] gave it; a picture of the empty place in the same light
    /// ([`Self::know`]) knows better.
    pub fn know_ground(&mut self, bytes: &[u8]) {
        if let Some(known) = ground::from_bytes(bytes) {
            self.references.know(known);
        }
    }

    /// The empty place as far as it has been learnt, for the next start; some 100 KB.
    pub fn ground(&self) -> Option<Vec<u8>> {
        let model = self.model.as_ref().filter(|model| model.learning.is_none())?;
        let samples: Vec<RestingSample> = model.resting.iter().map(RestingCell::empty).collect();
        Some(ground::to_bytes(&samples, &model.profiles))
    }

    /// The light, if the picture observed last shows every zone empty and should be kept for the next run; about once an hour.
    pub fn reference_due(&self) -> Option<Light> {
        self.reference_due
    }

    /// Takes the next picture, at whatever interval; gives one answer per zone, in the order of `new`. Places behind
    /// `passers` (boxes of people, say) are not seen in this picture: whatever is there stays what it was.
    pub fn observe(&mut self, picture: &Picture, passers: &[BBox]) -> Vec<ZoneForeground> {
        if let Some(model) = &mut self.model {
            model.wake();
        }
        let seen = self.look(picture, passers);
        if let Some(model) = &mut self.model {
            model.rest();
        }
        seen
    }

    fn look(&mut self, picture: &Picture, passers: &[BBox]) -> Vec<ZoneForeground> {
        self.reference_due = None;
        let Some(grid) = Grid::of(picture) else { return self.unsettled() };
        let at = picture.captured.media;
        let profiles = Profiles::of(&picture.y, (picture.width, picture.height));
        if self.model.as_ref().is_none_or(|m| m.grid != grid) {
            let zones: Vec<ZoneCells> =
                self.zones.iter().map(|(_, polygon)| grid.cells_of(polygon)).collect();
            let samples = grid.samples(picture, (0, 0));
            let mut model = Model::new(grid, zones, profiles, &samples, at);
            if let Some(known) = self.references.recall(&model.grid, &model.zones, &samples) {
                model.adopt(known, &samples, at);
            }
            self.model = Some(model);
            return self.unsettled();
        }
        let Some(model) = &mut self.model else { return self.unsettled() };
        let shift = profiles.shift_from(&model.profiles);
        let samples = grid.samples(picture, shift);
        model.hide(passers);
        model.shaken = if shift == (0, 0) { (model.shaken - 1).max(0) } else { SHAKEN_PICTURES };
        if !model.observe(&samples, at) {
            // Just lost: before anything is learnt, somebody may know the place in this light.
            if model.learning == Some((at, 1)) {
                let samples = grid.samples(picture, (0, 0));
                model.profiles = profiles;
                if let Some(known) = self.references.recall(&model.grid, &model.zones, &samples) {
                    model.adopt(known, &samples, at);
                }
            } else {
                model.profiles.follow(&profiles, shift, PROFILE_SHARE);
            }
            return self.unsettled();
        }
        model.profiles.follow(&profiles, shift, PROFILE_SHARE);
        let object = model.objects();
        let clean = model.is_clean(&samples, &object);
        self.reference_due = self.references.note(clean, || model.as_known(), at);
        let report = |(id, cells): (&(ZoneId, Polygon), &ZoneCells)| {
            let (covered, boxes) = model.grid.covered(cells, &object);
            let boxes = boxes.into_iter().take(BOXES_MAX).collect();
            ZoneForeground { zone: id.0.to_string(), covered, boxes, settled: true }
        };
        self.zones.iter().zip(&model.zones).map(report).collect()
    }

    fn unsettled(&self) -> Vec<ZoneForeground> {
        let blank = |(id, _): &(ZoneId, Polygon)| ZoneForeground {
            zone: id.to_string(),
            covered: 0.0,
            boxes: Vec::new(),
            settled: false,
        };
        self.zones.iter().map(blank).collect()
    }
}

impl Model {
    fn new(grid: Grid, zones: Vec<ZoneCells>, profiles: Profiles, samples: &[Sample], at: Duration) -> Self {
        let cells = samples.iter().map(|s| Cell::new(*s, Moment::of(at))).collect();
        let resting = Vec::new();
        let colour = grid::colour(samples);
        let hidden = vec![false; samples.len()];
        Self {
            grid,
            zones,
            profiles,
            cells,
            resting,
            learning: Some((at, 1)),
            last: at,
            colour,
            hidden,
            shaken: 0,
        }
    }

    fn wake(&mut self) {
        self.cells = std::mem::take(&mut self.resting).iter().map(Cell::from).collect();
    }

    fn rest(&mut self) {
        self.resting = std::mem::take(&mut self.cells).iter().map(RestingCell::from).collect();
    }

    fn hide(&mut self, passers: &[BBox]) {
        self.hidden.fill(false);
        for cell in passers.iter().flat_map(|passer| self.grid.cells_in(passer)) {
            self.hidden[cell] = true;
        }
    }

    /// Notes how much of a difference the ground's own edges make when the camera shakes by parts of a pixel, and those of
    /// what stands there now: a mat full of goods trembles more than the pavement that it lies on.
    fn note_edges(&mut self) {
        for i in 0..self.cells.len() {
            let slack = |luma: fn(&Cell) -> f32| {
                let here = luma(&self.cells[i]);
                let edges = self.grid.neighbours(i).map(|n| (luma(&self.cells[n]) - here).abs());
                EDGE_SLACK * edges.fold(0.0, f32::max)
            };
            let (ground, thing) = if self.shaken > 0 {
                (slack(|cell| cell.empty.luma), slack(|cell| cell.steady.luma))
            } else {
                (0.0, 0.0)
            };
            (self.cells[i].slack, self.cells[i].tremble) = (ground, ground.max(thing));
        }
    }

    /// Brings the cells up to date; false while nothing can be said.
    fn observe(&mut self, samples: &[Sample], at: Duration) -> bool {
        let passed_s = at.saturating_sub(self.last).as_secs_f64();
        self.last = at;
        let (colour_before, colour) = (self.colour, grid::colour(samples));
        self.colour = colour;
        if grid::infrared_switched(colour_before, colour) {
            self.relearn(samples, at, true);
            return false;
        }
        if let Some((began, pictures)) = self.learning {
            self.follow(samples, at, None);
            let done = (at.saturating_sub(began)).as_secs_f64() >= LEARN_S && pictures + 1 >= LEARN_PICTURES;
            self.learning = (!done).then_some((began, pictures + 1));
            if done {
                self.release();
                for cell in &mut self.cells {
                    // What is held stays held: it is part of what has just been learnt.
                    (cell.empty, cell.earlier) = (cell.steady, cell.steady);
                }
            }
            return done;
        }
        self.adjust(samples);
        self.note_edges();
        let coloured = grid::is_coloured(colour);
        let differing = self.cells.iter().zip(samples).filter(|(c, s)| c.differs(s, coloured)).count();
        if differing as f32 > LOST_SHARE * self.cells.len() as f32 {
            self.relearn(samples, at, false);
            return false;
        }
        self.follow(samples, at, Some(passed_s));
        true
    }

    /// Starts anew; `hold` keeps what counted counting: only the light is new, the heap is still there.
    fn relearn(&mut self, samples: &[Sample], at: Duration, hold: bool) {
        let again = self.learning.is_some();
        for (cell, sample) in self.cells.iter_mut().zip(samples) {
            let held = hold && (cell.held ^ cell.counts);
            let new = Cell::new(*sample, Moment::of(at));
            *cell = match held {
                false => new,
                // What it looked like, and the ground that it hides, until this light is known.
                true if again => Cell { held, empty: cell.empty, earlier: cell.earlier, ..new },
                true => Cell { held, empty: cell.steady, earlier: cell.empty, ..new },
            };
        }
        self.learning = Some((at, 1));
    }

    /// What left while the light changed is held no longer: its place looks more like the ground that it hid than like it.
    fn release(&mut self) {
        let held: Vec<bool> = self.cells.iter().map(|cell| cell.held).collect();
        for part in self.grid.connected(&held) {
            let lumas =
                |of: fn(&Cell) -> f32| -> Vec<f32> { part.iter().map(|&i| of(&self.cells[i])).collect() };
            let now = lumas(|cell| cell.steady.luma);
            let like_thing = region::correlation(&lumas(|cell| cell.empty.luma), &now).1;
            let like_ground = region::correlation(&lumas(|cell| cell.earlier.luma), &now).1;
            if like_ground >= GROUND_LIKE_MIN && like_ground > like_thing {
                part.iter().for_each(|&i| self.cells[i].held = false);
            }
        }
    }

    /// Takes a known empty place for its model, in place of learning one; what differs now has come since.
    fn adopt(&mut self, known: Known, samples: &[Sample], at: Duration) {
        self.profiles = known.profiles;
        let coloured = grid::is_coloured(self.colour);
        for ((cell, empty), sample) in self.cells.iter_mut().zip(&known.samples).zip(samples) {
            let held = cell.held;
            *cell = Cell { empty: *empty, earlier: *empty, ..Cell::new(*sample, Moment::of(at)) };
            // What counted before the light changed need not prove anew that it stays.
            cell.counts = held && cell.differs(sample, coloured);
        }
        self.learning = None;
    }

    /// The empty place as it may be known later.
    fn as_known(&self) -> Known {
        Known { samples: self.cells.iter().map(|cell| cell.empty).collect(), profiles: self.profiles.clone() }
    }

    /// Whether nothing is in the zones, not even somebody passing through.
    fn is_clean(&self, samples: &[Sample], object: &[bool]) -> bool {
        let coloured = grid::is_coloured(self.colour);
        let empty = |i: usize| {
            let cell = &self.cells[i];
            !object[i] && !cell.counts && !cell.differs(&samples[i], coloured)
        };
        // Single cells flicker.
        self.zones.iter().all(|zone| zone.iter().filter(|&&(i, _)| !empty(i)).count() < REGION_CELLS_MIN)
    }

    /// Expresses the model in the exposure of this picture, if that has changed.
    fn adjust(&mut self, samples: &[Sample]) {
        let pairs = self.cells.iter().zip(samples).filter(|(c, _)| !c.counts);
        let pairs: Vec<(f32, f32)> = pairs.map(|(c, s)| (c.empty.luma, s.luma)).collect();
        let exposure = Exposure::fit(&pairs);
        if exposure.is_neutral() {
            return;
        }
        for cell in &mut self.cells {
            cell.empty.luma = exposure.apply(cell.empty.luma);
            cell.earlier.luma = exposure.apply(cell.earlier.luma);
            cell.steady.luma = exposure.apply(cell.steady.luma);
        }
    }

    /// Follows every cell; `passed_s` is `None` while learning.
    fn follow(&mut self, samples: &[Sample], at: Duration, passed_s: Option<f64>) {
        let coloured = grid::is_coloured(self.colour);
        let share = |time_s: f64| passed_s.map_or(0.0, |s| 1.0 - (-s / time_s).exp()) as f32;
        let (slow, calm) = (share(SLOW_S), share(NOISE_S));
        let moment = Moment::of(at);
        let seen = self.cells.iter_mut().zip(samples).zip(&self.hidden).filter(|(_, hidden)| !**hidden);
        for ((cell, now), _) in seen {
            if cell.is_steady(now, coloured) {
                cell.steady = cell.steady.mixed(now, 0.3);
            } else {
                (cell.steady, cell.steady_since) = (*now, moment);
            }
            if passed_s.is_none() {
                continue;
            }
            if cell.far(now, &cell.empty, coloured) && !cell.far(now, &cell.earlier, coloured) {
                (cell.empty, cell.earlier) = (cell.earlier, cell.empty);
            }
            let deviation = (now.luma - cell.empty.luma).abs().min(NOISE_MAX);
            if cell.differs(now, coloured) {
                cell.empty_since = None;
                let steady_s = cell.steady_since.seconds_until(moment);
                cell.counts |= steady_s >= STEADY_S;
                if steady_s == 0.0 && !cell.counts {
                    // Restless: leaves, water, a flag. A quarter as fast, so that a passer-by does not blind the place.
                    cell.noise += 0.25 * calm * (deviation - cell.noise);
                }
            } else {
                cell.noise += calm * (deviation - cell.noise);
                let since = *cell.empty_since.get_or_insert(moment);
                if cell.counts && since.seconds_until(moment) >= EMPTY_S {
                    cell.counts = false;
                }
                if !cell.counts {
                    cell.empty = cell.empty.mixed(now, slow);
                }
            }
        }
    }

    /// Which cells hold an object; regions that are only light, or the outline of what has left, are learnt on the way.
    fn objects(&mut self) -> Vec<bool> {
        for cell in self.cells.iter_mut().filter(|c| c.held && c.counts) {
            // The place of something that was held has changed for good: it has gone, and this is the empty place.
            let steady = cell.steady;
            cell.learn(&steady);
        }
        let counting: Vec<bool> = self.cells.iter().map(|c| c.counts).collect();
        if !counting.contains(&true) {
            return self.cells.iter().map(|c| c.held).collect();
        }
        let mut object: Vec<bool> = self.cells.iter().map(|c| c.held).collect();
        let empty: Vec<Sample> = self.cells.iter().map(|c| c.empty).collect();
        // What stands there is compared as it was when steady: somebody may be walking past just now.
        let steady: Vec<Sample> = self.cells.iter().map(|c| c.steady).collect();
        let noise: Vec<f32> = self.cells.iter().map(|c| c.noise).collect();
        let scene = region::Scene {
            grid: &self.grid,
            counting: &counting,
            empty: &empty,
            steady: &steady,
            noise: &noise,
        };
        for region in scene.regions() {
            if region.len() < REGION_CELLS_MIN {
                continue;
            }
            match scene.kind(&region, grid::is_coloured(self.colour)) {
                // Edges of markings, where the camera has shaken by part of a pixel.
                Kind::Object if self.shaken > 0 && !scene.has_body(&region) => {}
                Kind::Object => region.iter().for_each(|&i| object[i] = true),
                Kind::Light => region.iter().for_each(|&i| self.cells[i].relight(&steady[i])),
                Kind::Left => region.iter().for_each(|&i| self.cells[i].learn(&steady[i])),
            }
        }
        object
    }
}
