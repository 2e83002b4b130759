//! Vehicles that stand, one by one: the scoring of RoadTrack's authors (Apache-2.0; detections and stops as text).
//!
//! A vehicle is found if in at least 20 % of the pictures in which it stands an open event's box overlaps it with an
//! IoU of at least 0.5; an event is false if it so overlaps any standing vehicle in less than 90 % of its pictures. The
//! latency is the number of pictures from the one in which the vehicle counts as standing to the first overlap.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::figures::{CaseResult, Rate, Spread};
use super::set::Boxes;
use crate::geometry::BBox;

const IOU_MIN: f32 = 0.5;
const FOUND_SHARE_MIN: f64 = 0.2;
const RIGHT_SHARE_MIN: f64 = 0.9;

/// A vehicle that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Its number in the boxes.
    pub id: u32,
    /// Seconds from the first picture to the one in which it counts as standing.
    pub from_s: f64,
    /// Pictures in which it stands.
    pub pictures: usize,
    /// Those in which an open event's box lies on it.
    pub matched: usize,
    /// Pictures from the first one to the first such.
    pub latency: Option<usize>,
    /// Where it stands first.
    pub bbox: [f32; 4],
}

impl Stop {
    /// Whether it was found.
    pub fn found(&self) -> bool {
        self.matched as f64 >= FOUND_SHARE_MIN * self.pictures as f64
    }
}

/// An event: something that was said to stand, over all pictures in which it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in its zone.
    pub id: u32,
    /// Seconds from the first picture to its first.
    pub from_s: f64,
    /// ... and to its last.
    pub to_s: f64,
    /// Pictures in which it was open and seen.
    pub pictures: usize,
    /// Those in which its box lies on a vehicle that stands.
    pub matched: usize,
    /// Where it was first.
    pub bbox: [f32; 4],
}

impl Event {
    /// Whether there was nothing that stands.
    pub fn is_false(&self) -> bool {
        (self.matched as f64) < RIGHT_SHARE_MIN * self.pictures as f64
    }
}

/// One case's vehicles and events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stops {
    /// Vehicles that stand.
    pub stops: Vec<Stop>,
    /// What was said.
    pub events: Vec<Event>,
}

impl Stops {
    /// Vehicles that were not found.
    pub fn missed(&self) -> usize {
        self.stops.iter().filter(|stop| !stop.found()).count()
    }

    /// Events about nothing.
    pub fn false_events(&self) -> usize {
        self.events.iter().filter(|event| event.is_false()).count()
    }
}

/// Scores the open events of each picture (`played`, one entry a picture) against the vehicles that stand.
pub fn score(truth: &[Boxes], played: &[Boxes]) -> Stops {
    // Times come from different writers: the same picture if they agree to a millisecond.
    let key = |at_s: f64| (at_s * 1000.0).round() as i64;
    let standing: BTreeMap<i64, &[(u32, BBox)]> =
        truth.iter().map(|b| (key(b.at_s), b.boxes.as_slice())).collect();
    let (mut stops, mut events) = (BTreeMap::<u32, (usize, Stop)>::new(), BTreeMap::<u32, Event>::new());
    for (index, picture) in played.iter().enumerate() {
        let vehicles = standing.get(&key(picture.at_s)).copied().unwrap_or_default();
        let on = |a: &BBox, others: &[(u32, BBox)]| others.iter().any(|(_, b)| a.iou(b) >= IOU_MIN);
        for (id, bbox) in vehicles {
            let new = Stop {
                id: *id,
                from_s: picture.at_s,
                pictures: 0,
                matched: 0,
                latency: None,
                bbox: (*bbox).into(),
            };
            let (first, stop) = stops.entry(*id).or_insert((index, new));
            stop.pictures += 1;
            if on(bbox, &picture.boxes) {
                stop.matched += 1;
                stop.latency.get_or_insert(index - *first);
            }
        }
        for (id, bbox) in &picture.boxes {
            let (from_s, to_s) = (picture.at_s, picture.at_s);
            let new = Event { id: *id, from_s, to_s, pictures: 0, matched: 0, bbox: (*bbox).into() };
            let event = events.entry(*id).or_insert(new);
            event.to_s = to_s;
            event.pictures += 1;
            event.matched += usize::from(on(bbox, vehicles));
        }
    }
    Stops {
        stops: stops.into_values().map(|(_, stop)| stop).collect(),
        events: events.into_values().collect(),
    }
}

/// The figures of all cases with boxes, or of one stratum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name and value of the stratum; `None`: all.
    pub stratum: Option<(String, String)>,
    /// Cases, ...
    pub cases: usize,
    /// ... and hours of them.
    pub hours: f64,
    /// Found vehicles in found vehicles and false events: a second event on one vehicle is neither.
    pub precision: Option<Rate>,
    /// Share of the vehicles that are found.
    pub recall: Option<Rate>,
    /// Harmonic mean of both.
    pub f1: Option<f64>,
    /// Pictures from standing to the first match.
    pub latency: Option<Spread>,
    /// Cases in which nothing stands, ...
    pub quiet_cases: usize,
    /// ... and false events in them.
    pub quiet_false: usize,
}

/// Counts over all cases with boxes, then per stratum of theirs.
pub fn rows(cases: &[CaseResult]) -> Vec<Row> {
    let with: Vec<&CaseResult> = cases.iter().filter(|case| case.stops.is_some()).collect();
    if with.is_empty() {
        return Vec::new();
    }
    let strata: BTreeSet<(String, String)> =
        with.iter().flat_map(|case| case.strata.iter().map(|(n, v)| (n.clone(), v.clone()))).collect();
    let each = strata.into_iter().map(|(name, value)| {
        let some: Vec<_> =
            with.iter().copied().filter(|case| case.strata.get(&name) == Some(&value)).collect();
        row(&some, Some((name, value)))
    });
    std::iter::once(row(&with, None)).chain(each).collect()
}

fn row(cases: &[&CaseResult], stratum: Option<(String, String)>) -> Row {
    let all = || cases.iter().filter_map(|case| case.stops.as_ref());
    let vehicles: Vec<&Stop> = all().flat_map(|s| &s.stops).collect();
    let wrong: usize = all().map(Stops::false_events).sum();
    let found = vehicles.iter().filter(|stop| stop.found()).count();
    let (precision, recall) = (Rate::new(found, found + wrong), Rate::new(found, vehicles.len()));
    let f1 = precision.zip(recall).filter(|(p, r)| p.share + r.share > 0.0);
    let quiet = || all().filter(|s| s.stops.is_empty());
    Row {
        stratum,
        cases: cases.len(),
        hours: cases.iter().map(|case| case.seconds / 3600.0).sum(),
        f1: f1.map(|(p, r)| 2.0 * p.share * r.share / (p.share + r.share)),
        precision,
        recall,
        latency: Spread::new(
            vehicles.iter().filter(|s| s.found()).filter_map(|s| s.latency).map(|l| l as f64),
        ),
        quiet_cases: quiet().count(),
        quiet_false: quiet().map(Stops::false_events).sum(),
    }
}
