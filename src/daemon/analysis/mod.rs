//! One camera's way from access unit to statement: decoder, detectors, scene, evidence, incident.
//!
//! Synchronous and clockless, so that `run` (live) and `replay` (a file, as fast as it goes) are the same code.

mod asked;
mod clips;
mod doubt;
mod memory;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::DateTime;
use uuid::Uuid;

use crate::config::{Camera, Model, RuleKind, Zone};
use crate::decode::{DecodeError, Decoder, KeyDecoder};
use crate::detect::foreground::Foreground;
use crate::detect::movers::{Movers, Network};
use crate::detect::{DetectError, Detector};
use crate::detection::{Detection, Findings, Mover, UNKNOWN};
use crate::event::Phase;
use crate::evidence;
use crate::frame::{AccessUnit, Captured, Codec, Picture};
use crate::geometry::{BBox, Polygon};
use crate::incident::opens;
use crate::observation::{Observation, Stage, ZoneId};
use crate::sampler::{Need, is_due_in_order};
use crate::scene::Scene;

use super::condition::Condition;
use super::desk::{Desk, Standing};
use super::gate::Gate;
use super::gauge::Counts;
use super::intake::{PostBox, Task, Work};
use clips::Clips;
use doubt::Doubt;
use memory::Memory;

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

/// An own decoder (8 MB and more) that has had nothing for so long is let go.
const DECODER_KEPT: Duration = Duration::from_secs(30);

/// Who wants to see a picture.
enum Wanted {
    /// Every rule, and the camera's health; `key`: it was decoded from a key picture.
    ByAll {
        /// Whether it was.
        key: bool,
    },
    /// Only who looks for falling things.
    ByThrown,
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
    post: PostBox,
    /// The camera's own decoder while it works; between two tasks the post has it.
    decoder: Option<Decoder>,
    /// Media time of the last picture that went through the own decoder, and of the last that was looked at.
    decoded: Duration,
    looked: Option<Duration>,
    foreground: Option<Foreground>,
    movers: Option<Candidates>,
    scene: Scene,
    memory: Memory,
    clips: Clips,
    /// Zones that were said to show a road.
    roads: HashSet<ZoneId>,
    /// What has not been reported yet.
    counts: Counts,
    gate: Gate,
    doubt: Doubt,
    /// What was wanted when the work in hand was made, and whether the packet gate would have spared it.
    need: Need,
    spared: bool,
    /// When the newest unit of the work in hand came, when the work began, and how long decoding took.
    arrived: Instant,
    began: Instant,
    decoding: Duration,
    /// When the work in hand should be done.
    deadline: Instant,
    /// Time spent waiting for inferences, and the processor time that they took, since the last report.
    waited: Duration,
    waited_before: Duration,
    inference: Duration,
    /// In all, for the log.
    undecodable: u64,
    inference_failed: u64,
}

/// What the rules want of the pictures at this local time.
fn need(scene: &Scene, local: DateTime) -> Need {
    let needs = scene.needs(local);
    Need {
        picture_every_s: needs.objects_every_s,
        every_picture: needs.full_rate,
        urgent: needs.occupied,
        blind_s_max: needs.blind_s_max,
    }
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
            if let Some(ground) = desk.ground_of(&camera.id) {
                foreground.know_ground(&ground);
            }
            desk.references(&camera.id).iter().for_each(|picture| foreground.know(picture));
        }
        let falling: Vec<Polygon> = (camera.zones.iter())
            .filter(|zone| zone.rule.kind == RuleKind::ThrownObject)
            .map(|zone| zone.polygon.clone())
            .collect();
        let scene = Scene::new(&camera.zones);
        let post = PostBox::new(&camera);
        Self {
            post,
            decoder: None,
            decoded: Duration::ZERO,
            looked: None,
            foreground,
            movers: (!falling.is_empty())
                .then(|| candidates(&camera, desk.falls_model(&camera).as_ref(), &falling)),
            scene,
            memory: Memory::default(),
            clips: Clips::default(),
            roads: HashSet::new(),
            counts: Counts::default(),
            gate: Gate::new(&camera.zones, desk.gates()),
            doubt: Doubt::new(None),
            need: Need::default(),
            spared: false,
            arrived: Instant::now(),
            began: Instant::now(),
            decoding: Duration::ZERO,
            deadline: Instant::now(),
            waited: Duration::ZERO,
            waited_before: Duration::ZERO,
            inference: Duration::ZERO,
            undecodable: 0,
            inference_failed: 0,
            camera,
            detector,
            desk,
        }
    }

    /// The same for a camera whose health is watched, and of which something may be remembered from before a restart or a
    /// reload; also gives the media time that it is now, then.
    pub fn resume(
        camera: Arc<Camera>,
        detector: Option<Detector>,
        desk: Arc<Desk>,
        condition: Arc<Condition>,
        now: Timestamp,
    ) -> (Self, Option<Duration>) {
        let remembered = desk.remembered(&camera.id);
        let mut analysis = Self::new(camera, detector, desk);
        analysis.doubt = Doubt::new(Some(condition));
        let media_now = remembered.and_then(|checkpoint| {
            let media_now = checkpoint.media_at(now)?;
            analysis.scene = Scene::resume(&analysis.camera.zones, checkpoint);
            analysis.memory = Memory::resumed();
            Some(media_now)
        });
        (analysis, media_now)
    }

    /// What this side shares with the camera's intake.
    pub fn post(&self) -> &PostBox {
        &self.post
    }

    /// What the rules hold now.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Does what an access unit led to; `keys` is the thread's decoder for single key pictures.
    pub fn work(&mut self, task: Task, keys: &mut KeyDecoder, looked: &mut dyn FnMut(Looked<'_>)) {
        let Task { work, at, need, deadline, spared, arrived } = task;
        (self.arrived, self.began, self.waited_before) = (arrived, Instant::now(), self.waited);
        (self.deadline, self.need, self.spared) = (deadline, need, spared);
        self.decoder = self.post.lock().decoder.take();
        match work {
            Work::Tend => {
                if at.media.saturating_sub(self.decoded) > DECODER_KEPT {
                    self.decoder = None;
                }
            }
            Work::Poll(unit, asked) => {
                self.answer(&unit, asked, keys, looked);
            }
            Work::Key(unit) => {
                self.decoder = None;
                match keys.decode(&unit) {
                    Ok(picture) => self.look(picture, Wanted::ByAll { key: true }, looked),
                    Err(error) => self.undecodable(&error),
                }
            }
            Work::Forward(units) => match self.decode_forward(&units) {
                Ok(Some(picture)) => self.look(picture, Wanted::ByAll { key: false }, looked),
                Ok(None) => {}
                Err(error) => self.undecodable(&error),
            },
            Work::InOrder(unit) => {
                if unit.key {
                    self.examine_key(&unit, keys);
                }
                match self.decode_in_order(&unit) {
                    Ok(pictures) => self.look_at_all(pictures, need, looked),
                    Err(error) => self.undecodable(&error),
                }
            }
        }
        self.clips.write(Some(at), &self.camera, &self.post, &self.desk);
        self.report(&at);
    }

    /// No more access units will come: takes the decoder's last pictures and writes the clips as far as they go.
    pub fn finish(&mut self, looked: &mut dyn FnMut(Looked<'_>)) {
        let decoder = self.post.lock().decoder.take();
        if let Some(mut decoder) = decoder {
            match decoder.finish() {
                Ok(pictures) => {
                    let need = self.post.lock().need;
                    self.look_at_all(pictures, need, looked);
                }
                Err(error) => self.undecodable(&error),
            }
        }
        self.clips.write(None, &self.camera, &self.post, &self.desk);
        if let Some(last) = self.scene.at() {
            self.memory.keep_scene(&last, true, &self.camera, &self.scene, &self.desk);
        }
        self.post.lock().counts += std::mem::take(&mut self.counts);
    }

    /// Time that the last work spent waiting for inferences, and the processor time that these took elsewhere.
    pub fn take_inference(&mut self) -> (Duration, Duration) {
        (std::mem::take(&mut self.waited), std::mem::take(&mut self.inference))
    }

    /// Tells the other side what is wanted from now on.
    fn report(&mut self, at: &Captured) {
        let need = need(&self.scene, self.desk.local(at));
        let mut post = self.post.lock();
        post.need = need;
        post.clip_due = self.clips.due();
        post.counts += std::mem::take(&mut self.counts);
        if !post.is_resting() {
            post.decoder = self.decoder.take();
        }
        drop(post);
        self.decoder = None;
    }

    fn look_at_all(&mut self, pictures: Vec<Picture>, need: Need, looked: &mut dyn FnMut(Looked<'_>)) {
        for picture in pictures {
            let every_s = need.picture_every_s;
            let due = every_s.is_some_and(|s| is_due_in_order(picture.captured.media, self.looked, s));
            let wanted = if due { Wanted::ByAll { key: false } } else { Wanted::ByThrown };
            self.look(picture, wanted, looked);
        }
    }

    fn undecodable(&mut self, error: &dyn std::error::Error) {
        self.counts.undecodable += 1;
        self.undecodable += 1;
        // Damage comes in bursts; the counter tells how much, one line a power of two is enough.
        if self.undecodable.is_power_of_two() {
            tracing::warn!(camera = %self.camera.id, count = self.undecodable, "cannot decode: {error}");
        }
    }

    fn decode_in_order(&mut self, unit: &AccessUnit) -> Result<Vec<Picture>, DecodeError> {
        self.decoded = unit.captured.media;
        self.own_decoder(unit.codec)?.decode(unit)
    }

    /// The newest picture of a group that goes on, or begins anew.
    fn decode_forward(&mut self, units: &[AccessUnit]) -> Result<Option<Picture>, DecodeError> {
        let (Some(first), Some(last)) = (units.first(), units.last()) else { return Ok(None) };
        if first.key {
            self.decoder = None;
        }
        self.decoded = last.captured.media;
        self.own_decoder(first.codec)?.newest(units)
    }

    fn own_decoder(&mut self, codec: Codec) -> Result<&mut Decoder, DecodeError> {
        match &mut self.decoder {
            Some(decoder) => Ok(decoder),
            none => Ok(none.insert(Decoder::new(codec)?)),
        }
    }

    fn look(&mut self, picture: Picture, wanted: Wanted, looked: &mut dyn FnMut(Looked<'_>)) {
        self.counts.decoded += 1;
        self.decoding = self.began.elapsed();
        let picture = &evidence::mask::apply(picture, &self.camera.masks);
        let captured = picture.captured;
        let due = match wanted {
            Wanted::ByAll { key } => {
                self.examine(picture, key);
                true
            }
            Wanted::ByThrown => false,
        };
        if self.is_blind(&captured) {
            return;
        }
        let movers = self.find_movers(picture);
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
            self.looked = Some(captured.media);
            self.counts.looked += 1;
            findings.objects = self.detect_what_changed(picture);
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
        if let Some(foreground) = &self.foreground {
            self.memory.keep_ground(&captured, &self.camera, foreground, &self.scene, &self.desk);
        }
        let says = !observations.is_empty();
        self.memory.keep_scene(&captured, says, &self.camera, &self.scene, &self.desk);
        for seen in &observations {
            self.state(seen, picture, findings.objects.as_deref());
        }
        if findings.objects.is_some() {
            self.desk.looked(&self.camera, &captured);
            self.post.lock().looked = Some(Instant::now());
        }
        looked(Looked { camera: &self.camera, picture, findings: &findings, scene: &self.scene });
    }

    /// Looks at the camera's health.
    fn examine(&mut self, picture: &Picture, key: bool) {
        let mut doubt = std::mem::replace(&mut self.doubt, Doubt::new(None));
        let camera = Arc::clone(&self.camera);
        doubt.look(&camera, picture, key, || persons(&self.detect(picture).unwrap_or_default(), 0.0));
        self.doubt = doubt;
    }

    /// The same now and then where every picture is decoded in order: only key pictures tell whether it is frozen.
    fn examine_key(&mut self, unit: &AccessUnit, keys: &mut KeyDecoder) {
        if self.doubt.is_due(unit.captured.media)
            && let Ok(picture) = keys.decode(unit)
        {
            self.examine(&evidence::mask::apply(picture, &self.camera.masks), true);
        }
    }

    /// Whether the pictures show nothing that could be analysed. Nobody then knows how an open incident goes on.
    fn is_blind(&mut self, at: &Captured) -> bool {
        if self.doubt.gives_up(at) {
            self.desk.camera_lost(&self.camera.id, at.wall);
        }
        if self.doubt.is_none() {
            return false;
        }
        self.looked = Some(at.media);
        self.counts.blind += 1;
        self.post.lock().looked = Some(Instant::now());
        true
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
        let detector = self.detector.as_ref()?;
        let asked = Instant::now();
        let found = detector.detect_by(picture, self.deadline);
        self.waited += asked.elapsed();
        self.inference += detector.cost();
        found.map_err(|error| self.inference_failed(&error)).ok()
    }

    /// What is in the picture: what was there before, if no zone has changed, else what the detector finds.
    fn detect_what_changed(&mut self, picture: &Picture) -> Option<Vec<Detection>> {
        let at = picture.captured.media;
        let verdict = self.gate.ask(picture, &self.need, &mut self.counts);
        self.counts.quiet_missed += u64::from(self.spared && verdict.changed == Some(true));
        if !self.need.every_picture {
            self.post.lock().shown.push((at, verdict.changed));
        }
        if verdict.known.is_some() {
            return verdict.known;
        }
        let found = self.detect(picture)?;
        self.gate.inferred(at, &verdict, &found, &mut self.counts);
        Some(found)
    }

    fn inference_failed(&mut self, error: &DetectError) {
        self.counts.inference_failed += 1;
        self.inference_failed += 1;
        if self.inference_failed.is_power_of_two() {
            let count = self.inference_failed;
            tracing::error!(camera = %self.camera.id, count, "inference failed: {error}");
        }
    }

    /// Makes evidence for an observation where it deserves some, and turns it into statements.
    fn state(&mut self, seen: &Observation, picture: &Picture, objects: Option<&[Detection]>) {
        let Some(zone) = self.zone(&seen.zone) else { return };
        let Standing { open, barred } = self.desk.standing(&self.camera, &zone, seen);
        // A second object may fall while the incident of the first still waits for its clip.
        let instant = zone.rule.kind == RuleKind::ThrownObject;
        let opens = opens(&zone, seen) && !barred && (!open || instant);
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
                self.tell_latency(said.incident);
                self.clips.plan(&zone, seen, said.incident, self.desk.clip_lengths());
            }
        }
    }

    /// How long each stage took from the arrival of the picture to the statement on disk; with the broker's
    /// acknowledgement (`dispatch`) that is the latency of an alert.
    fn tell_latency(&self, incident: Uuid) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (queued, all) = (self.began.saturating_duration_since(self.arrived), self.arrived.elapsed());
        let (decoded, waited) = (self.decoding, self.waited.saturating_sub(self.waited_before));
        let rest = all.saturating_sub(queued + decoded + waited);
        tracing::debug!(
            target: "gridwatch::latency",
            %incident,
            queue_ms = ms(queued),
            decode_ms = ms(decoded),
            detect_ms = ms(waited),
            rules_and_evidence_ms = ms(rest),
            total_ms = ms(all),
            "opened"
        );
    }

    fn zone(&self, id: &ZoneId) -> Option<Zone> {
        self.camera.zones.iter().find(|zone| zone.id == *id).cloned()
    }
}
