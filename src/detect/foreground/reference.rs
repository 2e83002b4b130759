//! The empty place as it was seen before: kept per light, found again after a restart, at dusk, or when a lens is uncovered.

use std::time::Duration;

use super::exposure::Exposure;
use super::grid::{self, Grid, Sample, Samples, ZoneCells};
use super::rest::RestingSample;
use super::shake::Profiles;

/// Which light a reference was taken in; a camera has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Light {
    /// Colours, bright: day, or a well-lit night.
    Day,
    /// Colours, dark: street lamps.
    Dusk,
    /// No colours: infrared lamp, filter swung out.
    Infrared,
}

impl Light {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Dusk, Self::Infrared];

    /// Its name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Dusk => "dusk",
            Self::Infrared => "infrared",
        }
    }

    /// The light of a picture with so much colour and this mean luma.
    pub fn of(colour: f32, luma: f32) -> Self {
        /// Mean luma below which a picture with colours is a dark one.
        const DARK: f32 = 70.0;
        match (grid::is_coloured(colour), luma < DARK) {
            (false, _) => Self::Infrared,
            (true, true) => Self::Dusk,
            (true, false) => Self::Day,
        }
    }
}

/// Zones must have looked empty for this long before their picture becomes the reference, in seconds.
const CLEAN_S: f64 = 60.0;
/// A reference is renewed after this long, in seconds: shadows wander, markings fade.
const RENEWED_S: f64 = 3600.0;
/// A reference is of this very picture if at most this share of the cells differs, ...
const DIFFERING_MAX: f32 = 0.25;
/// ... by more than these many grey levels or this much in colour. Coarser than for objects: noise and hour differ too.
const LUMA_MIN: f32 = 14.0;
const CHROMA_MIN: f32 = 18.0;
/// Fewer cells outside the zones than this say nothing about whether the camera still looks the same way.
const CELLS_MIN: usize = 64;

/// The empty place as it was seen once.
#[derive(Debug, Clone)]
pub struct Known {
    /// The cells' means.
    pub samples: Samples,
    /// Where the camera stood.
    pub profiles: Profiles,
}

struct Kept {
    light: Light,
    /// Media time at which it was taken; `None`: before this start.
    taken: Option<Duration>,
    samples: Vec<RestingSample>,
    profiles: Profiles,
}

/// What one camera knows about its empty zones.
#[derive(Default)]
pub struct References {
    kept: Vec<Kept>,
    clean_since: Option<Duration>,
}

impl References {
    /// Takes up a reference from an earlier run.
    pub fn know(&mut self, known: Known) {
        let samples = &known.samples;
        self.put(Light::of(samples.colour(), samples.luma()), None, known);
    }

    fn put(&mut self, light: Light, taken: Option<Duration>, known: Known) {
        self.kept.retain(|kept| kept.light != light);
        let samples = known.samples.iter().map(|sample| RestingSample::from(&sample)).collect();
        self.kept.push(Kept { light, taken, samples, profiles: known.profiles });
    }

    /// The empty place in the exposure of this picture, if one of the references shows what the camera sees now, whatever
    /// has come into the zones. Zones do not vote: they may be full.
    pub fn recall(&self, grid: &Grid, zones: &[ZoneCells], samples: &Samples) -> Option<Known> {
        let mut votes = vec![true; samples.len()];
        zones.iter().flatten().for_each(|&(cell, _)| votes[usize::from(cell)] = false);
        if votes.iter().filter(|vote| **vote).count() < CELLS_MIN {
            votes.fill(true);
        }
        let candidates = self.kept.iter().filter(|kept| kept.samples.len() == grid.columns * grid.rows);
        let adapted = candidates.map(|kept| {
            let known: Samples = kept.samples.iter().map(Sample::from).collect();
            let (lit, differing) = adapt(&known, samples, &votes);
            (Known { samples: lit, profiles: kept.profiles.clone() }, differing)
        });
        let best = adapted.min_by(|(_, a), (_, b)| a.total_cmp(b));
        best.filter(|(_, differing)| *differing <= DIFFERING_MAX).map(|(known, _)| known)
    }

    /// Notes whether all zones look empty now, in what light; gives the light when this picture should become the reference
    /// of that light.
    pub fn note(
        &mut self,
        clean: bool,
        light: impl FnOnce() -> Light,
        empty: impl FnOnce() -> Known,
        at: Duration,
    ) -> Option<Light> {
        if !clean {
            self.clean_since = None;
            return None;
        }
        let since = *self.clean_since.get_or_insert(at);
        if at.saturating_sub(since).as_secs_f64() < CLEAN_S {
            return None;
        }
        let light = light();
        let old = |taken: Option<Duration>| {
            taken.is_none_or(|taken| at.saturating_sub(taken).as_secs_f64() >= RENEWED_S)
        };
        let due = self.kept.iter().find(|kept| kept.light == light).is_none_or(|kept| old(kept.taken));
        if !due {
            return None;
        }
        self.put(light, Some(at), empty());
        Some(light)
    }
}

/// A reference in the exposure of a picture, and the share of the voting cells in which they differ all the same.
fn adapt(reference: &Samples, now: &Samples, votes: &[bool]) -> (Samples, f32) {
    let voting = |cells| votes_of(cells, now, votes);
    let stride = Exposure::stride(votes.iter().filter(|vote| **vote).count());
    let pairs = voting(reference).map(|(r, n)| (r.luma, n.luma));
    let exposure = Exposure::fit(pairs.step_by(stride));
    let lit: Samples = reference.iter().map(|s| Sample { luma: exposure.apply(s.luma), ..s }).collect();
    let coloured = grid::is_coloured(reference.colour()) && grid::is_coloured(now.colour());
    let (mut all, mut differing) = (0u32, 0u32);
    for (lit, now) in voting(&lit) {
        all += 1;
        let far = (lit.luma - now.luma).abs() > LUMA_MIN;
        differing += u32::from(far || (coloured && lit.chroma_distance(&now) > CHROMA_MIN));
    }
    let share = differing as f32 / all.max(1) as f32;
    (lit, share)
}

/// Both samples of the cells that vote.
fn votes_of<'a>(
    cells: &'a Samples,
    now: &'a Samples,
    votes: &'a [bool],
) -> impl Iterator<Item = (Sample, Sample)> + 'a {
    cells.iter().zip(now.iter()).zip(votes).filter(|(_, vote)| **vote).map(|(pair, _)| pair)
}
