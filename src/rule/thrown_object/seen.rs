//! What was seen in the last seconds: a path that broke is completed from it.
//!
//! A thing that falls before windows and walls is lost wherever it is as grey as what is behind it, and each rest of its path
//! alone is too short to be sure of. But what falls goes on as it began: from the rest the way is known before and after it, and
//! there the other rests are found.

use std::collections::VecDeque;

use super::curve::Curve;
use super::linker::Sighting;

/// Seconds that are remembered, as long as a path may be.
const REMEMBERED_S: f64 = 6.0;
/// ... but not more pictures than this, should their times run wild ...
const PICTURES_MAX: usize = 400;
/// ... nor more sightings of one, the first of which stand out most.
const SIGHTINGS_MAX: usize = 64;
/// A gap may be as long as this share of what is known ...
const GAP_SHARE: f64 = 0.75;
/// ... but not longer than this, in seconds.
const GAP_S_MAX: f64 = 0.48;
/// The way ahead is told from so many seconds of what is known.
const RECENT_S: f64 = 0.8;
/// A sighting belongs if it is so near, in lines ...
const NEAR: f64 = 2.0;
/// ... and so many lines more per second since the last one, for the prediction may err ...
const NEAR_PER_S: f64 = 22.0;
/// ... and so much more per line that a picture's time takes it.
const NEAR_PER_SPEED: f64 = 0.006;
/// Faster upwards than this, in lines per second, nothing is thrown.
const UP_MAX: f64 = 60.0;
/// Points at most.
const POINTS_MAX: usize = 160;

/// The sightings of the last seconds, by picture.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pictures: VecDeque<(f64, Vec<Sighting>)>,
}

impl Seen {
    /// Keeps the sightings of a picture at `t` seconds.
    pub fn remember(&mut self, t: f64, sightings: &[Sighting]) {
        self.pictures.push_back((t, sightings.iter().take(SIGHTINGS_MAX).copied().collect()));
        let old = |(at, _): &(f64, Vec<Sighting>)| t - at > REMEMBERED_S;
        while self.pictures.len() > PICTURES_MAX || self.pictures.front().is_some_and(old) {
            self.pictures.pop_front();
        }
    }

    /// The part of a path that falls, with what was seen before and after it on the same way, in order.
    pub fn completed(&self, part: &[Sighting]) -> Vec<Sighting> {
        let mut known: VecDeque<Sighting> = part.iter().copied().collect();
        let (Some(first), Some(last)) = (part.first(), part.last()) else { return Vec::new() };
        let after = self.pictures.partition_point(|(t, _)| *t <= last.t + 1e-6);
        for (t, sightings) in self.pictures.iter().skip(after) {
            let Some(end) = known.back().copied() else { break };
            let span = end.t - known.front().map_or(end.t, |s| s.t);
            if t - end.t > (GAP_SHARE * span).min(GAP_S_MAX) || known.len() >= POINTS_MAX {
                break;
            }
            let recent: Vec<Sighting> =
                known.iter().rev().take_while(|s| end.t - s.t <= RECENT_S).copied().collect();
            let recent: Vec<Sighting> = recent.into_iter().rev().collect();
            if let Some(next) = next(&recent, &end, *t, sightings) {
                known.push_back(next);
            }
        }
        let before = self.pictures.partition_point(|(t, _)| *t < first.t - 1e-6);
        for (t, sightings) in self.pictures.iter().take(before).rev() {
            let Some(start) = known.front().copied() else { break };
            let span = known.back().map_or(start.t, |s| s.t) - start.t;
            if start.t - t > (GAP_SHARE * span).min(GAP_S_MAX) || known.len() >= POINTS_MAX {
                break;
            }
            let recent: Vec<Sighting> =
                known.iter().take_while(|s| s.t - start.t <= RECENT_S).copied().collect();
            if let Some(next) = next(&recent, &start, *t, sightings) {
                known.push_front(next);
            }
        }
        known.into()
    }
}

/// The sighting at `t` that goes on from `recent`, whose nearer end is `end`.
fn next(recent: &[Sighting], end: &Sighting, t: f64, sightings: &[Sighting]) -> Option<Sighting> {
    if sightings.is_empty() {
        return None;
    }
    let series =
        |value: fn(&Sighting) -> f64| -> Vec<(f64, f64)> { recent.iter().map(|s| (s.t, value(s))).collect() };
    let x = Curve::fit(&series(|s| s.x), 1)?;
    let y = Curve::fit(&series(|s| s.y), 2)?;
    if y.speed_at(t) < -UP_MAX {
        return None;
    }
    let (at_x, at_y) = (x.at(t), y.at(t));
    let speed = y.speed_at(t).hypot(x.speed_at(t));
    let near = NEAR + NEAR_PER_S * (t - end.t).abs() + NEAR_PER_SPEED * speed;
    let distance = |s: &Sighting| (s.x - at_x).hypot(s.y - at_y);
    let nearest = sightings.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    (distance(nearest) <= near).then_some(*nearest)
}
