//! Is this path a fall? The tests that keep birds, leaves, laundry and shaking cameras out; all in lines and seconds.
//!
//! They matter more than the detector: "it moves down" alone gave fourteen times as many false alarms.

use crate::geometry::{Point, Polygon};

use super::linker::Sighting;
use super::measured::{Measured, Metric, measure};
use super::seen::Seen;
use super::wall::Wall;

/// Least duration in seconds of what was seen to leave the zone, or has ended on a wall that is not calibrated ...
const DURATION_S_MIN: f64 = 0.6;
/// ... of what leaves a calibrated wall and was not seen from its release on ...
const LEAVES_S_MIN: f64 = 0.7;
/// ... of what goes on, or was lost on the way, if nothing is doubtful about it ...
const SURE_S_MIN: f64 = 1.0;
/// ... and of all else: pigeons drop from a ledge for nearly as long, and slower.
const PLAIN_S_MIN: f64 = 1.1;
/// Least number of sightings ...
const SIGHTINGS_MIN: usize = 10;
/// ... in this share of the pictures, unless there are so many: chance joins a few sightings to anything ...
const DENSE: (f64, usize) = (0.7, 20);
/// ... but not for so many seconds.
const SPARSE_S_MIN: f64 = 1.8;
/// Most sideways per downwards ...
const SLANT_MAX: f64 = 1.2;
/// ... and of what is surely falling: thrown upwards and far, it comes down elsewhere.
const SURE_SLANT_MAX: f64 = 2.5;
/// Most scatter about the curve, in lines.
const RMS_MAX: f64 = 2.0;
/// Least share of the pictures between first and last sighting that saw it.
const SEEN_SHARE_MIN: f64 = 0.55;
/// Least share of the path that the curve explains: what circles before it dives is a bird.
const EXPLAINED_SHARE_MIN: f64 = 0.65;
/// Least acceleration, certain to one standard error, in lines per second squared, where metres are not known.
const ACCELERATION_MIN: f64 = 25.0;
/// Least speed at the end, in lines per second, where metres are not known.
const LAST_SPEED_MIN: f64 = 60.0;
/// A straight line must explain the path this many times worse than the curve.
const CURVED_MIN: f64 = 3.0;
/// What comes after the fitted part must go on falling at this share of its speed.
const TAIL_SPEED_MIN: f64 = 0.65;
/// Acceleration on the facade, m/s²: gravity less drag, throw and calibration (true falls measured 3.9 to 15) ...
const GRAVITY_M: (f64, f64) = (3.5, 15.0);
/// ... known to one standard error of this: a short arc of a leaf fits anything.
const GRAVITY_ERROR_M_MAX: f64 = 1.5;
/// Acceleration sideways on the facade, m/s², beyond two standard errors: birds and leaves turn, thrown things do not.
const ASIDE_M_MAX: f64 = 3.0;
/// Mean speed sideways on the facade, m/s: birds are faster, and nobody throws so far out of a window.
const ASIDE_SPEED_M_MAX: f64 = 8.0;
/// Least speed at the end on the facade, m/s.
const LAST_SPEED_M_MIN: f64 = 7.0;
/// What is not seen to leave has fallen at least so many metres: birds that leave a ledge drop less before they spread out.
const GOES_ON_M_MIN: f64 = 4.5;
/// Gravity and drag may explain a path this many times worse than the free curve, and these metres.
const MODEL_WORSE_MAX: (f64, f64) = (1.5, 0.05);
/// Surely gravity, m/s²: a stone, thrown towards the camera or not ...
const SURE_GRAVITY_M: (f64, f64) = (7.0, 13.5);
/// ... known to one standard error of this, with as little acceleration sideways ...
const SURE_ERROR_M_MAX: f64 = 0.35;
/// ... as this ...
const SURE_ASIDE_M_MAX: f64 = 1.5;
/// ... and this share of the path explained.
const SURE_SHARE_MIN: f64 = 0.85;
/// Birds that drop with half-closed wings are slower than this, in m/s² ...
const BIRD_GRAVITY_M: f64 = 8.5;
/// ... for less than so many seconds ...
const BIRD_S_MIN: f64 = 0.9;
/// ... and those that dive are slower than this, in m/s² ...
const SLOW_GRAVITY_M: f64 = 6.5;
/// ... for less than so many seconds ...
const SLOW_S_MIN: f64 = 1.5;
/// ... and turn meanwhile by more than this, in m/s² sideways.
const SLOW_ASIDE_M_MAX: f64 = 1.5;
/// What is not faster than this, in m/s, when first seen is seen from its release on.
const RELEASED_SPEED_M_MAX: f64 = 4.5;
/// What is already faster than this, in m/s, when first seen must be seen longer: a leaf near the camera seems as fast.
const LATE_SPEED_M_MIN: f64 = 8.0;
/// Seconds for that ...
const LATE_S_MIN: f64 = 1.5;
/// ... unless it is surely gravity over so many metres: then, if it leaves the zone, or goes on, so many ...
const LATE_SURE: (f64, f64, f64) = (10.0, 0.9, 1.1);
/// ... and if it came from above the picture, within so many lines of its edge, with this error, which explains it, so many.
const FROM_ABOVE: (f64, f64, f64) = (14.0, 0.5, 0.8);
/// A light thing has this terminal speed at most, in m/s, so that its acceleration soon is none ...
const LIGHT_TERMINAL_M_MAX: f64 = 16.0;
/// ... it is told from a leaf, and from what is let down, by its release: no faster than this when first seen, in m/s, if it
/// is seen for so many metres and seconds ...
const LIGHT_SEEN_MIN: (f64, f64, f64) = (3.0, 8.0, 1.2);
/// ... in this share of its path ...
const LIGHT_SHARE_MIN: f64 = 0.8;
/// ... and fits gravity and drag as well as a free curve, and these metres.
const LIGHT_WORSE_MAX: (f64, f64) = (1.2, 0.02);
/// What is smaller than this, in lines squared, may be a drop of water: a true projectile, told by repetition alone.
pub const DROP_AREA_MAX: f64 = 14.0;
/// Drops of water fall no faster than this, in m/s: what is as small and as light is one, or cannot be told from it.
const WATER_TERMINAL_M_MAX: f64 = 10.0;
/// Things leave a hand or a railing about so many metres before the wall, and look higher for it.
const OUTSIDE_M: f64 = 0.8;

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
    /// Mean area in lines squared of its later half.
    pub area: f64,
    /// Whether it had not ended when it was judged.
    pub goes_on: bool,
    /// Whether it is as long as the zone asks and no drop; all others only witness that something drips here.
    pub certain: bool,
}

impl Measured {
    /// Whether this may be a fall, as far as lines can tell: metres cost much, and most paths are snow, leaves and trees.
    fn may_fall(&self) -> bool {
        self.duration_s >= DURATION_S_MIN
            && self.points.len() >= SIGHTINGS_MIN
            && self.fall > 0.0
            && self.aside <= SURE_SLANT_MAX * self.fall
            && self.rms.0 <= RMS_MAX
            && self.rms.1 <= 1.3 * RMS_MAX
            && self.seen_share >= SEEN_SHARE_MIN
            && self.explained_share >= EXPLAINED_SHARE_MIN
            && self.curved >= CURVED_MIN
            && self.tail >= TAIL_SPEED_MIN
            && self.enters
    }

    /// Whether nothing but a fall moves like this. `complete`: the path has ended.
    fn is_fall(&self, complete: bool) -> bool {
        let (acceleration, uncertain) = self.acceleration;
        let slant_max = if self.is_sure() { SURE_SLANT_MAX } else { SLANT_MAX };
        self.may_fall()
            && self.duration_s >= self.least_s(complete)
            && (self.is_dense() || self.duration_s >= SPARSE_S_MIN)
            && self.aside <= slant_max * self.fall
            && match &self.metric {
                Some(metric) => {
                    metric.is_fall(self.is_light()) && (self.leaves || metric.fall >= GOES_ON_M_MIN)
                }
                None => acceleration - uncertain >= ACCELERATION_MIN && self.last_speed >= LAST_SPEED_MIN,
            }
    }

    /// Seconds that it must be seen.
    fn least_s(&self, complete: bool) -> f64 {
        let Some(metric) = &self.metric else {
            return if complete { DURATION_S_MIN } else { PLAIN_S_MIN };
        };
        let sure = self.is_sure();
        if metric.model.speed > LATE_SPEED_M_MIN {
            let (edge, error, above_s) = FROM_ABOVE;
            let from_above =
                self.points[0].y < edge && metric.gravity.1 <= error && metric.gravity.0 >= SURE_GRAVITY_M.0;
            return match (metric.fall >= LATE_SURE.0, from_above, sure) {
                (true, true, _) => above_s,
                (true, _, true) if self.leaves => LATE_SURE.1,
                (true, _, true) => LATE_SURE.2,
                _ => LATE_S_MIN,
            };
        }
        let released = metric.model.speed <= RELEASED_SPEED_M_MAX;
        match metric.gravity.0 {
            g if g < SLOW_GRAVITY_M && !self.is_light() => SLOW_S_MIN,
            g if g < BIRD_GRAVITY_M && self.leaves => BIRD_S_MIN,
            g if g < BIRD_GRAVITY_M => PLAIN_S_MIN,
            _ if self.leaves && released => DURATION_S_MIN,
            _ if self.leaves => LEAVES_S_MIN,
            _ if sure && released => SURE_S_MIN,
            _ => PLAIN_S_MIN,
        }
    }

    /// Whether there are so many sightings, so close, that chance did not join them.
    fn is_dense(&self) -> bool {
        let n = self.points.len();
        n >= SIGHTINGS_MIN && (self.seen_share >= DENSE.0 || n >= DENSE.1)
    }

    /// Whether its acceleration is gravity's without a doubt.
    fn is_sure(&self) -> bool {
        let gravity = |m: &Metric| {
            (SURE_GRAVITY_M.0..=SURE_GRAVITY_M.1).contains(&m.gravity.0)
                && m.gravity.1 <= SURE_ERROR_M_MAX
                && m.aside.0.abs() <= SURE_ASIDE_M_MAX
        };
        self.is_dense() && self.explained_share >= SURE_SHARE_MIN && self.metric.as_ref().is_some_and(gravity)
    }

    /// Whether it is a light thing, seen from its release until air carries it; no drop of water.
    fn is_light(&self) -> bool {
        let drags = |m: &Metric| {
            m.model.terminal <= LIGHT_TERMINAL_M_MAX
                && m.model.speed <= LIGHT_SEEN_MIN.0
                && m.fall >= LIGHT_SEEN_MIN.1
                && m.model.rms <= LIGHT_WORSE_MAX.0 * m.rms + LIGHT_WORSE_MAX.1
        };
        self.is_dense()
            && self.duration_s >= LIGHT_SEEN_MIN.2
            && self.seen_share >= DENSE.0
            && self.explained_share >= LIGHT_SHARE_MIN
            && self.area() > DROP_AREA_MAX
            && self.metric.as_ref().is_some_and(drags)
    }
}

impl Metric {
    fn is_fall(&self, light: bool) -> bool {
        (light || (GRAVITY_M.0..=GRAVITY_M.1).contains(&self.gravity.0))
            && self.gravity.1 <= GRAVITY_ERROR_M_MAX
            && self.aside.0.abs() - 2.0 * self.aside.1 <= ASIDE_M_MAX
            && self.aside.0.abs()
                <= if self.gravity.0 < SLOW_GRAVITY_M { SLOW_ASIDE_M_MAX } else { 1.5 * ASIDE_M_MAX }
            && self.aside_speed <= ASIDE_SPEED_M_MAX
            && self.last_speed >= LAST_SPEED_M_MIN
            && self.model.rms <= MODEL_WORSE_MAX.0 * self.rms + MODEL_WORSE_MAX.1
    }
}

/// Judges a path; `None` if it is no fall. `complete`: it has ended; what still goes on must convince more.
pub fn judge(path: &[Sighting], seen: &Seen, demands: &Demands, complete: bool) -> Option<Fallen> {
    let measured = measure(path, seen, demands).filter(Measured::may_fall)?.with_metres(demands)?;
    if !measured.is_fall(complete) {
        return None;
    }
    let area = measured.area();
    let water = area <= DROP_AREA_MAX
        && measured.metric.is_some_and(|metric| metric.model.terminal <= WATER_TERMINAL_M_MAX);
    let points = measured.points;
    let fallen_far = match measured.metric {
        Some(metric) => metric.fall >= demands.fall_min,
        None => measured.fall >= 36.0 * demands.fall_min,
    };
    let mut fallen = Fallen {
        weight: points.len() as f64 * measured.explained_share,
        release: measured.release,
        release_height_m: None,
        area,
        certain: points.len() >= demands.points_min && fallen_far && !water,
        goes_on: !complete,
        points,
    };
    if let (Some(wall), Some(metric)) = (&demands.wall, &measured.metric) {
        let unseen_m = metric.unseen.min(15.0);
        let (along, height_m) = (metric.first.0, metric.first.1 + unseen_m);
        fallen.release = wall.picture((along, height_m));
        let outside_m = OUTSIDE_M * wall.steepness(fallen.release, demands.lines_per_x / 360.0);
        let error_m = 1.0 + 0.3 * unseen_m + 0.5 * outside_m + metric.model.rms;
        fallen.release_height_m = Some(((height_m - outside_m) as f32, error_m as f32));
    }
    Some(fallen)
}
