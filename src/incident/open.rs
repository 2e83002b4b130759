//! One open incident: what was said of it, and what is worth saying next.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::describe::{Facts, describe};
use crate::config::{Camera, RuleKind, Zone};
use crate::detection::{Class, ModelStamp};
use crate::event::{
    CameraRef, Certainty, EvidenceRef, Incident, ObjectRef, Phase, Recurrence, TrajectoryRef, ZoneRef,
};
use crate::geometry::{BBox, Point};
use crate::observation::{Observation, Stage};

/// Seconds between two updates that only say that coverage or classes changed: a flickering detector is no news.
const UPDATE_MIN_S: f64 = 30.0;
/// Seconds after which an incident that is still there says so.
const UPDATE_EVERY_S: f64 = 300.0;
/// Change of coverage worth an update.
const COVERAGE_STEP: f32 = 0.1;
/// Objects in a statement: what a person can look at.
const OBJECTS_MAX: usize = 32;
/// Points of a trajectory in a statement: 5 s at 25 pictures a second and some.
const POINTS_MAX: usize = 160;
/// Pieces of evidence per incident; later ones are refused, so that a day-long incident stays a small message.
pub(super) const EVIDENCE_MAX: usize = 16;

/// Days in which incidents of the same zone and kind are the same trouble again.
pub(super) const RECURRENCE_DAYS: u32 = 7;

/// An open incident.
#[derive(Debug)]
pub(super) struct Open {
    /// As it stands.
    pub incident: Incident,
    /// What the last statement said; time by the pictures' wall clock.
    pub said_at: Timestamp,
    said_coverage: f32,
    said_classes: Vec<Class>,
    /// Loaded from the store, and not seen again yet.
    pub remembered: Option<Remembered>,
}

/// What has come of watching for an incident of before a restart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Remembered {
    /// No picture yet.
    NotLooked,
    /// Pictures since this media time.
    LookingSince(Duration),
}

/// An observation with everything around it.
pub(super) struct Seen<'a> {
    pub camera: &'a Camera,
    pub zone: &'a Zone,
    pub observation: &'a Observation,
    pub model: Option<&'a ModelStamp>,
    pub evidence: Vec<EvidenceRef>,
    pub config_revision: &'a str,
    /// Whether the zone's hours contain the observation's time.
    pub in_hours: bool,
    /// Whether nothing may open although the hours are right: all of it is a known false alarm.
    pub barred: bool,
    /// How many incidents of this zone and kind there were in the last days; asked only when one opens.
    pub earlier: &'a dyn Fn() -> u32,
    pub now: Timestamp,
}

impl Open {
    pub fn new(incident: Incident, remembered: Option<Remembered>) -> Self {
        Self {
            said_at: incident.last_seen,
            said_coverage: incident.coverage,
            said_classes: classes(&incident.objects),
            incident,
            remembered,
        }
    }

    /// The first statement about a matter.
    pub fn begin(seen: Seen<'_>) -> Self {
        let Seen { camera, zone, observation, .. } = &seen;
        let incident = Incident {
            incident: new_id(seen.now),
            seq: 1,
            phase: Phase::Opened,
            certainty: Certainty::Suspected,
            kind: zone.scenario.id.clone(),
            level: zone.scenario.level,
            city_code: zone.scenario.city_code.clone(),
            title: zone.scenario.title.clone(),
            description: zone.scenario.description.clone(),
            camera: CameraRef {
                id: camera.id.clone(),
                name: camera.name.clone(),
                place: camera.place.clone(),
            },
            zone: ZoneRef { id: zone.id.clone(), name: zone.name.clone(), revision: zone.revision.clone() },
            first_seen: observation.first_seen.wall,
            confirmed_at: None,
            last_seen: observation.last_seen.wall,
            closed_at: None,
            closed_reason: None,
            clock: observation.at.clock,
            dwell_s: 0.0,
            unseen_s: 0.0,
            coverage: 0.0,
            objects: Vec::new(),
            trajectory: None,
            model: None,
            config_revision: String::new(),
            evidence: Vec::new(),
            verdict: None,
            recurrence: match (seen.earlier)() {
                0 => None,
                earlier => Some(Recurrence { count: earlier.saturating_add(1), days: RECURRENCE_DAYS }),
            },
        };
        let mut open = Self::new(incident, None);
        let at = seen.observation.at.wall;
        let evidence = open.take_in(seen);
        open.attach(evidence);
        open.note_said(at);
        open
    }

    /// Another observation of the same matter: an update if there is news in it.
    pub fn go_on(&mut self, seen: Seen<'_>) -> Option<Incident> {
        self.remembered = None;
        let was = self.incident.certainty;
        let at = seen.observation.at.wall;
        let evidence = self.take_in(seen);
        let confirmed = was != self.incident.certainty;
        let attached = self.attach(evidence);
        let since = seconds_between(self.said_at, at).abs();
        let changed = (self.incident.coverage - self.said_coverage).abs() >= COVERAGE_STEP
            || classes(&self.incident.objects) != self.said_classes;
        let news = confirmed || attached || (changed && since >= UPDATE_MIN_S) || since >= UPDATE_EVERY_S;
        news.then(|| self.say_update(at))
    }

    /// Brings the incident up to the observation; gives the evidence back.
    fn take_in(&mut self, seen: Seen<'_>) -> Vec<EvidenceRef> {
        let observation = seen.observation;
        let incident = &mut self.incident;
        // Certainty only rises: after a restart the rule counts its dwell anew, the matter does not.
        if observation.stage == Stage::Confirmed {
            incident.certainty = Certainty::Confirmed;
        }
        incident.first_seen = incident.first_seen.min(observation.first_seen.wall);
        incident.last_seen = incident.last_seen.max(observation.last_seen.wall);
        if incident.confirmed_at.is_none() {
            incident.confirmed_at = observation.confirmed_at.map(|at| at.wall);
        }
        incident.clock = observation.at.clock;
        incident.coverage = ratio(observation.coverage);
        incident.objects = observation
            .objects
            .iter()
            .filter(|object| finite(object.bbox))
            .take(OBJECTS_MAX)
            .map(|object| ObjectRef {
                class: object.class.clone(),
                confidence: ratio(object.score),
                bbox: object.bbox,
            })
            .collect();
        if let Some(path) = &observation.trajectory
            && path.release.x.is_finite()
            && path.release.y.is_finite()
        {
            incident.trajectory = Some(TrajectoryRef {
                points: sightings(&path.points),
                release: path.release,
                release_height_m: path.release_height_m.filter(|(h, e)| h.is_finite() && e.is_finite()),
                floor: path.floor,
            });
        }
        // What may have changed with the config since the incident opened.
        incident.model = seen.model.cloned().or(incident.model.take());
        seen.config_revision.clone_into(&mut incident.config_revision);
        seen.zone.revision.clone_into(&mut incident.zone.revision);
        self.refresh_dwell(&seen);
        self.describe(&seen);
        seen.evidence
    }

    /// The rule's own figure, or the wall time since an incident was first seen that outlived a restart.
    pub fn refresh_dwell(&mut self, seen: &Seen<'_>) {
        let incident = &mut self.incident;
        let counted = seen.observation.dwell_s;
        let sound = |seconds: f64| if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
        let (counted, unseen) = (sound(counted), sound(seen.observation.unseen_s));
        if incident.first_seen < seen.observation.first_seen.wall {
            incident.dwell_s = seconds_between(incident.first_seen, incident.last_seen).max(counted);
            incident.unseen_s = incident.unseen_s.max(unseen);
        } else {
            (incident.dwell_s, incident.unseen_s) = (counted, unseen);
        }
        incident.unseen_s = incident.unseen_s.min(incident.dwell_s);
    }

    pub fn describe(&mut self, seen: &Seen<'_>) {
        let incident = &self.incident;
        let classes = classes_in_order(&incident.objects);
        let facts = Facts {
            camera: &incident.camera.name,
            zone: &incident.zone.name,
            dwell_s: incident.dwell_s,
            unseen_s: incident.unseen_s,
            coverage: incident.coverage,
            classes: &classes,
            floor: incident.trajectory.as_ref().and_then(|path| path.floor),
            recurrence: incident.recurrence,
        };
        self.incident.description = describe(&seen.zone.scenario.description, facts);
    }

    /// Adds what is not there yet, up to the limit; whether anything was added.
    pub fn attach(&mut self, evidence: Vec<EvidenceRef>) -> bool {
        let before = self.incident.evidence.len();
        for piece in evidence {
            let known = self.incident.evidence.iter().any(|e| e.sha256 == piece.sha256);
            if !known && self.incident.evidence.len() < EVIDENCE_MAX {
                self.incident.evidence.push(piece);
            }
        }
        self.incident.evidence.len() > before
    }

    pub fn say_update(&mut self, at: Timestamp) -> Incident {
        self.incident.seq += 1;
        self.incident.phase = Phase::Updated;
        self.note_said(at);
        self.incident.clone()
    }

    fn note_said(&mut self, at: Timestamp) {
        self.said_at = at;
        self.said_coverage = self.incident.coverage;
        self.said_classes = classes(&self.incident.objects);
    }

    /// Whether the observation tells of a further instant event, not of the one that is open.
    pub fn is_another(&self, seen: &Seen<'_>) -> bool {
        seen.zone.rule.kind == RuleKind::ThrownObject
            && seen.observation.stage == Stage::Confirmed
            && seen.observation.first_seen.wall != self.incident.first_seen
    }
}

fn classes_in_order(objects: &[ObjectRef]) -> Vec<Class> {
    objects.iter().map(|object| object.class.clone()).collect()
}

/// The set of classes, for comparing.
fn classes(objects: &[ObjectRef]) -> Vec<Class> {
    let mut classes = classes_in_order(objects);
    classes.sort();
    classes.dedup();
    classes
}

/// A figure from outside as a ratio: JSON has no NaN.
fn ratio(value: f32) -> f32 {
    if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 }
}

/// Sightings with their time after the first.
fn sightings(points: &[(f64, Point)]) -> Vec<(f64, f32, f32)> {
    let sound = |(t, at): &&(f64, Point)| t.is_finite() && at.x.is_finite() && at.y.is_finite();
    let first_s = points.iter().find(sound).map_or(0.0, |(t, _)| *t);
    points.iter().filter(sound).take(POINTS_MAX).map(|(t, at)| (t - first_s, at.x, at.y)).collect()
}

fn finite(bbox: BBox) -> bool {
    [bbox.x0, bbox.y0, bbox.x1, bbox.y1].iter().all(|side| side.is_finite())
}

pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// A UUIDv7 whose time is `now`.
fn new_id(now: Timestamp) -> Uuid {
    let since_1970 = now.duration_since(Timestamp::UNIX_EPOCH);
    let seconds = since_1970.as_secs().max(0) as u64;
    let nanos = since_1970.subsec_nanos().max(0) as u32;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}
