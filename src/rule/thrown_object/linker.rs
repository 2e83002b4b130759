//! Small moving things become paths: each is sought where its path predicts it, because at 24 m/s nothing overlaps itself.
//!
//! Lengths are in lines, a 360th of the picture's height, so that thresholds mean the same at every resolution.

use crate::frame::Captured;

use super::curve::Curve;

/// Candidates taken from one picture, most contrasted first; rain and trees give hundreds.
const CANDIDATES_MAX: usize = 64;
/// Paths followed at a time, longest first: the bound on what one picture may cost.
const PATHS_MAX: usize = 400;
/// Points of one path: five seconds at 25 pictures a second, longer than any fall that a camera sees.
const POINTS_MAX: usize = 128;
/// Fastest that something may be when it is first seen, in lines per second.
const FIRST_SPEED_MAX: f64 = 520.0;
/// Seconds for which a path may go unseen, but at least two pictures.
const UNSEEN_S_MAX: f64 = 0.16;
/// Paths with fewer points are not worth judging.
const POINTS_MIN: usize = 5;
/// Limits of the acceleration used for prediction, in lines per second squared.
const ACCELERATION: (f64, f64) = (-60.0, 1900.0);
/// Points a prediction is made from.
const RECENT: usize = 6;

/// One sighting of something small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// When.
    pub captured: Captured,
    /// The same in seconds of media time.
    pub t: f64,
    /// Which picture, counted.
    pub picture: u64,
    /// To the right, in lines.
    pub x: f64,
    /// Down, in lines.
    pub y: f64,
    /// Area in lines squared.
    pub area: f64,
    /// Contrast in grey levels.
    pub contrast: f64,
}

#[derive(Debug, Clone)]
struct Path {
    points: Vec<Sighting>,
    misses: u32,
}

/// Follows small moving things; gives paths that have ended.
#[derive(Debug, Clone, Default)]
pub struct Linker {
    paths: Vec<Path>,
}

impl Linker {
    /// Takes the sightings of one picture at `t` seconds; gives the paths that ended, of at least five points.
    pub fn observe(&mut self, t: f64, mut seen: Vec<Sighting>) -> Vec<Vec<Sighting>> {
        seen.sort_by(|a, b| b.contrast.total_cmp(&a.contrast));
        seen.truncate(CANDIDATES_MAX);
        let mut used = vec![false; seen.len()];
        let (mut going_on, mut ended) = (Vec::new(), Vec::new());
        // The longest choose first: their predictions are the best.
        let mut paths = std::mem::take(&mut self.paths);
        paths.sort_by_key(|p| std::cmp::Reverse(p.points.len()));
        for mut path in paths {
            let found = path.continuations(t, &seen, &used);
            let settled = path.points.len() >= 3;
            if found.is_empty() {
                path.misses += 1;
                let unseen_s = t - path.last().t;
                let lost =
                    path.misses > 2 && unseen_s > UNSEEN_S_MAX || (path.points.len() == 1 && path.misses > 1);
                if lost {
                    ended.push(path);
                } else {
                    going_on.push(path);
                }
                continue;
            }
            for &index in &found {
                used[index] |= settled;
                going_on.push(path.extended(seen[index]));
            }
        }
        for (sighting, used) in seen.iter().zip(&used) {
            if !used {
                going_on.push(Path { points: vec![*sighting], misses: 0 });
            }
        }
        let (full, going_on): (Vec<_>, Vec<_>) =
            going_on.into_iter().partition(|p| p.points.len() >= POINTS_MAX);
        ended.extend(full);
        self.paths = distinct(going_on);
        ended.into_iter().map(|p| p.points).filter(|p| p.len() >= POINTS_MIN).collect()
    }

    /// The paths that were seen in the last picture, of at least `points` points.
    pub fn alive(&self, points: usize) -> impl Iterator<Item = &[Sighting]> {
        let seen = move |p: &&Path| p.misses == 0 && p.points.len() >= points;
        self.paths.iter().filter(seen).map(|p| p.points.as_slice())
    }

    /// Ends all paths, as after a gap.
    pub fn end(&mut self) -> Vec<Vec<Sighting>> {
        let paths = std::mem::take(&mut self.paths);
        paths.into_iter().map(|p| p.points).filter(|p| p.len() >= POINTS_MIN).collect()
    }
}

impl Path {
    fn last(&self) -> &Sighting {
        // A path is made with one point and only grows.
        &self.points[self.points.len() - 1]
    }

    fn extended(&self, sighting: Sighting) -> Self {
        let mut points = Vec::with_capacity(self.points.len() + 1);
        points.extend_from_slice(&self.points);
        points.push(sighting);
        Self { points, misses: 0 }
    }

    /// Where the path should be at `t`.
    fn predicted(&self, t: f64) -> (f64, f64) {
        let n = self.points.len();
        let last = self.last();
        if n == 1 {
            return (last.x, last.y);
        }
        if n < RECENT - 1 {
            let earlier = &self.points[n - n.min(3)];
            let ratio = (t - last.t) / (last.t - earlier.t).max(1e-3);
            return (last.x + (last.x - earlier.x) * ratio, last.y + (last.y - earlier.y) * ratio);
        }
        let recent = &self.points[n.saturating_sub(RECENT)..];
        let series = |value: fn(&Sighting) -> f64| -> Vec<(f64, f64)> {
            recent.iter().map(|s| (s.t, value(s))).collect()
        };
        let x = Curve::fit(&series(|s| s.x), 1);
        let y = Curve::fit(&series(|s| s.y), 2);
        match (x, y) {
            (Some(x), Some(y)) => (x.at(t), y.with_acceleration_within(ACCELERATION.0, ACCELERATION.1).at(t)),
            _ => (last.x, last.y),
        }
    }

    /// Which sightings may continue this path, nearest first: three while it is one point, then one.
    fn continuations(&self, t: f64, seen: &[Sighting], used: &[bool]) -> Vec<usize> {
        let last = self.last();
        let (x, y) = self.predicted(t);
        let passed_s = t - last.t;
        let stride = (x - last.x).hypot(y - last.y);
        // Slack in lines: for the position, for the speed so far, for what 25ths of a second may add.
        let (gate, most) = match self.points.len() {
            1 => (FIRST_SPEED_MAX * passed_s + 3.0, 3),
            2 => (3.0 + 0.5 * stride + 37.5 * passed_s, 1),
            _ => (2.5 + 0.25 * stride + 25.0 * passed_s, 1),
        };
        let mut near: Vec<(f64, usize)> = seen
            .iter()
            .enumerate()
            .filter(|(index, _)| self.points.len() < 3 || !used[*index])
            .map(|(index, s)| ((s.x - x).hypot(s.y - y), index))
            .filter(|(distance, _)| *distance < gate)
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        near.truncate(most);
        near.into_iter().map(|(_, index)| index).collect()
    }
}

/// Drops paths that share their last three points with a longer one, and all beyond the limit.
fn distinct(mut paths: Vec<Path>) -> Vec<Path> {
    paths.sort_by_key(|p| std::cmp::Reverse(p.points.len()));
    let mut ends = std::collections::HashSet::new();
    paths.retain(|path| {
        let n = path.points.len();
        n < 3
            || ends.insert([n - 3, n - 2, n - 1].map(|i| {
                let s = &path.points[i];
                (s.picture, (s.x * 10.0) as i64, (s.y * 10.0) as i64)
            }))
    });
    paths.truncate(PATHS_MAX);
    paths
}
