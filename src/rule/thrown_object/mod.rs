//! Something small falls through the zone: small movers become paths, paths that are falls become one statement each.
//!
//! A fall is stated once, as soon as it is certain: its fragments, its bounces and what drips all day are not stated again.

mod curve;
mod gravity;
mod judgement;
mod linker;
mod measured;
mod seen;
mod wall;

use std::collections::VecDeque;

use crate::config::{Facade, Rule};
use crate::frame::Captured;
use crate::geometry::{Point, Polygon};
use crate::observation::Trajectory;

use super::View;
use judgement::{DROP_AREA_MAX, Demands, Fallen, judge};
use linker::{Linker, Sighting};
use seen::Seen;
use wall::Wall;

/// Lines in a picture's height; see `linker`.
const LINES: f64 = 360.0;
/// A judged fall that has ended waits this long for a better account of itself, in seconds.
const SETTLE_S: f64 = 0.4;
/// How long after its last sighting a path ends, in seconds; a whole path cannot be judged earlier.
const LINKER_DELAY_S: f64 = 0.2;
/// Falls that overlap, or follow within this many seconds, in one column are one.
const SAME_S: f64 = 0.5;
/// ... where a column is this wide, in lines ...
const SAME_COLUMN: f64 = 60.0;
/// ... unless the later begins so many lines above where the earlier ended.
const SAME_ABOVE: f64 = 40.0;
/// What falls again within this many seconds below where something fell has bounced, or bounced once more.
const BOUNCE_S: f64 = 1.5;
/// ... within this many lines sideways.
const BOUNCE_ASIDE: f64 = 90.0;
/// A bounce starts lower than this share of the fall before it.
const BOUNCE_BELOW: f64 = 0.5;
/// What may be a drop of water waits so many seconds for another one ...
const DROP_WAIT_S: f64 = 6.0;
/// ... in a column as narrow as this, in lines; where one dripped ...
const DROP_COLUMN: f64 = 6.0;
/// ... it goes on dripping for so many seconds.
const DROP_MEMORY_S: f64 = 600.0;
/// Falls remembered; the oldest give way.
const REMEMBERED_MAX: usize = 64;
/// What still falls is judged with every so many sightings ...
const LIVE_EVERY: usize = 2;
/// ... once there are so many.
const LIVE_POINTS_MIN: usize = 10;
/// A wall that is passed this often in so many seconds is a road, or birds nest on it: falls cannot be told there.
/// Measured per minute: real facades 9 to 11, roads 50 to 70.
const BUSY: (usize, f64) = (120, 180.0);
/// What passes does so for at least so many seconds, over so many lines, and at least this straight.
const PASSES: (f64, f64, f64) = (0.8, 40.0, 0.8);
/// A gap between pictures beyond which no path goes on, in seconds.
const GAP_S_MAX: f64 = 0.5;

/// A thrown object, once its path has been judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Fall {
    /// When it was first seen.
    pub first_seen: Captured,
    /// When it was last seen.
    pub last_seen: Captured,
    /// Its path.
    pub trajectory: Trajectory,
}

/// Where and when something fell.
#[derive(Debug, Clone, Copy)]
struct Trace {
    from: Sighting,
    to: Sighting,
    stated: bool,
}

/// Judges whether something falls through a zone.
#[derive(Debug, Clone)]
pub struct ThrownObject {
    demands: Demands,
    linker: Linker,
    seen: Seen,
    pictures: u64,
    last_t: f64,
    pending: Vec<Fallen>,
    remembered: VecDeque<Trace>,
    /// When something passed, in media seconds, at most as many as make the zone busy.
    passed: VecDeque<f64>,
}

impl ThrownObject {
    /// A judge for one zone.
    pub fn new(rule: &Rule, zone: &Polygon, facade: Option<&Facade>) -> Self {
        let demands = Demands {
            zone: zone.clone(),
            lines_per_x: LINES,
            fall_min: rule.fall_min as f64,
            points_min: rule.points_min,
            wall: facade.and_then(Wall::new),
        };
        Self {
            demands,
            linker: Linker::default(),
            seen: Seen::default(),
            pictures: 0,
            last_t: 0.0,
            pending: Vec::new(),
            remembered: VecDeque::new(),
            passed: VecDeque::new(),
        }
    }

    /// Whether so much passes here, minute after minute, that this must be a road and no facade.
    pub fn busy(&self) -> bool {
        self.passed.len() == BUSY.0 && self.last_t - self.passed[0] <= BUSY.1
    }

    /// Takes the movers of one picture; gives the falls that are now complete.
    pub fn look(&mut self, view: &View) -> Vec<Fall> {
        let captured = view.findings.captured;
        let t = captured.media.as_secs_f64();
        let Some(movers) = &view.findings.movers else { return self.settle(t) };
        let ended = if t - self.last_t > GAP_S_MAX { self.linker.end() } else { Vec::new() };
        self.demands.lines_per_x = LINES * view.aspect() as f64;
        self.pictures += 1;
        self.last_t = t;
        let lines_per_px = LINES / view.findings.size_px.1.max(1) as f64;
        let sightings = movers.iter().map(|m| Sighting {
            captured,
            t,
            picture: self.pictures,
            x: m.at.x as f64 * self.demands.lines_per_x,
            y: m.at.y as f64 * LINES,
            area: m.area_px as f64 * lines_per_px * lines_per_px,
            contrast: m.contrast as f64,
        });
        let sane = |s: &Sighting| s.x.is_finite() && s.y.is_finite() && s.area.is_finite();
        let sightings: Vec<Sighting> = sightings.filter(sane).collect();
        self.seen.remember(t, &sightings);
        let ended = [ended, self.linker.observe(t, sightings)].concat();
        self.passed.extend(ended.iter().filter(|path| passes(path)).map(|_| t));
        while self.passed.len() > BUSY.0 {
            self.passed.pop_front();
        }
        let ended = ended.iter().filter_map(|path| judge(path, &self.seen, &self.demands, true));
        // What is still falling need not be judged in every picture.
        let turn = |path: &&[Sighting]| path.len().is_multiple_of(LIVE_EVERY);
        let falling = self.linker.alive(LIVE_POINTS_MIN).filter(turn);
        let falling = falling.filter_map(|path| judge(path, &self.seen, &self.demands, false));
        let judged: Vec<Fallen> = ended.chain(falling).collect();
        judged.into_iter().for_each(|fallen| self.consider(fallen));
        self.settle(t)
    }

    /// Keeps the better of two accounts of one fall.
    fn consider(&mut self, fallen: Fallen) {
        match self.pending.iter_mut().find(|p| same_fall(&ends(p), &ends(&fallen))) {
            Some(known) => {
                if (fallen.certain, fallen.weight) > (known.certain, known.weight) {
                    *known = fallen;
                }
            }
            None => self.pending.push(fallen),
        }
    }

    /// States what has waited long enough and is neither known already, nor a bounce, nor a drop that drips.
    fn settle(&mut self, t: f64) -> Vec<Fall> {
        let waiting = |f: &Fallen| {
            let least_s = match (f.area <= DROP_AREA_MAX, f.goes_on) {
                (true, _) => DROP_WAIT_S,
                (false, true) => 0.0,
                (false, false) => SETTLE_S + LINKER_DELAY_S,
            };
            t - ends(f).1.t < least_s
        };
        let (pending, ready): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(waiting);
        self.pending = pending;
        let mut falls = Vec::new();
        for fallen in ready {
            let (from, to) = ends(&fallen);
            self.remembered.retain(|trace| from.t - trace.to.t <= DROP_MEMORY_S);
            let known = self
                .remembered
                .iter_mut()
                .find(|r| r.stated && (same_fall(&(r.from, r.to), &(from, to)) || bounced(r, &from)));
            let again = known.is_some();
            if let Some(trace) = known.filter(|trace| trace.to.t < to.t) {
                // It was stated before it was over, and a bounce may bounce.
                trace.to = to;
            }
            let one_column = |other: &Sighting| (other.x - from.x).abs() <= DROP_COLUMN;
            let drips = fallen.area <= DROP_AREA_MAX
                && (self.remembered.iter().any(|r| one_column(&r.from))
                    || self.pending.iter().any(|f| f.area <= DROP_AREA_MAX && one_column(&ends(f).0)));
            let stated = fallen.certain && !again && !drips;
            // A fragment of a stated fall is the same fall, not one more drop.
            if stated || !again {
                self.remembered.push_back(Trace { from, to, stated });
            }
            if self.remembered.len() > REMEMBERED_MAX {
                self.remembered.pop_front();
            }
            if stated {
                falls.push(self.told(&fallen));
            }
        }
        falls
    }

    fn told(&self, fallen: &Fallen) -> Fall {
        let (from, to) = ends(fallen);
        let place = |s: &Sighting| {
            let held = |v: f64| (v as f32).clamp(0.0, 1.0);
            Point { x: held(s.x / self.demands.lines_per_x), y: held(s.y / LINES) }
        };
        let floor_m = self.demands.wall.as_ref().and_then(|w| w.floor_m);
        let floor = fallen.release_height_m.zip(floor_m).map(|((height_m, error_m), floor_m)| {
            // A release below the first ceiling is the ground floor, 1.
            ((height_m / floor_m).max(0.0) as u32 + 1, (error_m / floor_m).ceil() as u32)
        });
        Fall {
            first_seen: from.captured,
            last_seen: to.captured,
            trajectory: Trajectory {
                points: fallen.points.iter().map(|s| (s.t, place(s))).collect(),
                release: fallen.release,
                release_height_m: fallen.release_height_m,
                floor,
            },
        }
    }
}

/// Whether something went along here, whichever way.
fn passes(path: &[Sighting]) -> bool {
    let (Some(first), Some(last)) = (path.first(), path.last()) else { return false };
    let far = (last.x - first.x).hypot(last.y - first.y);
    let way: f64 = path.windows(2).map(|pair| (pair[1].x - pair[0].x).hypot(pair[1].y - pair[0].y)).sum();
    path.len() >= 8 && last.t - first.t >= PASSES.0 && far >= PASSES.1 && far >= PASSES.2 * way
}

fn ends(fallen: &Fallen) -> (Sighting, Sighting) {
    // A judged path has at least five points.
    (fallen.points[0], fallen.points[fallen.points.len() - 1])
}

fn same_fall(a: &(Sighting, Sighting), b: &(Sighting, Sighting)) -> bool {
    let together = a.0.t.max(b.0.t) <= a.1.t.min(b.1.t) + SAME_S;
    let (earlier, later) = if a.0.t <= b.0.t { (a, b) } else { (b, a) };
    let follows = later.0.t <= earlier.1.t || later.0.y >= earlier.1.y - SAME_ABOVE;
    together && follows && (a.0.x - b.0.x).abs().min((a.1.x - b.1.x).abs()) < SAME_COLUMN
}

fn bounced(before: &Trace, from: &Sighting) -> bool {
    let after_s = from.t - before.to.t;
    let below = before.from.y + BOUNCE_BELOW * (before.to.y - before.from.y);
    (-SAME_S..=BOUNCE_S).contains(&after_s) && (from.x - before.to.x).abs() <= BOUNCE_ASIDE && from.y > below
}
