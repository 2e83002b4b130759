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
//! | somebody's long shadow | begins at somebody, and is the same ground only darker: no object, learnt |
//! | something that stood there from the start drives off | the empty model has the outline, the picture has not: learnt |
//! | infrared switch | last night's reference, if there is one; else learnt anew, and what counted goes on counting |
//! | a lorry close to the camera fills the picture | not looked at; it goes on as before when the lorry has passed |
//! | everything changes otherwise, and stays so (camera turned, lens covered) | learnt anew; `settled` is false meanwhile |
//! | restart, camera turned back, lens uncovered | the reference that fits: what has come meanwhile is not learnt |

mod cell;
pub(super) mod exposure;
pub(super) mod grid;
mod ground;
mod lanes;
mod reference;
mod region;
mod rest;
mod shake;

use std::array;
use std::cell::Cell;
use std::time::Duration;

use crate::detection::ZoneForeground;
use crate::frame::Picture;
use crate::geometry::{BBox, Polygon};
use crate::observation::ZoneId;

use cell::{Cells, Step};
use exposure::Exposure;
use grid::{Grid, Sample, Samples, ZoneCells};
use lanes::{LANES, Values, lane};
pub use reference::Light;
use reference::{Known, References};
use region::Kind;
use rest::{RestingCells, RestingSample};
use shake::Profiles;

/// A cell that differs must be steady for this long to count, in seconds.
const STEADY_S: f32 = 3.0;
/// A cell that counts must be seen empty for this long, and in two pictures, to count no longer.
const EMPTY_S: f32 = 1.5;
/// Learning takes this long, in seconds, and at least three pictures.
const LEARN_S: f64 = 5.0;
const LEARN_PICTURES: u32 = 3;
/// Time constant in which an empty cell's slow changes are learnt, in seconds.
const SLOW_S: f64 = 60.0;
/// Time constant of a cell's noise, in seconds.
const NOISE_S: f64 = 30.0;
/// No noise is believed to exceed this many grey levels: else a busy place would go blind.
const NOISE_MAX: f32 = 12.0;
/// When more than this share of all cells differs at once, the model is of another picture, ...
const LOST_SHARE: f32 = 0.5;
/// ... unless that is over within so many seconds: a lorry close to the camera, a bus at its stop.
const LOST_S: f64 = 20.0;
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

thread_local! {
    /// Where cells are awake, one camera's after the other's: memory by thread, not by camera.
    static AWAKE: Cell<Vec<Cells>> = const { Cell::new(Vec::new()) };
}

/// The model of one picture size.
struct Model {
    grid: Grid,
    zones: Vec<ZoneCells>,
    /// Where the camera stood when the cells were learnt.
    profiles: Profiles,
    /// Its cells while it is looked at; empty in between, when they rest.
    cells: Vec<Cells>,
    resting: Vec<RestingCells>,
    /// When learning began and how many pictures it has had; `None` when learnt.
    learning: Option<(Duration, u32)>,
    /// Since when another picture has been seen; `None` when it is the one learnt.
    lost: Option<Duration>,
    last: Duration,
    /// Mean distance from grey of the last picture: an infrared picture has none.
    colour: f32,
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
        let samples = model.resting.iter().flat_map(RestingCells::empty).take(model.grid.cells());
        let samples: Vec<RestingSample> = samples.collect();
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
                model.adopt(known, &samples);
            }
            self.model = Some(model);
            return self.unsettled();
        }
        let Some(model) = &mut self.model else { return self.unsettled() };
        let shift = profiles.shift_from(&model.profiles);
        let samples = grid.samples(picture, shift);
        let hidden = model.hidden(passers);
        model.shaken = if shift == (0, 0) { (model.shaken - 1).max(0) } else { SHAKEN_PICTURES };
        if !model.observe(&samples, &hidden, at) {
            let learns = model.learning == Some((at, 1));
            if learns || model.lost.is_some() {
                // Before anything is learnt: somebody may know the place in this light.
                let samples = grid.samples(picture, (0, 0));
                if learns {
                    model.profiles = profiles;
                }
                if let Some(known) = self.references.recall(&model.grid, &model.zones, &samples) {
                    model.adopt(known, &samples);
                }
            } else {
                model.profiles.follow(&profiles, shift, PROFILE_SHARE);
            }
            return self.unsettled();
        }
        model.profiles.follow(&profiles, shift, PROFILE_SHARE);
        let object = model.objects(&hidden);
        let clean = model.is_clean(&samples, &object);
        self.reference_due = self.references.note(clean, || model.light(), || model.as_known(), at);
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
    fn new(grid: Grid, zones: Vec<ZoneCells>, profiles: Profiles, samples: &Samples, at: Duration) -> Self {
        Self {
            grid,
            zones,
            profiles,
            cells: samples.lanes().map(Cells::new).collect(),
            resting: Vec::new(),
            learning: Some((at, 1)),
            lost: None,
            last: at,
            colour: samples.colour(),
            shaken: 0,
        }
    }

    fn wake(&mut self) {
        self.cells = AWAKE.take();
        self.cells.resize(self.resting.len(), Cells::BLANK);
        self.cells.iter_mut().zip(&self.resting).for_each(|(cells, resting)| resting.wake(cells));
    }

    fn rest(&mut self) {
        self.resting.resize(self.cells.len(), RestingCells::BLANK);
        self.resting.iter_mut().zip(&self.cells).for_each(|(resting, cells)| resting.rest(cells));
        AWAKE.set(std::mem::take(&mut self.cells));
    }

    /// Which cells nobody can see just now.
    fn hidden(&self, passers: &[BBox]) -> Vec<[bool; LANES]> {
        let mut hidden = vec![[false; LANES]; self.cells.len()];
        for cell in passers.iter().flat_map(|passer| self.grid.cells_in(passer)) {
            hidden[cell / LANES][cell % LANES] = true;
        }
        // What fills up the last of them is no place.
        (self.grid.cells()..hidden.len() * LANES).for_each(|cell| hidden[cell / LANES][cell % LANES] = true);
        hidden
    }

    /// A mark of every cell, in order.
    fn marked(&self, of: impl Fn(&Cells) -> &[bool; LANES]) -> Vec<bool> {
        let mut marks = Vec::with_capacity(self.cells.len() * LANES);
        self.cells.iter().for_each(|cells| marks.extend_from_slice(of(cells)));
        marks.truncate(self.grid.cells());
        marks
    }

    /// Something of every cell, in order.
    fn each<T>(&self, of: impl Fn(&Cells, usize) -> T) -> Vec<T> {
        let mut all = Vec::with_capacity(self.cells.len() * LANES);
        self.cells.iter().for_each(|cells| all.extend((0..LANES).map(|i| of(cells, i))));
        all.truncate(self.grid.cells());
        all
    }

    /// Notes how much of a difference the ground's own edges make when the camera shakes by parts of a pixel, and those of
    /// what stands there now: a mat full of goods trembles more than the pavement that it lies on.
    fn note_edges(&mut self) {
        if self.shaken == 0 {
            // As the cells wake.
            return;
        }
        let (empty, steady) =
            (self.each(|cells, i| cells.empty[0][i]), self.each(|cells, i| cells.steady[0][i]));
        for i in 0..empty.len() {
            let slack = |luma: &[f32]| {
                let edges = self.grid.neighbours(i).map(|n| (luma[n] - luma[i]).abs());
                EDGE_SLACK * edges.fold(0.0, f32::max)
            };
            let (ground, thing) = (slack(&empty), slack(&steady));
            let cells = &mut self.cells[i / LANES];
            (cells.slack[i % LANES], cells.tremble[i % LANES]) = (ground, ground.max(thing));
        }
    }

    /// Brings the cells up to date; false while nothing can be said.
    fn observe(&mut self, samples: &Samples, hidden: &[[bool; LANES]], at: Duration) -> bool {
        let passed_s = at.saturating_sub(self.last).as_secs_f64();
        let hundredths = |time: Duration| time.as_millis() / 10;
        let passed = hundredths(at).saturating_sub(hundredths(self.last)) as f32;
        self.last = at;
        let (colour_before, colour) = (self.colour, samples.colour());
        self.colour = colour;
        if grid::infrared_switched(colour_before, colour) {
            self.relearn(samples, at, true);
            return false;
        }
        let share = |time_s: f64| (1.0 - (-passed_s / time_s).exp()) as f32;
        let step = Step {
            passed,
            coloured: grid::is_coloured(colour),
            learning: self.learning.is_some(),
            slow: share(SLOW_S),
            calm: share(NOISE_S),
            noise_max: NOISE_MAX,
            steady_s: STEADY_S,
            empty_s: EMPTY_S,
        };
        if let Some((began, pictures)) = self.learning {
            self.follow(samples, hidden, &step);
            let done = (at.saturating_sub(began)).as_secs_f64() >= LEARN_S && pictures + 1 >= LEARN_PICTURES;
            self.learning = (!done).then_some((began, pictures + 1));
            if done {
                self.release();
                for cells in &mut self.cells {
                    // What is held stays held: it is part of what has just been learnt.
                    (cells.empty, cells.earlier) = (cells.steady, cells.steady);
                }
            }
            return done;
        }
        self.adjust(samples);
        self.note_edges();
        let differing = self.differing(samples).into_iter().filter(|differs| *differs).count();
        if differing as f32 > LOST_SHARE * self.grid.cells() as f32 {
            let since = *self.lost.get_or_insert(at);
            if at.saturating_sub(since).as_secs_f64() < LOST_S {
                // As if nobody had looked; they were brought into the exposure of what is something else.
                self.cells.iter_mut().zip(&self.resting).for_each(|(cells, resting)| resting.wake(cells));
                self.colour = colour_before;
            } else {
                self.relearn(samples, at, false);
            }
            return false;
        }
        self.lost = None;
        self.follow(samples, hidden, &step);
        true
    }

    /// Which cells look other than empty.
    fn differing(&self, samples: &Samples) -> Vec<bool> {
        let coloured = grid::is_coloured(self.colour);
        let lanes = self.cells.iter().zip(samples.lanes());
        let mut differing = Vec::with_capacity(self.cells.len() * LANES);
        lanes.for_each(|(cells, now)| differing.extend_from_slice(&cells.differ(now, coloured)));
        differing.truncate(self.grid.cells());
        differing
    }

    /// Starts anew; `hold` keeps what counted counting: only the light is new, the heap is still there.
    fn relearn(&mut self, samples: &Samples, at: Duration, hold: bool) {
        let again = self.learning.is_some();
        for (cells, now) in self.cells.iter_mut().zip(samples.lanes()) {
            let held = array::from_fn(|i| hold && (cells.held[i] ^ cells.counts[i]));
            let before = std::mem::replace(cells, Cells { held, ..Cells::new(now) });
            // What it looked like, and the ground that it hides, until this light is known.
            let (thing, ground) =
                if again { (&before.empty, &before.earlier) } else { (&before.steady, &before.empty) };
            for i in (0..LANES).filter(|&i| held[i]) {
                lane::put(&mut cells.empty, i, &lane::get(thing, i));
                lane::put(&mut cells.earlier, i, &lane::get(ground, i));
            }
        }
        (self.learning, self.lost) = (Some((at, 1)), None);
    }

    /// What left while the light changed is held no longer: its place looks more like the ground that it hid than like it.
    fn release(&mut self) {
        let held = self.marked(|cells| &cells.held);
        for part in self.grid.connected(&held) {
            let lumas = |of: fn(&Cells) -> &Values| -> Vec<f32> {
                part.iter().map(|&i| of(&self.cells[i / LANES])[0][i % LANES]).collect()
            };
            let now = lumas(|cells| &cells.steady);
            let like_thing = region::correlation(&lumas(|cells| &cells.empty), &now).1;
            let like_ground = region::correlation(&lumas(|cells| &cells.earlier), &now).1;
            if like_ground >= GROUND_LIKE_MIN && like_ground > like_thing {
                part.iter().for_each(|&i| self.cells[i / LANES].held[i % LANES] = false);
            }
        }
    }

    /// Takes a known empty place for its model, in place of learning one; what differs now has come since.
    fn adopt(&mut self, known: Known, samples: &Samples) {
        self.profiles = known.profiles;
        let coloured = grid::is_coloured(self.colour);
        for ((cells, empty), now) in self.cells.iter_mut().zip(known.samples.lanes()).zip(samples.lanes()) {
            let held = cells.held;
            let empty = empty.map(|lanes| *lanes);
            *cells = Cells { empty, earlier: empty, ..Cells::new(now) };
            // What counted before the light changed need not prove anew that it stays.
            let differ = cells.differ(now, coloured);
            cells.counts = array::from_fn(|i| held[i] && differ[i]);
        }
        (self.learning, self.lost) = (None, None);
    }

    /// The empty place as it may be known later.
    fn as_known(&self) -> Known {
        let samples = self.each(|cells, i| lane::get(&cells.empty, i));
        Known { samples: samples.into_iter().collect(), profiles: self.profiles.clone() }
    }

    /// The light on the empty place.
    fn light(&self) -> Light {
        let mut sums = [[0.0; LANES]; 2];
        for [luma, blue, red] in self.cells.iter().map(|cells| &cells.empty) {
            for i in 0..LANES {
                sums[0][i] += blue[i].abs() + red[i].abs();
                sums[1][i] += luma[i];
            }
        }
        let [colour, luma] = sums.map(|sums| sums.iter().sum::<f32>() / self.grid.cells() as f32);
        Light::of(colour, luma)
    }

    /// Whether nothing is in the zones, not even somebody passing through.
    fn is_clean(&self, samples: &Samples, object: &[bool]) -> bool {
        // Single cells flicker.
        let few = |marked: &[bool]| {
            let mut zones = self.zones.iter();
            let cells = |zone: &ZoneCells| {
                zone.iter().filter(|(i, _)| marked[usize::from(*i)]).take(REGION_CELLS_MIN).count()
            };
            zones.all(|zone| cells(zone) < REGION_CELLS_MIN)
        };
        let mut taken = self.marked(|cells| &cells.counts);
        taken.iter_mut().zip(object).for_each(|(taken, object)| *taken |= object);
        if !few(&taken) {
            return false;
        }
        taken.iter_mut().zip(self.differing(samples)).for_each(|(taken, differs)| *taken |= differs);
        few(&taken)
    }

    /// Expresses the model in the exposure of this picture, if that has changed.
    fn adjust(&mut self, samples: &Samples) {
        let free = |cells: &Cells| cells.counts.iter().map(|&counts| usize::from(!counts)).sum::<usize>();
        let padding = self.cells.len() * LANES - self.grid.cells();
        let stride = Exposure::stride(self.cells.iter().map(free).sum::<usize>() - padding);
        let mut pairs = Vec::new();
        // How many free cells lie between here and the next that is asked.
        let mut ahead = 0;
        for (cells, now) in self.cells.iter().zip(samples.lanes()) {
            let here = free(cells);
            if ahead < here {
                let pair = |i: usize| (cells.empty[0][i], now[0][i]);
                if here == LANES {
                    pairs.extend((ahead..LANES).step_by(stride).map(pair));
                } else {
                    let free = (0..LANES).filter(|&i| !cells.counts[i]);
                    pairs.extend(free.skip(ahead).step_by(stride).map(pair));
                }
                ahead += (here - ahead).div_ceil(stride) * stride;
            }
            ahead -= here;
        }
        let exposure = Exposure::fit(pairs.into_iter());
        if exposure.is_neutral() {
            return;
        }
        for cells in &mut self.cells {
            for values in [&mut cells.empty, &mut cells.earlier, &mut cells.steady] {
                values[0].iter_mut().for_each(|luma| *luma = exposure.apply(*luma));
            }
        }
    }

    /// Follows every cell that can be seen.
    fn follow(&mut self, samples: &Samples, hidden: &[[bool; LANES]], step: &Step) {
        for ((cells, now), hidden) in self.cells.iter_mut().zip(samples.lanes()).zip(hidden) {
            cells.follow(now, hidden, step);
        }
    }

    /// Which cells hold an object; regions that are only light, or the outline of what has left, are learnt on the way.
    fn objects(&mut self, hidden: &[[bool; LANES]]) -> Vec<bool> {
        for cells in self.cells.iter_mut().filter(|cells| cells.held.contains(&true)) {
            for i in 0..LANES {
                if cells.held[i] && cells.counts[i] {
                    // What was held has gone for good: this is the empty place.
                    let steady = lane::get(&cells.steady, i);
                    cells.learn(i, &steady);
                }
            }
        }
        let mut object = self.marked(|cells| &cells.held);
        let counting = self.marked(|cells| &cells.counts);
        if !counting.contains(&true) {
            return object;
        }
        let empty = self.each(|cells, i| lane::get(&cells.empty, i));
        // What stands there is compared as it was when steady: somebody may be walking past just now.
        let steady = self.each(|cells, i| lane::get(&cells.steady, i));
        let noise = self.each(|cells, i| cells.noise[i]);
        let hidden: Vec<bool> = hidden.iter().flatten().copied().take(self.grid.cells()).collect();
        let scene = region::Scene {
            grid: &self.grid,
            counting: &counting,
            empty: &empty,
            steady: &steady,
            noise: &noise,
            hidden: &hidden,
        };
        for region in scene.regions() {
            if region.len() < REGION_CELLS_MIN {
                continue;
            }
            let mut change = |change: fn(&mut Cells, usize, &Sample)| {
                region.iter().for_each(|&i| change(&mut self.cells[i / LANES], i % LANES, &steady[i]));
            };
            match scene.kind(&region, grid::is_coloured(self.colour)) {
                // Edges of markings, where the camera has shaken by part of a pixel.
                Kind::Object if self.shaken > 0 && !scene.has_body(&region) => {}
                Kind::Object => region.iter().for_each(|&i| object[i] = true),
                // Not for good: a dark car by night is easily taken for the place of one that has left.
                Kind::Light | Kind::Left => change(Cells::relight),
            }
        }
        object
    }
}
