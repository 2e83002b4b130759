//! Something small falls through the zone: small movers become paths, paths that are falls become one statement each.
//!
//! A fall is stated once, shortly after it has ended: its fragments, its bounces and what drips all day are not stated again.

mod curve;
mod judgement;
mod linker;
mod wall;

use std::collections::VecDeque;

use crate::config::{Facade, Rule};
use crate::frame::Captured;
use crate::geometry::{Point, Polygon};
use crate::observation::Trajectory;

use super::View;
use judgement::{Demands, Fallen, judge};
use linker::{Linker, Sighting};
use wall::Wall;

/// Lines in a picture's height; see `linker`.
const LINES: f64 = 360.0;
/// A judged fall waits this long for a better account of itself, in seconds.
const SETTLE_S: f64 = 0.4;
/// Falls that overlap, or follow within this many seconds, in one column are one.
const SAME_S: f64 = 0.5;
/// ... where a column is this wide, in lines.
const SAME_COLUMN: f64 = 60.0;
/// What falls again within this many seconds below where something fell has bounced.
const BOUNCE_S: f64 = 3.0;
/// ... within this many lines sideways.
const BOUNCE_ASIDE: f64 = 90.0;
/// A bounce starts lower than this share of the fall before it.
const BOUNCE_BELOW: f64 = 0.35;
/// Seconds for which falls are remembered when it is asked whether something drips.
const DRIP_MEMORY_S: f64 = 600.0;
/// The third small thing to fall down one column is a drip, ...
const DRIPS_MIN: usize = 2;
/// ... if the column is as narrow as this, in lines, ...
const DRIP_COLUMN: f64 = 6.0;
/// ... and the thing smaller than this, in lines squared.
const DRIP_AREA_MAX: f64 = 14.0;
/// Falls remembered; the oldest give way.
const REMEMBERED_MAX: usize = 64;
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
    pictures: u64,
    last_t: f64,
    pending: Vec<Fallen>,
    remembered: VecDeque<Trace>,
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
            pictures: 0,
            last_t: 0.0,
            pending: Vec::new(),
            remembered: VecDeque::new(),
        }
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
        let sightings = sightings.filter(sane).collect();
        let ended = [ended, self.linker.observe(t, sightings)].concat();
        for path in ended {
            if let Some(fallen) = judge(&path, &self.demands) {
                self.consider(fallen);
            }
        }
        self.settle(t)
    }

    /// Keeps the better of two accounts of one fall.
    fn consider(&mut self, fallen: Fallen) {
        match self.pending.iter_mut().find(|p| same_fall(&ends(p), &ends(&fallen))) {
            Some(known) => {
                if (fallen.long_enough, fallen.weight) > (known.long_enough, known.weight) {
                    *known = fallen;
                }
            }
            None => self.pending.push(fallen),
        }
    }

    /// States what has waited long enough and is neither known already, nor a bounce, nor a drip.
    fn settle(&mut self, t: f64) -> Vec<Fall> {
        let waiting = |f: &Fallen| t - ends(f).1.t < SETTLE_S + linker_delay_s();
        let (pending, ready): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(waiting);
        self.pending = pending;
        let mut falls = Vec::new();
        for fallen in ready {
            let (from, to) = ends(&fallen);
            self.remembered.retain(|trace| from.t - trace.to.t <= DRIP_MEMORY_S);
            let again = self
                .remembered
                .iter()
                .any(|r| r.stated && (same_fall(&(r.from, r.to), &(from, to)) || bounced(r, &from)));
            let drips = fallen.area <= DRIP_AREA_MAX
                && self.remembered.iter().filter(|r| (r.from.x - from.x).abs() <= DRIP_COLUMN).count()
                    >= DRIPS_MIN;
            let stated = fallen.long_enough && !again && !drips;
            // A fragment of a stated fall is the same fall, not one more drip.
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

/// How long after its last sighting a path ends, in seconds; a fall cannot be judged earlier.
fn linker_delay_s() -> f64 {
    0.2
}

fn ends(fallen: &Fallen) -> (Sighting, Sighting) {
    // A judged path has at least five points.
    (fallen.points[0], fallen.points[fallen.points.len() - 1])
}

fn same_fall(a: &(Sighting, Sighting), b: &(Sighting, Sighting)) -> bool {
    let together = a.0.t.max(b.0.t) <= a.1.t.min(b.1.t) + SAME_S;
    together && (a.0.x - b.0.x).abs().min((a.1.x - b.1.x).abs()) < SAME_COLUMN
}

fn bounced(before: &Trace, from: &Sighting) -> bool {
    let after_s = from.t - before.to.t;
    let below = before.from.y + BOUNCE_BELOW * (before.to.y - before.from.y);
    (-SAME_S..=BOUNCE_S).contains(&after_s) && (from.x - before.to.x).abs() <= BOUNCE_ASIDE && from.y > below
}
