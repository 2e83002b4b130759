//! One camera's way from access unit to statement: ring, sampler, decoder, detectors, scene, evidence, incident.
//!
//! Synchronous and clockless, so that `run` (live) and `replay` (a file, as fast as it goes) are the same code.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::camera::Ring;
use crate::config::{Camera, Model, RuleKind, Zone};
use crate::decode::{Decoder, KeyDecoder};
use crate::detect::foreground::Foreground;
use crate::detect::movers::{Movers, Network};
use crate::detect::{DetectError, Detector};
use crate::detection::{Detection, Findings, Mover, UNKNOWN};
use crate::event::Phase;
use crate::evidence;
use crate::frame::{AccessUnit, Captured, Picture};
use crate::geometry::{BBox, Polygon};
use crate::observation::{Observation, Stage, ZoneId};
use crate::sampler::{Decode, Need, Sampler};
use crate::scene::Scene;

use super::desk::{self, Desk};

/// A picture that was looked at, with everything that came of it; `replay` records and draws it.
pub struct Looked<'a> {
    /// Whose picture.
    pub camera: &'a Camera,
    /// The picture, masked.
    pub picture: &'a Picture,
    /// What was found in it.
    pub findings: &'a Findings,
    /// What the rules hold of each zone now.
    pub scene: &'a Scene,
}

/// What happened to a camera's access units, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Access units received.
    pub units: u64,
    /// Pictures decoded.
    pub decoded: u64,
    /// Pictures a detector or background model looked at.
    pub looked: u64,
    /// Access units that could not be decoded.
    pub undecodable: u64,
    /// Inferences that failed.
    pub inference_failed: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.units += more.units;
        self.decoded += more.decoded;
        self.looked += more.looked;
        self.undecodable += more.undecodable;
        self.inference_failed += more.inference_failed;
    }
}

/// Who is taken for a passer-by, and the place behind as unseen, from this score: a heap that looks a little like a person
/// must not hide itself.
const PASSER_SCORE_MIN: f32 = 0.4;

/// The boxes of persons with at least this score among objects.
fn persons(objects: &[Detection], score_min: f32) -> Vec<BBox> {
    let person = |object: &&Detection| object.class.as_str() == "person" && object.score >= score_min;
    objects.iter().filter(person).map(|object| object.bbox).collect()
}

/// What finds falling things on this camera.
fn candidates(camera: &Camera, model: Option<&Model>, falling: &[Polygon]) -> Candidates {
    match model.map(|model| Network::load(model, falling)) {
        Some(Ok(network)) => return Candidates::Network(Box::new(network)),
        Some(Err(error)) => {
            let camera = &camera.id;
            tracing::error!(%camera, "falling things are found by difference instead: {error}");
        }
        None => {}
    }
    Candidates::Difference(Box::new(Movers::new(falling)))
}

/// A clip that will be written when its last picture has come.
struct PendingClip {
    incident: Uuid,
    from: Duration,
    until: Duration,
}

/// How small moving things are found.
enum Candidates {
    /// What differs from the place's usual look.
    Difference(Box<Movers>),
    /// What a network marks.
    Network(Box<Network>),
}

/// One camera's state, touched by one thread at a time.
pub struct Analysis {
    camera: Arc<Camera>,
    detector: Option<Detector>,
    desk: Arc<Desk>,
    ring: Ring,
    sampler: Sampler,
    decoder: Option<Decoder>,
    foreground: Option<Foreground>,
    movers: Option<Candidates>,
    scene: Scene,
    clips: Vec<PendingClip>,
    /// Zones that were said to show a road.
    roads: HashSet<ZoneId>,
    counts: Counts,
}

impl Analysis {
    /// A camera that has seen nothing yet; `detector` may be absent only if no zone needs objects. A network for falling
    /// things that does not load leaves the difference from the usual look, with a message.
    pub fn new(camera: Arc<Camera>, detector: Option<Detector>, desk: Arc<Desk>) -> Self {
        let static_zones: Vec<(ZoneId, Polygon)> = (camera.zones.iter())
            .filter(|zone| zone.rule.kind != RuleKind::ThrownObject && zone.rule.any_object)
            .map(|zone| (zone.id.clone(), zone.polygon.clone()))
            .collect();
        let mut foreground = (!static_zones.is_empty()).then(|| Foreground::new(&static_zones));
        if let Some(foreground) = &mut foreground {
            desk.references(&camera.id).iter().for_each(|picture| foreground.know(picture));
        }
        let falling: Vec<Polygon> = (camera.zones.iter())
            .filter(|zone| zone.rule.kind == RuleKind::ThrownObject)
            .map(|zone| zone.polygon.clone())
            .collect();
        Self {
            ring: Ring::new(camera.ring_bytes_max),
            sampler: Sampler::default(),
            decoder: None,
            foreground,
            movers: (!falling.is_empty()).then(|| candidates(&camera, desk.falls_model(&camera), &falling)),
            scene: Scene::new(&camera.zones),
            clips: Vec::new(),
            roads: HashSet::new(),
            counts: Counts::default(),
            camera,
            detector,
            desk,
        }
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What the rules hold now.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Takes the next access unit; `keys` is the worker's decoder for single key pictures.
    pub fn take(&mut self, unit: AccessUnit, keys: &mut KeyDecoder, looked: &mut dyn FnMut(Looked<'_>)) {
        self.counts.units += 1;
        let now = unit.captured;
        let need = self.need(&now);
        let decode = self.sampler.decide(&unit, need);
        if decode != Decode::InOrder {
            self.decoder = None;
        }
        let pictures = match decode {
            Decode::No => Vec::new(),
            Decode::KeyPicture => match keys.decode(&unit) {
                Ok(picture) => vec![picture],
                Err(error) => self.undecodable(&error),
            },
            Decode::InOrder => self.decode_in_order(&unit),
        };
        self.ring.push(unit);
        for picture in pictures {
            self.counts.decoded += 1;
            self.look(picture, need, looked);
        }
        self.finish_clips(Some(now));
    }

    /// No more access units will come: takes the decoder's last pictures and writes the clips as far as they go.
    pub fn finish(&mut self, looked: &mut dyn FnMut(Looked<'_>)) {
        if let Some(mut decoder) = self.decoder.take() {
            let left = decoder.finish().unwrap_or_else(|error| self.undecodable(&error));
            for picture in left {
                self.counts.decoded += 1;
                let need = self.need(&picture.captured);
                self.look(picture, need, looked);
            }
        }
        self.finish_clips(None);
    }

    fn need(&self, at: &Captured) -> Need {
        let needs = self.scene.needs(self.desk.local(at));
        Need { picture_every_s: needs.objects_every_s, every_picture: needs.full_rate }
    }

    fn undecodable(&mut self, error: &dyn std::error::Error) -> Vec<Picture> {
        self.counts.undecodable += 1;
        // Damage comes in bursts; the counter tells how much, one line a power of two is enough.
        if self.counts.undecodable.is_power_of_two() {
            tracing::warn!(camera = %self.camera.id, count = self.counts.undecodable, "cannot decode: {error}");
        }
        Vec::new()
    }

    fn decode_in_order(&mut self, unit: &AccessUnit) -> Vec<Picture> {
        if self.decoder.is_none() {
            match Decoder::new(unit.codec) {
                Ok(decoder) => self.decoder = Some(decoder),
                Err(error) => return self.undecodable(&error),
            }
        }
        let Some(decoder) = &mut self.decoder else { return Vec::new() };
        match decoder.decode(unit) {
            Ok(pictures) => pictures,
            Err(error) => self.undecodable(&error),
        }
    }

    fn look(&mut self, picture: Picture, need: Need, looked: &mut dyn FnMut(Looked<'_>)) {
        let picture = &evidence::mask::apply(picture, &self.camera.masks);
        let captured = picture.captured;
        let movers = self.find_movers(picture);
        let due = self.sampler.is_due(captured.media, need);
        if !due && movers.is_none() {
            return;
        }
        let mut findings = Findings {
            captured,
            size_px: (picture.width as u32, picture.height as u32),
            objects: None,
            foreground: Vec::new(),
            movers,
        };
        if due {
            self.sampler.looked(captured.media);
            self.counts.looked += 1;
            findings.objects = self.detect(picture);
            if let Some(foreground) = &mut self.foreground {
                let objects = findings.objects.as_deref().unwrap_or_default();
                findings.foreground = foreground.observe(picture, &persons(objects, PASSER_SCORE_MIN));
                if let Some(light) = foreground.reference_due() {
                    self.desk.keep_reference(&self.camera.id, light, picture, &persons(objects, 0.0));
                }
            }
        }
        let observations = self.scene.observe(&findings, self.desk.local(&captured));
        self.warn_of_roads();
        for seen in &observations {
            self.state(seen, picture, findings.objects.as_deref());
        }
        if findings.objects.is_some() {
            self.desk.looked(&self.camera, &captured);
        }
        looked(Looked { camera: &self.camera, picture, findings: &findings, scene: &self.scene });
    }

    /// The self-test of zones for thrown objects: says once that one shows a road.
    fn warn_of_roads(&mut self) {
        for zone in self.scene.busy() {
            if self.roads.insert(zone.clone()) {
                let camera = &self.camera.id;
                tracing::warn!(%camera, %zone, "so much passes here that this is no quiet facade: thrown objects cannot be told from traffic; leave road and ground out of the zone, or aim the camera at the facade");
            }
        }
    }

    fn find_movers(&mut self, picture: &Picture) -> Option<Vec<Mover>> {
        let found = match self.movers.as_mut()? {
            Candidates::Difference(movers) => Ok(movers.observe(picture)),
            Candidates::Network(network) => network.observe(picture),
        };
        found.map_err(|error| self.inference_failed(&error)).ok()
    }

    fn detect(&mut self, picture: &Picture) -> Option<Vec<Detection>> {
        let found = self.detector.as_ref()?.detect(picture);
        found.map_err(|error| self.inference_failed(&error)).ok()
    }

    fn inference_failed(&mut self, error: &DetectError) {
        self.counts.inference_failed += 1;
        if self.counts.inference_failed.is_power_of_two() {
            let count = self.counts.inference_failed;
            tracing::error!(camera = %self.camera.id, count, "inference failed: {error}");
        }
    }

    /// Makes evidence for an observation where it deserves some, and turns it into statements.
    fn state(&mut self, seen: &Observation, picture: &Picture, objects: Option<&[Detection]>) {
        let Some(zone) = self.zone(&seen.zone) else { return };
        let open = self.desk.is_open(&self.camera, &zone);
        // A second object may fall while the incident of the first still waits for its clip.
        let instant = zone.rule.kind == RuleKind::ThrownObject;
        let opens = desk::opens(&zone, seen) && (!open || instant);
        // An instant matter's picture is the one that opened it: what comes after shows an empty facade.
        let clears = open && seen.stage == Stage::Cleared && !instant;
        let mut pictures = Vec::new();
        if opens || clears {
            // No picture leaves without someone having looked for people in it.
            let objects = objects.map_or_else(|| self.detect(picture).unwrap_or_default(), <[_]>::to_vec);
            let persons = persons(&objects, 0.0);
            pictures.extend(self.desk.snapshot(&self.camera, &zone, seen, picture, &persons));
            if opens && seen.objects.iter().any(|object| object.class.as_str() == UNKNOWN) {
                pictures.extend(self.desk.reference(&self.camera.id));
            }
        }
        let model = self.detector.as_ref().map(Detector::stamp);
        for said in self.desk.observe(&self.camera, &zone, seen, model, pictures) {
            if said.phase == Phase::Opened {
                self.plan_clip(&zone, seen, said.incident);
            }
        }
    }

    fn plan_clip(&mut self, zone: &Zone, seen: &Observation, incident: Uuid) {
        let (pre_roll, post_roll) = self.desk.clip_lengths();
        if pre_roll + post_roll == Duration::ZERO {
            return;
        }
        // A fall lies between its first sighting and now; of a long dwell the last seconds tell enough.
        let start = match zone.rule.kind {
            RuleKind::ThrownObject => seen.first_seen.media,
            RuleKind::Presence | RuleKind::Obstruction => seen.at.media,
        };
        let (from, until) = (start.saturating_sub(pre_roll), seen.at.media + post_roll);
        self.clips.push(PendingClip { incident, from, until });
    }

    /// Writes the clips whose last picture has come; all of them if no more pictures will come.
    fn finish_clips(&mut self, now: Option<Captured>) {
        let due = |clip: &PendingClip| now.is_none_or(|now| now.media >= clip.until);
        for clip in self.clips.extract_if(.., |clip| due(clip)) {
            let units = self.ring.since(clip.from);
            let at = now.or_else(|| units.last().map(|unit| unit.captured));
            if let (Some(at), Some(reference)) = (at, self.desk.clip(&self.camera, &units)) {
                self.desk.attach(clip.incident, reference, &at);
            }
        }
    }

    fn zone(&self, id: &ZoneId) -> Option<Zone> {
        self.camera.zones.iter().find(|zone| zone.id == *id).cloned()
    }
}
