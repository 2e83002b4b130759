//! Is this path a fall? The tests that keep birds, leaves, laundry and shaking cameras out; all in lines and seconds.
//!
//! They matter more than the detector: "it moves down" alone gave fourteen times as many false alarms.

use crate::geometry::{Point, Polygon};

use super::curve::Curve;
use super::linker::Sighting;
use super::wall::Wall;

/// A path starts in the zone if it starts at most this far outside, in lines.
const ENTRY_SLACK: f64 = 8.0;
/// Least duration in seconds.
const DURATION_S_MIN: f64 = 0.3;
/// Most sideways per downwards.
const SLANT_MAX: f64 = 1.2;
/// Most scatter about the curve, in lines.
const RMS_MAX: f64 = 2.0;
/// Least share of the pictures between first and last sighting that saw it.
const SEEN_SHARE_MIN: f64 = 0.55;
/// Least share of the path that the curve explains: what circles before it dives is a bird.
const EXPLAINED_SHARE_MIN: f64 = 0.5;
/// Least acceleration, certain to one standard error, in lines per second squared.
const ACCELERATION_MIN: f64 = 25.0;
/// Least speed at the end, in lines per second.
const LAST_SPEED_MIN: f64 = 60.0;
/// A straight line must explain the path this many times worse than the curve.
const CURVED_MIN: f64 = 3.0;
/// What comes after the fitted part must go on falling at this share of its speed.
const TAIL_SPEED_MIN: f64 = 0.5;
/// Acceleration on the facade, m/s²: gravity less drag, throw, shake and calibration (true falls measured 3.9 to 15).
const GRAVITY_M: (f64, f64) = (3.5, 15.0);
/// Least speed at the end on the facade, m/s.
const LAST_SPEED_M_MIN: f64 = 4.0;
/// A break of more than this many seconds ends the fitted part.
const BREAK_S_MAX: f64 = 0.3;
/// Random triples tried for a first curve; with half of the points good, one of 40 is good with probability 0.995.
const TRIALS: usize = 40;
/// Standard gravity, m/s².
const G: f64 = 9.80665;

/// What a zone asks of a fall.
#[derive(Debug, Clone)]
pub struct Demands {
    /// Where falls must begin.
    pub zone: Polygon,
    /// Lines per unit of x in the picture (360 times the aspect ratio).
    pub lines_per_x: f64,
    /// Least fall in metres (with a wall) or tenths of the picture's height.
    pub fall_min: f64,
    /// Least number of sightings.
    pub points_min: usize,
    /// The calibrated facade.
    pub wall: Option<Wall>,
}

/// A path that was judged a fall.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallen {
    /// The sightings that fit, in order.
    pub points: Vec<Sighting>,
    /// How convincing: sightings times the explained share.
    pub weight: f64,
    /// Where it began by back-extrapolation, in the picture.
    pub release: Point,
    /// Height of the release above ground and its error, metres.
    pub release_height_m: Option<(f32, f32)>,
    /// Mean area in lines squared.
    pub area: f64,
    /// Whether it is as long as the zone asks; shorter ones only witness that something drips here.
    pub long_enough: bool,
}

/// Judges a path; `None` if it is no fall.
pub fn judge(path: &[Sighting], demands: &Demands) -> Option<Fallen> {
    let top = path.iter().map(|s| s.y).fold(f64::INFINITY, f64::min);
    let bottom = path.iter().map(|s| s.y).fold(f64::NEG_INFINITY, f64::max);
    let duration_s = path.last()?.t - path.first()?.t;
    // Cheap things first: most paths are leaves that tremble on the spot.
    if path.len() < 5 || bottom - top < 15.0 || duration_s < 0.8 * DURATION_S_MIN {
        return None;
    }
    let fitting = explained(path)?;
    let points: Vec<Sighting> = fitting.iter().map(|&i| path[i]).collect();
    let (first, last) = (points.first()?, points.last()?);
    let explained_share = points.len() as f64 / path.len() as f64;
    let pictures = (last.picture - first.picture + 1) as f64;
    let (fall, aside) = (last.y - first.y, (last.x - first.x).abs());
    let x = series(&points, |s| s.x);
    let y = series(&points, |s| s.y);
    let parabola = Curve::fit(&y, 2)?;
    let curve = if points.len() >= 9 { Curve::fit(&y, 3)? } else { parabola };
    let (acceleration, uncertain) = parabola.acceleration();
    let line = Curve::fit(&y, 1)?;
    let last_speed = parabola.speed_at(last.t);
    let is_fall = last.t - first.t >= DURATION_S_MIN
        && fall > 0.0
        && aside <= SLANT_MAX * fall
        && curve.rms <= RMS_MAX
        && Curve::fit(&x, 2)?.rms <= 1.3 * RMS_MAX
        && points.len() as f64 >= SEEN_SHARE_MIN * pictures
        && explained_share >= EXPLAINED_SHARE_MIN
        && acceleration - uncertain >= ACCELERATION_MIN
        && last_speed >= LAST_SPEED_MIN
        && line.rms.powi(2) >= CURVED_MIN * curve.rms.powi(2).max(0.05)
        && falls_on(path, *fitting.last()?, last_speed)
        && enters(demands, first);
    if !is_fall {
        return None;
    }
    let mut fallen = Fallen {
        weight: points.len() as f64 * explained_share,
        release: released_in_picture(demands, first, &parabola),
        release_height_m: None,
        area: points.iter().map(|s| s.area).sum::<f64>() / points.len() as f64,
        long_enough: points.len() >= demands.points_min && fall >= 36.0 * demands.fall_min,
        points,
    };
    if let Some(wall) = &demands.wall {
        on_the_wall(wall, demands, &mut fallen)?;
    }
    Some(fallen)
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

/// Whether the path goes on falling after its fitted part, if it goes on at all.
fn falls_on(path: &[Sighting], last_fitting: usize, speed: f64) -> bool {
    let after = (path.len() - 1 - last_fitting).min(12);
    if after < 4 {
        return true;
    }
    let (from, to) = (&path[last_fitting], &path[last_fitting + after]);
    (to.y - from.y) / (to.t - from.t).max(1e-3) >= TAIL_SPEED_MIN * speed.max(10.0)
}

/// Whether the path begins in the zone, or nearly.
fn enters(demands: &Demands, first: &Sighting) -> bool {
    let p = in_picture(demands, first.x, first.y);
    if demands.zone.contains(p) {
        return true;
    }
    let corners = demands.zone.points();
    let lines = |q: &Point| (q.x as f64 * demands.lines_per_x, q.y as f64 * 360.0);
    (0..corners.len()).any(|i| {
        let (a, b) = (lines(&corners[i]), lines(&corners[(i + 1) % corners.len()]));
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let along = ((first.x - a.0) * dx + (first.y - a.1) * dy) / (dx * dx + dy * dy).max(1e-9);
        let along = along.clamp(0.0, 1.0);
        (first.x - a.0 - along * dx).hypot(first.y - a.1 - along * dy) <= ENTRY_SLACK
    })
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

/// Judges the fall in metres; sets its height and whether it is long enough. `None` if nothing falls like that.
fn on_the_wall(wall: &Wall, demands: &Demands, fallen: &mut Fallen) -> Option<()> {
    let metres: Vec<(f64, (f64, f64))> = fallen
        .points
        .iter()
        .map(|s| (s.t, wall.metres(Point { x: (s.x / demands.lines_per_x) as f32, y: (s.y / 360.0) as f32 })))
        .collect();
    let heights: Vec<(f64, f64)> = metres.iter().map(|&(t, (_, h))| (t, h)).collect();
    let (first, last) = (heights.first()?, heights.last()?);
    let curve = Curve::fit(&heights, 2)?;
    let (up, uncertain) = curve.acceleration();
    let gravity = -up;
    if gravity + uncertain < GRAVITY_M.0 || gravity - uncertain > GRAVITY_M.1 {
        return None;
    }
    if -curve.speed_at(last.0) < LAST_SPEED_M_MIN {
        return None;
    }
    fallen.long_enough = fallen.points.len() >= demands.points_min && first.1 - last.1 >= demands.fall_min;
    // Above the first sighting lies the unseen beginning: v²/2g.
    let speed = (-curve.speed_at(first.0)).max(0.0);
    let unseen_m = (speed * speed / (2.0 * G)).min(15.0);
    let height_m = curve.at(first.0) + unseen_m;
    // Measured on rendered falls: mean error 1.4 m; the unseen part is the least certain.
    let error_m = 1.0 + 0.4 * unseen_m + 0.5 * curve.rms;
    let (along, _) = metres.first()?.1;
    fallen.release = wall.picture((along, height_m));
    fallen.release_height_m = Some((height_m as f32, error_m as f32));
    Some(())
}
