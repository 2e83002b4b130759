//! What can be measured of a path: the part that one low-order curve explains, in lines and, on a calibrated wall, in metres.

use crate::geometry::Point;

use super::curve::Curve;
use super::gravity::Gravity;
use super::judgement::Demands;
use super::linker::Sighting;
use super::seen::Seen;
use super::wall::Wall;

/// A path starts in the zone if it starts at most this far outside, in lines; and ends at its edge likewise.
const EDGE_SLACK: f64 = 8.0;
/// A part of a path is looked at if it lasts so many seconds and goes so many lines up or down ...
const PART: (f64, f64) = (0.3, 8.0);
/// ... and when what was seen before and after it has been found, so many.
const WHOLE: (f64, f64) = (0.42, 15.0);
/// A break of more than this many seconds ends the fitted part.
const BREAK_S_MAX: f64 = 0.5;
/// Random triples tried for a first curve; with half of the points good, one of 40 is good with probability 0.995.
const TRIALS: usize = 40;
/// ... and none more once a curve explains this share: snow is many, and its paths are plain.
const ENOUGH: f64 = 0.95;

/// What was measured of a path: its part that one low-order curve explains, and how it moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The sightings that fit, in order.
    pub points: Vec<Sighting>,
    /// Share of the path that they are.
    pub explained_share: f64,
    /// Share of the pictures between first and last of them that saw it.
    pub seen_share: f64,
    /// Seconds from the first to the last.
    pub duration_s: f64,
    /// Down, in lines.
    pub fall: f64,
    /// Sideways, in lines, without sign.
    pub aside: f64,
    /// Scatter about the curves, down and sideways, in lines.
    pub rms: (f64, f64),
    /// Acceleration downwards and its standard error, in lines per second squared.
    pub acceleration: (f64, f64),
    /// Speed downwards of the last sighting, in lines per second.
    pub last_speed: f64,
    /// How many times worse a straight line explains it, squared.
    pub curved: f64,
    /// Speed after the last fitting sighting as a share of the last speed; 1 if little came after.
    pub tail: f64,
    /// Whether it begins in the zone.
    pub enters: bool,
    /// Whether its end is the zone's or the picture's edge.
    pub leaves: bool,
    /// Where it began, by back-extrapolation, in the picture.
    pub release: Point,
    /// The same in metres on the wall, if that is calibrated.
    pub metric: Option<Metric>,
}

/// What was measured on a calibrated wall, in metres and seconds; down is positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Metres fallen.
    pub fall: f64,
    /// Acceleration downwards and its standard error.
    pub gravity: (f64, f64),
    /// Gravity and drag, fitted.
    pub model: Gravity,
    /// Speed downwards of the last sighting.
    pub last_speed: f64,
    /// Acceleration sideways and its standard error.
    pub aside: (f64, f64),
    /// Mean speed sideways, without sign.
    pub aside_speed: f64,
    /// Scatter in height about the free curve.
    pub rms: f64,
    /// Metres fallen before the first sighting, from rest.
    pub unseen: f64,
    /// Metres to the right and above ground of the first sighting.
    pub first: (f64, f64),
}

/// Measures a path, in lines alone; `None` if no curve explains enough of it to measure anything.
pub fn measure(path: &[Sighting], seen: &Seen, demands: &Demands) -> Option<Measured> {
    // Cheap things first: most paths are leaves that tremble on the spot.
    if !moves(path, PART) {
        return None;
    }
    let part: Vec<Sighting> = explained(path)?.iter().map(|&i| path[i]).collect();
    let whole = with(path, &seen.completed(&part));
    let path = whole.as_slice();
    if !moves(path, WHOLE) {
        return None;
    }
    let fitting = explained(path)?;
    let points: Vec<Sighting> = fitting.iter().map(|&i| path[i]).collect();
    let (first, last) = (*points.first()?, *points.last()?);
    let pictures = (last.picture - first.picture + 1) as f64;
    let (x, y) = (Curve::fit(&series(&points, |s| s.x), 2)?, series(&points, |s| s.y));
    let parabola = Curve::fit(&y, 2)?;
    let curve = if points.len() >= 9 { Curve::fit(&y, 3)? } else { parabola };
    let last_speed = parabola.speed_at(last.t);
    Some(Measured {
        explained_share: points.len() as f64 / path.len() as f64,
        seen_share: points.len() as f64 / pictures,
        duration_s: last.t - first.t,
        fall: last.y - first.y,
        aside: (last.x - first.x).abs(),
        rms: (curve.rms, x.rms),
        acceleration: parabola.acceleration(),
        last_speed,
        curved: Curve::fit(&y, 1)?.rms.powi(2) / curve.rms.powi(2).max(0.05),
        tail: tail(path, *fitting.last()?, last_speed),
        enters: within(demands, first.x, first.y, EDGE_SLACK),
        leaves: leaves(demands, &last, x.speed_at(last.t), last_speed),
        release: released_in_picture(demands, &first, &parabola),
        metric: None,
        points,
    })
}

fn metric(wall: &Wall, demands: &Demands, points: &[Sighting]) -> Option<Metric> {
    let metres: Vec<(f64, f64)> = points
        .iter()
        .map(|s| wall.metres(Point { x: (s.x / demands.lines_per_x) as f32, y: (s.y / 360.0) as f32 }))
        .collect();
    let down: Vec<(f64, f64)> = points.iter().zip(&metres).map(|(s, m)| (s.t, -m.1)).collect();
    let across: Vec<(f64, f64)> = points.iter().zip(&metres).map(|(s, m)| (s.t, m.0)).collect();
    let parabola = Curve::fit(&down, 2)?;
    let curve = if points.len() >= 9 { Curve::fit(&down, 3)? } else { parabola };
    let (first, last) = (down.first()?, down.last()?);
    Some(Metric {
        fall: last.1 - first.1,
        gravity: parabola.acceleration(),
        model: Gravity::fit(&down, metres[0].1)?,
        unseen: Gravity::along(&down, metres[0].1)?.unseen(),
        last_speed: parabola.speed_at(last.0),
        aside: Curve::fit(&across, 2)?.acceleration(),
        aside_speed: Curve::fit(&across, 1)?.speed_at(last.0).abs(),
        rms: curve.rms,
        first: (metres[0].0, -curve.at(first.0)),
    })
}

impl Measured {
    /// The same with metres, where the wall is calibrated; `None` if they cannot be had.
    pub fn with_metres(mut self, demands: &Demands) -> Option<Self> {
        if let Some(wall) = &demands.wall {
            self.metric = Some(metric(wall, demands, &self.points)?);
        }
        Some(self)
    }

    /// Mean area in lines squared of its later half: in the hand, or before a wall as grey, half a thing may be hidden.
    pub fn area(&self) -> f64 {
        let later = &self.points[self.points.len() / 2..];
        later.iter().map(|s| s.area).sum::<f64>() / later.len().max(1) as f64
    }
}

/// Whether a path has five points, lasts as long and goes as far up or down, in lines.
fn moves(path: &[Sighting], (least_s, least): (f64, f64)) -> bool {
    let (Some(first), Some(last)) = (path.first(), path.last()) else { return false };
    let top = path.iter().map(|s| s.y).fold(f64::INFINITY, f64::min);
    let bottom = path.iter().map(|s| s.y).fold(f64::NEG_INFINITY, f64::max);
    path.len() >= 5 && last.t - first.t >= least_s && bottom - top >= least
}

/// A path with more sightings of the same thing; where both have a sighting of a picture, the latter's.
fn with(path: &[Sighting], more: &[Sighting]) -> Vec<Sighting> {
    let apart = |s: &&Sighting| more.binary_search_by_key(&s.picture, |m| m.picture).is_err();
    let mut whole: Vec<Sighting> = path.iter().filter(apart).chain(more).copied().collect();
    whole.sort_by_key(|s| s.picture);
    whole
}

fn series(points: &[Sighting], value: fn(&Sighting) -> f64) -> Vec<(f64, f64)> {
    points.iter().map(|s| (s.t, value(s))).collect()
}

/// The longest unbroken part of the path that one low-order curve explains (RANSAC with parabolas, then a cubic).
fn explained(path: &[Sighting]) -> Option<Vec<usize>> {
    let n = path.len();
    let mut chance = fastrand::Rng::with_seed(n as u64);
    let mut best: Vec<usize> = Vec::new();
    for _ in 0..TRIALS {
        let mut triple = [chance.usize(..n), chance.usize(..n), chance.usize(..n)];
        triple.sort_unstable();
        let sample = triple.map(|i| path[i]);
        if sample[2].t - sample[0].t < 0.12 || triple[0] == triple[1] || triple[1] == triple[2] {
            continue;
        }
        let (Some(x), Some(y)) =
            (Curve::fit(&series(&sample, |s| s.x), 2), Curve::fit(&series(&sample, |s| s.y), 2))
        else {
            continue;
        };
        if y.acceleration().0 < 0.0 {
            continue;
        }
        let fits = |s: &Sighting| {
            let speed = y.speed_at(s.t);
            (x.at(s.t) - s.x).hypot(y.at(s.t) - s.y) < 1.8 + 0.01 * speed.abs() && speed > -30.0
        };
        let inliers: Vec<usize> = (0..n).filter(|&i| fits(&path[i])).collect();
        if inliers.len() > best.len() {
            best = inliers;
        }
        if best.len() as f64 >= ENOUGH * n as f64 {
            break;
        }
    }
    for _ in 0..3 {
        if best.len() < 5 {
            return None;
        }
        let chosen: Vec<Sighting> = best.iter().map(|&i| path[i]).collect();
        let (from, to) = (chosen[0].t - 0.35, chosen[chosen.len() - 1].t + 0.35);
        let x = Curve::fit(&series(&chosen, |s| s.x), 2)?;
        let y = Curve::fit(&series(&chosen, |s| s.y), if chosen.len() >= 9 { 3 } else { 2 })?;
        let fits = |s: &Sighting| {
            let speed = y.speed_at(s.t);
            let near = (x.at(s.t) - s.x).hypot(y.at(s.t) - s.y) < 2.0 + 0.008 * speed.abs();
            near && speed > -40.0 && (from..to).contains(&s.t)
        };
        best = (0..n).filter(|&i| fits(&path[i])).collect();
    }
    let unbroken = best.chunk_by(|&a, &b| path[b].t - path[a].t <= BREAK_S_MAX);
    unbroken.max_by_key(|part| part.len()).filter(|part| part.len() >= 5).map(<[usize]>::to_vec)
}

/// How fast the path goes on falling after its fitted part, as a share of `speed`.
fn tail(path: &[Sighting], last_fitting: usize, speed: f64) -> f64 {
    let after = (path.len() - 1 - last_fitting).min(12);
    if after < 4 {
        return 1.0;
    }
    let (from, to) = (&path[last_fitting], &path[last_fitting + after]);
    (to.y - from.y) / (to.t - from.t).max(1e-3) / speed.max(10.0)
}

/// Whether a point lies in the zone, or at most so many lines outside.
fn within(demands: &Demands, x: f64, y: f64, slack: f64) -> bool {
    if demands.zone.contains(in_picture(demands, x, y)) {
        return true;
    }
    let corners = demands.zone.points();
    let lines = |q: &Point| (f64::from(q.x) * demands.lines_per_x, f64::from(q.y) * 360.0);
    (0..corners.len()).any(|i| {
        let (a, b) = (lines(&corners[i]), lines(&corners[(i + 1) % corners.len()]));
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let along = ((x - a.0) * dx + (y - a.1) * dy) / (dx * dx + dy * dy).max(1e-9);
        let along = along.clamp(0.0, 1.0);
        (x - a.0 - along * dx).hypot(y - a.1 - along * dy) <= slack
    })
}

/// Whether what was last seen here, at this speed, would be out of the zone within an eighth of a second.
fn leaves(demands: &Demands, last: &Sighting, x_speed: f64, y_speed: f64) -> bool {
    let (x, y) = (last.x + 0.125 * x_speed, last.y + 0.125 * y_speed + EDGE_SLACK);
    !(0.0..demands.lines_per_x).contains(&x) || y >= 360.0 || !within(demands, x, y, 0.0)
}

fn in_picture(demands: &Demands, x: f64, y: f64) -> Point {
    let held = |v: f64| (v as f32).clamp(0.0, 1.0);
    Point { x: held(x / demands.lines_per_x), y: held(y / 360.0) }
}

/// Where the parabola had no downward speed: v²/2a above the first sighting.
fn released_in_picture(demands: &Demands, first: &Sighting, y: &Curve) -> Point {
    let rise = y.speed_at(first.t).max(0.0).powi(2) / (2.0 * y.acceleration().0.max(1.0));
    // More than half a picture of unseen fall is no measurement any more.
    in_picture(demands, first.x, first.y - rise.min(180.0))
}
