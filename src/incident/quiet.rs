//! Quiet places: what the platform called a false alarm is not said again for a while.
//!
//! Nothing of this is kept for itself: it follows from the stored verdicts and the incidents that they are about.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use uuid::Uuid;

use super::machine::Key;
use crate::config::{RuleKind, Zone};
use crate::detection::UNKNOWN;
use crate::event::{Incident, ObjectRef, VerdictKind};
use crate::frame::CameraId;
use crate::geometry::Point;
use crate::observation::Observation;

/// Overlap of two boxes (IoU) from which on the same place is meant: what stands in it was found anew in each picture.
const IOU_MIN: f32 = 0.5;
/// Distance between two release points that are the same, in ratios of the picture.
const RELEASE_DISTANCE_MAX: f32 = 0.1;
/// Quiet causes per zone; with more, the oldest are heard again: whoever calls so many false should redraw the zone.
const PER_ZONE_MAX: usize = 64;

/// What is quiet, by zone.
#[derive(Debug, Default)]
pub(super) struct Quiets {
    of_zone: BTreeMap<Key, VecDeque<Quiet>>,
    /// When the last matter that was kept quiet was first seen, so that each counts once.
    last: BTreeMap<Key, Timestamp>,
    count: u64,
}

#[derive(Debug)]
struct Quiet {
    /// The false alarm.
    incident: Uuid,
    kind: String,
    objects: Vec<ObjectRef>,
    release: Option<Point>,
    since: Timestamp,
}

impl Quiets {
    /// Takes in a verdict. The last one about an incident counts: any other than `false_alarm` ends the quiet it made.
    pub fn decide(&mut self, incident: &Incident, verdict: VerdictKind, at: Timestamp) {
        let key = (incident.camera.id.clone(), incident.zone.id.clone());
        let quiets = self.of_zone.entry(key).or_default();
        quiets.retain(|quiet| quiet.incident != incident.incident);
        if verdict == VerdictKind::FalseAlarm {
            if quiets.len() >= PER_ZONE_MAX {
                quiets.pop_front();
            }
            quiets.push_back(Quiet {
                incident: incident.incident,
                kind: incident.kind.clone(),
                objects: incident.objects.clone(),
                release: incident.trajectory.as_ref().map(|path| path.release),
                since: at,
            });
        }
    }

    /// Whether everything in an observation is a known false alarm. One with nothing in it is not.
    pub fn cover(&self, camera: &CameraId, zone: &Zone, seen: &Observation, now: Timestamp) -> bool {
        let Some(quiets) = self.of_zone.get(&(camera.clone(), zone.id.clone())) else { return false };
        // A clock that was put back by a year must not keep a place quiet for a year.
        let fresh = |since: Timestamp| now.duration_since(since).as_secs_f64().abs() < zone.rule.quiet_s;
        let mut quiets = quiets.iter().filter(|quiet| quiet.kind == zone.scenario.id && fresh(quiet.since));
        if zone.rule.kind == RuleKind::ThrownObject {
            let Some(path) = &seen.trajectory else { return false };
            return quiets.any(|quiet| {
                quiet.release.is_some_and(|was| distance(was, path.release) <= RELEASE_DISTANCE_MAX)
            });
        }
        let known: Vec<&ObjectRef> = quiets.flat_map(|quiet| &quiet.objects).collect();
        !seen.objects.is_empty()
            && seen.objects.iter().all(|object| {
                // What no detector names may be what one named before; what one names now is not the shadow of yesterday.
                let alike = |was: &ObjectRef| object.class.as_str() == UNKNOWN || object.class == was.class;
                known.iter().any(|was| alike(was) && was.bbox.iou(&object.bbox) >= IOU_MIN)
            })
    }

    /// Notes that a matter was kept quiet.
    pub fn count(&mut self, camera: &CameraId, zone: &Zone, seen: &Observation) {
        let first_seen = seen.first_seen.wall;
        if self.last.insert((camera.clone(), zone.id.clone()), first_seen) != Some(first_seen) {
            self.count += 1;
            tracing::info!(%camera, zone = %zone.id, "kept quiet: a known false alarm");
        }
    }

    /// Matters that were kept quiet.
    pub fn counted(&self) -> u64 {
        self.count
    }
}

fn distance(a: Point, b: Point) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}
