//! What a region of lasting change is: an object, a change of light, or the place of something that has left.

use super::grid::{Grid, Sample};

/// Inside an object at least this share of neighbouring cells has edges or colours that the empty place had not; a
/// shadow or a lamp leaves them as they were, times a factor.
const NEW_STRUCTURE_MIN: f32 = 0.12;
/// Least difference of two edges, in grey levels.
const EDGE_MIN: f32 = 5.0;
/// Least difference of two colours.
const COLOUR_MIN: f32 = 8.0;
/// When the empty model has an outline this many times as strong as the picture, what had the outline has left.
const LEFT_RATIO: f32 = 1.4;
/// Regions with fewer pairs of neighbouring cells inside are judged by their outline.
const THIN_PAIRS: u32 = 12;
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
}

impl Scene<'_> {
    /// The connected parts of the cells that count.
    pub fn regions(&self) -> Vec<Vec<usize>> {
        self.grid.connected(self.counting)
    }

    /// Judges one region.
    pub fn kind(&self, region: &[usize], coloured: bool) -> Kind {
        let mut outline = (0.0f32, 0.0f32, 0u32);
        let (mut pairs, mut changed) = (0u32, 0u32);
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
                    pairs += 1;
                    changed += u32::from(colour || (now - explained).abs() > limit);
                } else {
                    outline = (outline.0 + now.abs(), outline.1 + before.abs(), outline.2 + 1);
                }
            }
        }
        let (now, before, length) = (outline.0, outline.1, outline.2.max(1) as f32);
        if before > LEFT_RATIO * now && before / length > OUTLINE_MIN {
            return Kind::Left;
        }
        // A region of one or two cells across has no inside: only an outline that the ground had not makes it a thing.
        let new_outline = now > before && now / length > OUTLINE_MIN;
        let thin = pairs < THIN_PAIRS;
        if (thin && !new_outline) || (!thin && (changed as f32) < NEW_STRUCTURE_MIN * pairs as f32) {
            return Kind::Light;
        }
        Kind::Object
    }
}

/// Whether a colour is there that was not: neither the ground's own nor that one paled.
fn new_colour(now: &Sample, before: &Sample) -> bool {
    let paled = |now: f32, before: f32| now - now.clamp(before.min(0.0), before.max(0.0));
    paled(now.blue, before.blue).abs() + paled(now.red, before.red).abs() > COLOUR_MIN
}
