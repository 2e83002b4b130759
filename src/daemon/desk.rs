//! Where all cameras' observations become statements: evidence on disk, incident in the store, messages in the outbox.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use uuid::Uuid;

use crate::config::{self, Camera, Config, Gates, Hours, Model, Scenario, Zone};
use crate::detect::foreground::Light;
use crate::detection::ModelStamp;
use crate::event::{EvidenceKind, EvidenceRef, Incident, IncidentEvent, RecheckOutcome};
use crate::evidence::register::{Deal, Deed};
use crate::evidence::{self, Archive, Class, EvidenceError, References, Register};
use crate::frame::{AccessUnit, CameraId, Captured, Picture};
use crate::geometry::{BBox, Polygon};
use crate::health::{self, Change, Status};
use crate::incident::{IncidentError, Incidents, envelope};
use crate::observation::{Observation, Stage};
use crate::scene::Checkpoint;
use crate::store::{Citation, PendingRecheck, Store};

/// Hears each statement once it is on disk.
pub type Listener = Box<dyn Fn(&IncidentEvent) + Send + Sync>;

/// Which time statements carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// The clock's, when pictures are live.
    Now,
    /// That of the picture, when a file is replayed.
    CaptureTime,
}

/// How things stand in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it has an open incident.
    pub open: bool,
    /// Whether what is seen opens none: it is a known false alarm, or the zone is disarmed.
    pub barred: bool,
}

/// The one place of a node where statements are made; shared by all cameras' threads.
pub struct Desk {
    /// The one in force.
    config: RwLock<Arc<Config>>,
    incidents: Mutex<Incidents>,
    store: Store,
    archive: Archive,
    register: Register,
    references: References,
    listener: Listener,
    speaks: Speaks,
}

impl Desk {
    /// Opens the desk on a store; incidents that were open go on.
    pub fn open(
        config: Arc<Config>,
        store: Store,
        listener: Listener,
        speaks: Speaks,
    ) -> Result<Self, super::DaemonError> {
        let archive = Archive::open(&config.node.data_dir)?;
        let register = Register::open(&config.node.data_dir)?;
        let references = References::open(&config.node.data_dir)?;
        let incidents = Mutex::new(Incidents::open(store.clone(), Arc::clone(&config))?);
        let config = RwLock::new(config);
        Ok(Self { config, incidents, store, archive, register, references, listener, speaks })
    }

    /// Statements that could not be written to the disk.
    pub fn lost(&self) -> u64 {
        self.lock().lost()
    }

    /// Puts a new config in force; what it took away is closed.
    pub fn reconfigure(&self, config: &Arc<Config>) {
        Arc::clone_from(&mut self.config.write().unwrap_or_else(PoisonError::into_inner), config);
        let said = self.lock().reconcile(Arc::clone(config));
        self.tell(said, Timestamp::now());
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The capture time in the operators' time zone, in which hours are meant.
    pub fn local(&self, captured: &Captured) -> DateTime {
        self.config().node.timezone.to_datetime(captured.wall)
    }

    /// Whether pictures in which nothing has changed are spared.
    pub fn gates(&self) -> Gates {
        self.config().node.gates
    }

    /// Seconds of clip before and after.
    pub fn clip_lengths(&self) -> (Duration, Duration) {
        let settings = &self.config().evidence;
        (Duration::from_secs_f64(settings.pre_roll_s), Duration::from_secs_f64(settings.post_roll_s))
    }

    /// How things stand in a zone when this is seen there.
    pub fn standing(&self, camera: &Camera, zone: &Zone, seen: &Observation) -> Standing {
        let incidents = self.lock();
        let open = incidents
            .open_incidents()
            .any(|incident| incident.camera.id == camera.id && incident.zone.id == zone.id);
        let now = self.now(&seen.at);
        let disarmed = incidents.is_disarmed(&camera.id, &zone.id, now);
        Standing { open, barred: disarmed || incidents.is_quiet(camera, zone, seen, now) }
    }

    /// Draws and keeps the picture of an observation; without one (disk full, say) the incident still goes out.
    pub fn snapshot(
        &self,
        camera: &Camera,
        zone: &Zone,
        seen: &Observation,
        picture: &Picture,
        persons: &[BBox],
    ) -> Option<EvidenceRef> {
        let settings = &self.config().evidence;
        let caption =
            evidence::caption(&camera.id, &picture.captured, &self.config().node.timezone, &zone.scenario.id);
        evidence::snapshot(picture, zone, seen, persons, &camera.masks, settings, &caption)
            .and_then(|jpeg| {
                self.archive.keep(Class::Incident, EvidenceKind::Snapshot, picture.captured.wall, &jpeg)
            })
            .map_err(|error| complain(&camera.id, &error))
            .ok()
    }

    /// Keeps a picture of the whole view, such as somebody asked for.
    pub fn view(
        &self,
        class: Class,
        camera: &CameraId,
        picture: &Picture,
        persons: &[BBox],
    ) -> Option<EvidenceRef> {
        let settings = &self.config().evidence;
        let caption = evidence::caption(camera, &picture.captured, &self.config().node.timezone, "poll");
        evidence::plain(picture, persons, settings, &caption)
            .and_then(|jpeg| self.archive.keep(class, EvidenceKind::Snapshot, picture.captured.wall, &jpeg))
            .map_err(|error| complain(camera, &error))
            .ok()
    }

    /// Keeps how a camera's zones look when they are empty.
    pub fn keep_reference(&self, camera: &CameraId, light: Light, picture: &Picture, persons: &[BBox]) {
        let kept = self.references.keep(camera, light.name(), picture, persons, &self.config().evidence);
        kept.unwrap_or_else(|error| complain(camera, &error));
    }

    /// The model that looks for falling things on a camera, if one shall.
    pub fn falls_model(&self, camera: &Camera) -> Option<Model> {
        self.config().models.get(camera.candidates.as_ref()?).cloned()
    }

    /// How a camera's zones look when they are empty, as far as earlier runs knew.
    pub fn references(&self, camera: &CameraId) -> Vec<Picture> {
        let captured =
            Captured { wall: Timestamp::now(), media: Duration::ZERO, clock: crate::frame::Clock::File };
        let found = self.references.of(camera, &Light::ALL.map(Light::name), SystemTime::now());
        found.iter().filter_map(|(_, jpeg)| evidence::reference::picture_of(jpeg, captured)).collect()
    }

    /// The newest of them as evidence beside a snapshot that shows something nobody has a name for.
    pub fn reference(&self, camera: &CameraId) -> Option<EvidenceRef> {
        let found = self.references.of(camera, &Light::ALL.map(Light::name), SystemTime::now());
        let (kept, jpeg) = found.first()?;
        let at = Timestamp::try_from(*kept).ok()?;
        let kept = self.archive.keep(Class::Incident, EvidenceKind::Reference, at, jpeg);
        kept.map_err(|error| complain(camera, &error)).ok()
    }

    /// Writes access units as a clip and keeps it.
    pub fn clip(&self, camera: &Camera, units: &[AccessUnit]) -> Option<EvidenceRef> {
        // A clip is what the camera sent, unmasked: where something must not be seen, there is none.
        if !camera.masks.is_empty() {
            return None;
        }
        let at = units.first()?.captured.wall;
        self.archive
            .keep_written(Class::Incident, EvidenceKind::Clip, at, |path| evidence::remux(units, path))
            .map(|(reference, _)| reference)
            .map_err(|error| complain(&camera.id, &error))
            .ok()
    }

    /// Takes in an observation; gives the statements it led to.
    pub fn observe(
        &self,
        camera: &Camera,
        zone: &Zone,
        seen: &Observation,
        model: Option<&ModelStamp>,
        evidence: Vec<EvidenceRef>,
    ) -> Vec<Incident> {
        let now = self.now(&seen.at);
        let said = self.lock().observe(camera, zone, seen, model, evidence, now);
        self.tell(said, now)
    }

    /// Adds a clip to an incident.
    pub fn attach(&self, incident: Uuid, evidence: EvidenceRef, at: &Captured) {
        let now = self.now(at);
        let said = self.lock().attach_evidence(incident, evidence, now);
        self.tell(said.map(|said| said.into_iter().collect()), now);
    }

    /// Keeps what a camera's scene must remember over a restart.
    pub fn remember(&self, camera: &CameraId, checkpoint: Option<&Checkpoint>, at: &Captured) {
        let json = checkpoint.map(serde_json::to_string).transpose();
        let json = json.unwrap_or_else(|error| {
            tracing::error!(%camera, "its state cannot be kept over a restart: {error}");
            None
        });
        self.lock().remember(camera, json, self.now(at));
    }

    /// What was kept of a camera's scene. What cannot be read, of another version say, is lost with a message: incidents that
    /// are open wait to be seen again.
    pub fn remembered(&self, camera: &CameraId) -> Option<Checkpoint> {
        let json = self.lock().remembered(camera).map_err(|error| error.to_string());
        let read = json.and_then(|json| {
            json.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| error.to_string())
        });
        read.unwrap_or_else(|error| {
            tracing::warn!(%camera, "its dwell times begin anew: what was kept of them cannot be read: {error}");
            None
        })
    }

    /// What was learnt of a camera's empty zones in an earlier run; what cannot be read is learnt anew.
    pub fn ground_of(&self, camera: &CameraId) -> Option<Vec<u8>> {
        self.store.ground(camera).ok()?
    }

    /// Keeps what was learnt of a camera's empty zones over a restart.
    pub fn keep_ground(&self, camera: &CameraId, bytes: Vec<u8>) {
        if let Err(error) = self.store.put_ground(camera, bytes) {
            tracing::error!(%camera, "what was learnt of its empty zones is not kept: {error}");
        }
    }

    /// What was kept of a camera's health; what cannot be read is learnt anew.
    pub fn health_of(&self, camera: &CameraId) -> Option<health::Checkpoint> {
        serde_json::from_str(&self.store.health(camera).ok()??).ok()
    }

    /// Keeps what is known of cameras' health over a restart.
    pub fn keep_health(&self, known: Vec<(CameraId, String)>) {
        if let Err(error) = self.store.put_health(known) {
            tracing::error!("what is known of the cameras' health is not kept: {error}");
        }
    }

    /// A check of a camera's health has changed: opens or closes an incident of the camera itself.
    pub fn health_changed(
        &self,
        camera: &Camera,
        change: &Change,
        at: &Captured,
        evidence: Vec<EvidenceRef>,
    ) {
        // Also what was never known to be wrong may be: before a kill, say.
        let is = change.to == Status::Abnormal;
        let config = self.config();
        let Some(scenario) = config.scenarios.get(Scenario::CAMERA) else { return };
        let title = change.check.title();
        let zone = Zone {
            id: format!("{}.{}", Scenario::CAMERA, change.check.name()).as_str().into(),
            name: format!("{} {}", title.zh, title.en),
            revision: String::new(),
            polygon: Polygon::whole_picture(),
            scenario: Arc::clone(scenario),
            rule: scenario.rule.clone(),
            hours: Hours::default(),
            facade: None,
        };
        let seen = Observation {
            zone: zone.id.clone(),
            stage: if is { Stage::Confirmed } else { Stage::Cleared },
            first_seen: *at,
            confirmed_at: is.then_some(*at),
            last_seen: *at,
            at: *at,
            dwell_s: 0.0,
            unseen_s: 0.0,
            coverage: 0.0,
            objects: Vec::new(),
            trajectory: None,
        };
        self.observe(camera, &zone, &seen, None, evidence);
    }

    /// Notes that a camera's picture was analysed.
    pub fn looked(&self, camera: &Camera, at: &Captured) {
        let now = self.now(at);
        let said = self.lock().looked(camera, at, now);
        self.tell(said, now);
    }

    /// The places that are to be looked at again; each to be answered with [`Self::rechecked`].
    pub fn rechecks(&self, now: Timestamp) -> Vec<PendingRecheck> {
        let pending = self.lock().rechecks(now);
        pending.unwrap_or_else(|error| {
            tracing::error!("cannot tell which places to look at again: {error}");
            Vec::new()
        })
    }

    /// Publishes what a re-check saw; whether that was written. If not, it is to be looked at again.
    pub fn rechecked(
        &self,
        incident: Uuid,
        outcome: RecheckOutcome,
        why: Option<String>,
        evidence: Vec<EvidenceRef>,
        now: Timestamp,
    ) -> bool {
        let paths: Vec<String> = evidence.iter().map(|piece| piece.path.clone()).collect();
        let said = self.lock().rechecked(incident, outcome, why, evidence, now);
        if let Err(error) = said {
            tracing::error!("cannot write to the store: {error}");
            return false;
        }
        self.sent(paths, &format!("re-check of incident {incident}"));
        true
    }

    /// Closes what a camera that is gone for too long left open.
    pub fn camera_lost(&self, camera: &CameraId, now: Timestamp) {
        let said = self.lock().camera_lost(camera, now);
        self.tell(said, now);
    }

    /// To be called about once a second.
    pub fn tick(&self, now: Timestamp) {
        let said = self.lock().tick(now);
        self.tell(said, now);
    }

    /// Deletes evidence that is past its time or over its share of the disk; never that of open incidents. Each deletion is
    /// entered into the register.
    pub fn sweep(&self, now: SystemTime) {
        let protected: HashSet<String> = {
            let incidents = self.lock();
            let pieces = incidents.open_incidents().flat_map(|incident| &incident.evidence);
            pieces.map(|piece| piece.path.clone()).collect()
        };
        let settings = &self.config().evidence;
        let expired = |files: &[(&str, Class, Duration)]| self.expired(settings, files);
        let swept = match self.archive.sweep(now, settings.bytes_max, &protected, expired) {
            Ok(swept) => swept,
            Err(error) => return tracing::error!("cannot sweep the evidence: {error}"),
        };
        let deal = |path: String, why: &str| {
            let who = "gridwatch".to_owned();
            Deal { who, did: Deed::Deleted, path, why: why.to_owned() }
        };
        let expired = swept.expired.into_iter().map(|path| deal(path, "its time is over"));
        let displaced = swept.displaced.into_iter().map(|path| deal(path, "more than `bytes_max`"));
        let deals: Vec<Deal> = expired.chain(displaced).collect();
        if !deals.is_empty() {
            tracing::info!("evidence: {} files deleted", deals.len());
        }
        self.enter(&deals);
    }

    /// Which files are past their time. A file that several incidents cite stays for the longest of their times; one that
    /// none cites any more (the store keeps a limited number) for that of incidents in general.
    fn expired(&self, settings: &config::Evidence, files: &[(&str, Class, Duration)]) -> Vec<bool> {
        let days_of = |kind: &str| settings.retention_days_of.get(kind).copied();
        let all = settings.retention_days_of.values().copied();
        let shortest =
            all.chain([settings.retention_days, settings.false_alarm_days, settings.asked_days]).min();
        let is_older = |age: Duration, days: u32| age > Duration::from_secs(u64::from(days) * 86_400);
        // Sorted by age, oldest first: only these need a question.
        let old: Vec<_> =
            files.iter().take_while(|(.., age)| is_older(*age, shortest.unwrap_or_default())).collect();
        let paths = old.iter().map(|(path, ..)| (*path).to_owned()).collect();
        let cited = match self.store.citations(paths) {
            Ok(cited) => cited,
            Err(error) => {
                tracing::error!("cannot tell which evidence is past its time: {error}");
                return Vec::new();
            }
        };
        let is_expired = |((_, class, age), cited): (&&(&str, Class, Duration), Vec<Citation>)| {
            let times = cited.iter().map(|by| {
                if by.false_alarm {
                    settings.false_alarm_days
                } else {
                    days_of(&by.kind).unwrap_or(settings.retention_days)
                }
            });
            let nobodys = match class {
                Class::Incident => settings.retention_days,
                Class::Asked => settings.asked_days,
            };
            is_older(*age, times.max().unwrap_or(nobodys))
        };
        old.iter().zip(cited).map(is_expired).collect()
    }

    /// Notes that the platform was sent pieces that it asked for.
    pub fn sent(&self, paths: Vec<String>, why: &str) {
        let deal = |path| Deal { who: "platform".to_owned(), did: Deed::Sent, path, why: why.to_owned() };
        self.enter(&paths.into_iter().map(deal).collect::<Vec<_>>());
    }

    fn enter(&self, deals: &[Deal]) {
        if let Err(error) = self.register.enter(deals, Timestamp::now()) {
            tracing::error!("not in the register of evidence: {error}");
        }
    }

    fn now(&self, at: &Captured) -> Timestamp {
        match self.speaks {
            Speaks::Now => Timestamp::now(),
            Speaks::CaptureTime => at.wall,
        }
    }

    fn tell(&self, said: Result<Vec<Incident>, IncidentError>, now: Timestamp) -> Vec<Incident> {
        match said {
            Ok(said) => {
                for incident in &said {
                    (self.listener)(&envelope(&self.config(), incident.clone(), now));
                }
                said
            }
            Err(error) => {
                // The statement waits in memory and is written with the next one; the disk is what needs a person.
                tracing::error!("cannot write to the store: {error}");
                Vec::new()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Incidents> {
        // A thread that panicked while it held the desk left whole statements behind, never half ones.
        self.incidents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn complain(camera: &CameraId, error: &EvidenceError) {
    tracing::error!(%camera, "no evidence: {error}");
}
