//! What a region of lasting change is: an object, a change of light, or the place of something that has left.

use super::grid::{Grid, Sample};

/// Inside an object at least this share of neighbouring cells has edges or colours that the empty place had not; a
/// shadow or a lamp leaves them as they were, times a factor.
const NEW_STRUCTURE_MIN: f32 = 0.12;
/// Least difference of two edges, in grey levels.
const EDGE_MIN: f32 = 5.0;
/// Least difference of two colours.
const COLOUR_MIN: f32 = 8.0;
/// Unexplained differences of neighbouring cells this many times their noise, on average over a region, are structure too.
const RESIDUE_NOISES: f32 = 1.0;
/// Ground with this much variance of its own, in squared grey levels, shows through any light, ...
const TEXTURE_MIN: f32 = 12.0;
/// ... at least so well (correlation of the region before and now).
const TEXTURE_KEPT_MIN: f32 = 0.6;
/// When the empty model has an outline this many times as strong as the picture, what had the outline has left, ...
const LEFT_RATIO: f32 = 1.4;
/// ... unless the picture has a strong outline too, in grey levels: then something hides the markings of the ground.
const LEFT_OUTLINE_MAX: f32 = 12.0;
/// No markings make so much of a difference round a broad region.
const LEFT_RATIO_SURE: f32 = 2.0;
/// Regions with fewer pairs of neighbouring cells inside are judged by their outline.
const THIN_PAIRS: u32 = 12;
/// Regions with at least so many have statistics to speak of.
const BROAD_PAIRS: u32 = 60;
/// No shadow takes more of the light than this leaves, ...
const SHADE_MIN: f32 = 0.25;
/// ... and so much of somebody's shadow is darker than before.
const SHADED_SHARE_MIN: f32 = 0.95;
/// Outlines weaker than this on average, in grey levels, decide nothing.
const OUTLINE_MIN: f32 = 4.0;

/// What a region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that was not there before.
    Object,
    /// The same ground in another light.
    Light,
    /// Ground that was hidden while the empty place was learnt.
    Left,
}

/// The cells that all regions are judged by.
pub struct Scene<'a> {
    /// How the picture is divided.
    pub grid: &'a Grid,
    /// Which cells have changed for good.
    pub counting: &'a [bool],
    /// The empty place.
    pub empty: &'a [Sample],
    /// What is there now.
    pub steady: &'a [Sample],
    /// Noise per cell in grey levels.
    pub noise: &'a [f32],
    /// Which cells are hidden by somebody.
    pub hidden: &'a [bool],
}

impl Scene<'_> {
    /// The connected parts of the cells that count.
    pub fn regions(&self) -> Vec<Vec<usize>> {
        self.grid.connected(self.counting)
    }

    /// Whether a region is at least three cells across somewhere, each way.
    pub fn has_body(&self, region: &[usize]) -> bool {
        let (columns, cells) = (self.grid.columns, self.counting.len());
        region.iter().any(|&cell| {
            let (row, column) = (cell / columns, cell % columns);
            let inner = row > 0 && column > 0 && column + 1 < columns && cell + columns + 1 < cells;
            inner && (0..9).all(|i| self.counting[(row - 1 + i / 3) * columns + column - 1 + i % 3])
        })
    }

    /// Judges one region.
    pub fn kind(&self, region: &[usize], coloured: bool) -> Kind {
        let mut outline = (0.0f32, 0.0f32, 0u32);
        let (mut pairs, mut changed) = (0u32, 0u32);
        let (mut residue, mut noise) = (0.0f32, 0.0f32);
        for &cell in region {
            let colour = coloured && new_colour(&self.steady[cell], &self.empty[cell]);
            for neighbour in self.grid.neighbours(cell) {
                let now = self.steady[cell].luma - self.steady[neighbour].luma;
                let before = self.empty[cell].luma - self.empty[neighbour].luma;
                if self.counting[neighbour] {
                    // Inside: would light alone explain this edge? Haze and rain make edges weaker, never new ones.
                    let light = (self.steady[cell].luma + self.steady[neighbour].luma + 2.0)
                        / (self.empty[cell].luma + self.empty[neighbour].luma + 2.0);
                    let explained = now.clamp((light * before).min(0.0), (light * before).max(0.0));
                    let limit = EDGE_MIN.max(3.0 * (self.noise[cell] + self.noise[neighbour]));
                    residue += (now - explained).abs();
                    noise += self.noise[cell].hypot(self.noise[neighbour]);
                    pairs += 1;
                    changed += u32::from(colour || (now - explained).abs() > limit);
                } else {
                    outline = (outline.0 + now.abs(), outline.1 + before.abs(), outline.2 + 1);
                }
            }
        }
        let (now, before, length) = (outline.0, outline.1, outline.2.max(1) as f32);
        let left = before > LEFT_RATIO * now && now / length < LEFT_OUTLINE_MAX;
        let surely = before > LEFT_RATIO_SURE * now && pairs >= BROAD_PAIRS;
        if before / length > OUTLINE_MIN && (left || surely) {
            return Kind::Left;
        }
        if self.is_shadow_of_somebody(region, coloured) {
            return Kind::Light;
        }
        // A region of one or two cells across has no inside: only an outline that the ground had not makes it a thing.
        let new_outline = now > before && now / length > OUTLINE_MIN;
        let thin = pairs < THIN_PAIRS;
        let new_structure = (changed as f32) >= NEW_STRUCTURE_MIN * pairs as f32;
        let object = if thin {
            new_outline
        } else if pairs < BROAD_PAIRS || new_structure {
            new_structure
        } else {
            let (texture, kept) = self.texture(region);
            residue > RESIDUE_NOISES * noise || (texture >= TEXTURE_MIN && kept < TEXTURE_KEPT_MIN)
        };
        if object { Kind::Object } else { Kind::Light }
    }

    /// Whether a region begins at somebody and is the same ground, only darker: where the sun is low, a shadow is long and
    /// thin, and its edges are most of it.
    fn is_shadow_of_somebody(&self, region: &[usize], coloured: bool) -> bool {
        let darker = |&&cell: &&usize| {
            let (now, before) = (&self.steady[cell], &self.empty[cell]);
            let shaded = now.luma < before.luma && now.luma > SHADE_MIN * before.luma;
            shaded && !(coloured && new_colour(now, before))
        };
        if (region.iter().filter(darker).count() as f32) < SHADED_SHARE_MIN * region.len() as f32 {
            return false;
        }
        let begins = region.iter().find_map(|&cell| self.grid.neighbours(cell).find(|&n| self.hidden[n]));
        let larger = |begins| {
            let people = self.grid.connected(self.hidden);
            people.iter().any(|part| part.len() >= region.len() && part.contains(&begins))
        };
        begins.is_some_and(larger)
    }

    /// The variance of the empty place in a region, and how well it correlates with what is there now.
    fn texture(&self, region: &[usize]) -> (f32, f32) {
        let lumas = |cells: &[Sample]| -> Vec<f32> { region.iter().map(|&i| cells[i].luma).collect() };
        correlation(&lumas(self.empty), &lumas(self.steady))
    }
}

/// The variance of the first, and how well the second correlates with it.
pub fn correlation(first: &[f32], second: &[f32]) -> (f32, f32) {
    let n = first.len().max(1) as f32;
    let mean = |values: &[f32]| values.iter().sum::<f32>() / n;
    let (mean_a, mean_b) = (mean(first), mean(second));
    let (mut both, mut each) = (0.0f32, (0.0f32, 0.0f32));
    for (a, b) in first.iter().zip(second).map(|(a, b)| (a - mean_a, b - mean_b)) {
        both += a * b;
        each = (each.0 + a * a, each.1 + b * b);
    }
    let scale = (each.0 * each.1).sqrt();
    (each.0 / n, if scale > 0.0 { both / scale } else { 0.0 })
}

/// Whether a colour is there that was not: neither the ground's own nor that one paled.
fn new_colour(now: &Sample, before: &Sample) -> bool {
    let paled = |now: f32, before: f32| now - now.clamp(before.min(0.0), before.max(0.0));
    paled(now.blue, before.blue).abs() + paled(now.red, before.red).abs() > COLOUR_MIN
}

#[cfg(test)]
mod tests {
    use super::super::grid::Grid;
    use super::*;
    use crate::frame::{Captured, Clock, Picture};

    /// What a region of 30 by 20 cells is, if cells have been `before` and are `now`, each of (column, row, inside).
    fn kind(before: impl Fn(usize, usize, bool) -> f32, now: impl Fn(usize, usize, bool) -> f32) -> Kind {
        kind_beside(false, before, now)
    }

    /// The same, with somebody to the left of it or not.
    fn kind_beside(
        somebody: bool,
        before: impl Fn(usize, usize, bool) -> f32,
        now: impl Fn(usize, usize, bool) -> f32,
    ) -> Kind {
        let captured = Captured {
            wall: jiff::Timestamp::UNIX_EPOCH,
            media: std::time::Duration::ZERO,
            clock: Clock::File,
        };
        let plane = |length: usize| vec![128u8; length].into();
        let (y, u, v) = (plane(640 * 360), plane(320 * 180), plane(320 * 180));
        let picture = Picture { captured, width: 640, height: 360, y, u, v, full_range: false };
        let grid = Grid::of(&picture).expect("a grid");
        let place = |cell: usize| (cell % grid.columns, cell / grid.columns);
        let counting: Vec<bool> = (0..grid.columns * grid.rows)
            .map(place)
            .map(|(x, y)| (60..90).contains(&x) && (40..60).contains(&y))
            .collect();
        let samples = |luma: &dyn Fn(usize, usize, bool) -> f32| -> Vec<Sample> {
            let sample = |cell: usize| {
                let (x, y) = place(cell);
                Sample { luma: luma(x, y, counting[cell]), ..Sample::default() }
            };
            (0..counting.len()).map(sample).collect()
        };
        let noise = vec![1.5; counting.len()];
        let stands = |(x, y): (usize, usize)| somebody && (50..60).contains(&x) && (10..80).contains(&y);
        let hidden: Vec<bool> = (0..counting.len()).map(place).map(stands).collect();
        let (empty, steady) = (samples(&before), samples(&now));
        let scene = Scene {
            grid: &grid,
            counting: &counting,
            empty: &empty,
            steady: &steady,
            noise: &noise,
            hidden: &hidden,
        };
        let regions = scene.regions();
        assert_eq!(regions.len(), 1);
        scene.kind(&regions[0], false)
    }

    #[test]
    fn things_light_and_what_has_left() {
        let road = |_: usize, _: usize, _: bool| 100.0;
        // Hatched, as fire lanes are: strong edges everywhere, also across the outline of whatever stands there.
        let hatched = |x: usize, y: usize, _: bool| if (x + y) % 6 < 2 { 150.0 } else { 100.0 };
        let van = |ground: &'static dyn Fn(usize, usize, bool) -> f32| {
            move |x: usize, y: usize, inside: bool| {
                if inside { 20.0 + 15.0 * ((x / 4 + y / 5) % 3) as f32 } else { ground(x, y, inside) }
            }
        };
        const ROAD: &dyn Fn(usize, usize, bool) -> f32 = &|_, _, _| 100.0;
        const HATCHED: &dyn Fn(usize, usize, bool) -> f32 =
            &|x, y, _| if (x + y) % 6 < 2 { 150.0 } else { 100.0 };
        let shade = |x: usize, y: usize, inside: bool| if inside { 0.6 } else { 1.0 } * hatched(x, y, inside);
        assert_eq!(kind(road, van(ROAD)), Kind::Object);
        assert_eq!(kind(hatched, van(HATCHED)), Kind::Object);
        assert_eq!(kind(hatched, shade), Kind::Light);
        // A low sun: more edge than shadow.
        let long = |x: usize, _: usize, inside: bool| match (inside, x % 3) {
            (false, _) => 100.0,
            (true, 0) => 50.0,
            (true, _) => 85.0,
        };
        assert_eq!(kind(road, long), Kind::Object);
        assert_eq!(kind_beside(true, road, long), Kind::Light);
        assert_eq!(kind_beside(true, road, van(ROAD)), Kind::Object, "darker than any shadow");
        assert_eq!(kind(van(ROAD), road), Kind::Left);
        assert_eq!(kind(van(HATCHED), hatched), Kind::Left);
    }
}
