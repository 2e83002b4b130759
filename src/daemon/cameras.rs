//! The cameras that run: each a task that receives, a thread that analyses, and a state that the platform sees.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::condition::Condition;
use super::desk::Desk;
use super::intake::{Intake, PostBox};
use super::load::Load;
use super::patrol::{Member, Patrols};
use super::pool::{Overflow, Pool, Queue, Station};
use super::status::{DisabledCamera, Figures};
use super::{Analysis, Detectors};
use crate::camera::{self, Counters, Message, Receivers, Refused, Sink};
use crate::config::{Camera, Config, Gates, Model};
use crate::detect::Detector;
use crate::dispatch::Dispatch;
use crate::event::CameraStatus;
use crate::frame::{CameraId, CameraState};
use crate::health::Link;

/// Seconds without pictures after which nobody can say whether an open incident is still there. Longer than the
/// reboot of a camera, a switch or a street cabinet.
pub const LOST_AFTER: Duration = Duration::from_secs(600);

/// How often a camera's health is told of its connection.
const LINK_EVERY: Duration = Duration::from_secs(5);

/// What is known of a camera's health is kept so often, in seconds: it changes over days, and flash wears out.
const HEALTH_KEPT_EVERY_S: u64 = 600;

/// All cameras of the config in force.
pub struct Cameras {
    running: BTreeMap<CameraId, Running>,
    /// Those that cannot run, and why, as the platform was told.
    disabled: BTreeMap<CameraId, String>,
    detectors: Detectors,
    desk: Arc<Desk>,
    dispatch: Option<Arc<Dispatch>>,
    patrols: Patrols,
    away: Away,
    states: States,
    receivers: Receivers,
    load: Load,
    started: Instant,
}

/// A camera that runs, and what it runs with: as long as that stays the same, a reload does not touch it.
struct Running {
    camera: Arc<Camera>,
    settings: Settings,
    post: PostBox,
    counters: Arc<Counters>,
    condition: Arc<Condition>,
    linked: Linked,
    station: Arc<Station>,
    /// Whether it is to be connected now.
    wanted: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// What is known of its health, as JSON.
    fn health(&self) -> Option<(CameraId, String)> {
        Some((self.camera.id.clone(), self.condition.checkpoint()?))
    }
}

/// What a camera's health was last told of its connection.
#[derive(Default)]
struct Linked {
    at: Duration,
    units: u64,
    online: bool,
}

impl Linked {
    fn tell(&mut self, condition: &Condition, counters: &Counters, now: Duration) {
        let state = condition.state();
        let online = state == CameraState::Online;
        let passed = now.saturating_sub(self.at);
        if online == self.online && passed < LINK_EVERY {
            return;
        }
        let units = counters.units.load(Relaxed);
        let pictures = u32::try_from(units.saturating_sub(self.units)).unwrap_or(u32::MAX);
        let ahead_ms =
            Some(counters.ahead_ms.load(Relaxed)).filter(|&ms| online && pictures > 0 && ms != i64::MIN);
        condition.link(&Link {
            at: now,
            wall: Timestamp::now(),
            state,
            // It has only just come up: nothing is known of its pictures.
            seconds: if online && !self.online { 0.0 } else { passed.as_secs_f64() },
            pictures,
            declared_fps: None,
            ahead_s: ahead_ms.map(|ms| ms as f64 / 1000.0),
        });
        *self = Self { at: now, units, online };
    }
}

/// What a camera's analysis is made with, besides the camera's own settings.
#[derive(Clone, PartialEq)]
struct Settings {
    models: Vec<Model>,
    gates: Gates,
}

impl Settings {
    fn of(camera: &Camera, config: &Config) -> Self {
        let models = camera.model_names().filter_map(|name| config.models.get(name));
        Self { models: models.cloned().collect(), gates: config.node.gates }
    }
}

/// What a config changed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Cameras that went on as they were.
    pub kept: usize,
    /// Cameras that were connected anew with other settings.
    pub changed: usize,
    /// Cameras that are new.
    pub added: usize,
    /// Cameras that are no more.
    pub removed: usize,
}

/// Hears what becomes of a camera's connection.
type StateListener = Box<dyn Fn(CameraState, Option<String>) + Send>;

/// A connected camera: what it sends goes through the intake to the pool.
struct Live {
    intake: Intake,
    station: Arc<Station>,
    queue: Arc<Queue>,
    states: StateListener,
}

impl Sink for Live {
    fn take(&mut self, message: Message) -> Result<(), Refused> {
        let unit = match message {
            Message::Unit(unit) => unit,
            Message::State { state, detail } => {
                (self.states)(state, detail);
                return Ok(());
            }
        };
        for task in self.intake.take(unit) {
            match self.queue.add(&self.station, task) {
                Ok(()) => {}
                Err(Overflow::Forward) => self.intake.lost_the_thread(),
                Err(Overflow::InOrder) => return Err(Refused::Full),
            }
        }
        Ok(())
    }

    fn may_wait(&self) -> bool {
        self.intake.may_wait()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.queue.close(&self.station);
    }
}

/// Since when each camera delivers nothing; `None` inside: its incidents have been closed.
type Away = Arc<Mutex<BTreeMap<CameraId, Option<Instant>>>>;

/// What each camera's connection is doing.
pub type States = Arc<Mutex<BTreeMap<CameraId, CameraState>>>;

impl Cameras {
    /// No cameras yet; `stop` ends patrols and polls.
    pub fn new(
        desk: &Arc<Desk>,
        pool: &Pool,
        receivers: Receivers,
        dispatch: Option<Arc<Dispatch>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let states = States::default();
        Self {
            running: BTreeMap::new(),
            disabled: BTreeMap::new(),
            detectors: Detectors::default(),
            desk: Arc::clone(desk),
            patrols: Patrols::start(Arc::clone(&states), dispatch.clone(), Arc::clone(desk), stop),
            dispatch,
            away: Away::default(),
            states,
            receivers,
            load: Load::new(pool.cores()),
            started: Instant::now(),
        }
    }

    /// The settings of a camera that runs.
    pub fn settings(&self, camera: &CameraId) -> Option<&Arc<Camera>> {
        self.running.get(camera).map(|running| &running.camera)
    }

    /// Ends the cameras that a config does not have any more, or has otherwise; when this returns, what their scenes knew is
    /// kept and their connections are closed. Gives how many have other settings, and how many are gone.
    pub async fn retire(&mut self, config: &Config) -> (usize, usize) {
        let wanted: BTreeMap<&CameraId, &Camera> = config.cameras.iter().map(|c| (&c.id, c)).collect();
        let is_same = |running: &Running| {
            wanted.get(&running.camera.id).is_some_and(|&camera| {
                *camera == *running.camera && Settings::of(camera, config) == running.settings
            })
        };
        let (same, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.running).into_iter().partition(|(_, running)| is_same(running));
        self.running = same;
        let retired: Vec<Running> = others.into_values().collect();
        retired.iter().for_each(|running| _ = running.stop.send_replace(true));
        let mut changed = 0;
        let mut health = Vec::new();
        for running in &retired {
            let id = &running.camera.id;
            running.station.over().await;
            health.extend(running.health());
            self.load.forget(id);
            if wanted.contains_key(id) {
                changed += 1;
                continue;
            }
            self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            self.away.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
        self.desk.keep_health(health);
        let gone: Vec<CameraId> = (retired.iter().map(|running| &running.camera.id))
            .chain(self.disabled.keys())
            .filter(|id| !is_configured(config, id))
            .cloned()
            .collect();
        for running in retired {
            let _ = running.task.await; // A panic in there has been reported by the hook.
        }
        for id in &gone {
            self.disabled.remove(id);
            if let Some(dispatch) = &self.dispatch {
                dispatch.forget_camera(id);
            }
        }
        (changed, gone.len())
    }

    /// Loads models and connects to every camera that is not running yet and can; the others are published as disabled.
    pub fn start(&mut self, config: &Arc<Config>, pool: &Pool) {
        for camera in &config.disabled {
            self.disable(&camera.id, &camera.name, camera.problems.join("; "));
        }
        self.detectors.retain(&config.models);
        for camera in &config.cameras {
            if self.running.contains_key(&camera.id) {
                continue;
            }
            // Loading reads a file and may compile kernels for seconds; cameras that run have threads of their own.
            match tokio::task::block_in_place(|| self.detectors.get(&config.models, &camera.model)) {
                Ok(detector) => {
                    self.run(config, Arc::new(camera.clone()), detector, pool);
                }
                Err(error) => self.disable(&camera.id, &camera.name, error.to_string()),
            }
        }
        let members = self.running.values().map(|running| Member {
            camera: Arc::clone(&running.camera),
            post: running.post.clone(),
            wanted: running.wanted.clone(),
        });
        self.patrols.set(config, members.collect());
    }

    fn run(&mut self, config: &Config, camera: Arc<Camera>, detector: Detector, pool: &Pool) {
        let condition = Arc::new(Condition::new(&camera, &self.desk, self.dispatch.clone()));
        let (analysis, media_now) = Analysis::resume(
            Arc::clone(&camera),
            Some(detector),
            Arc::clone(&self.desk),
            Arc::clone(&condition),
            Timestamp::now(),
        );
        let post = analysis.post().clone();
        self.disabled.remove(&camera.id);
        let counters = Arc::new(Counters::default());
        self.load.watch(&camera, post.clone(), Arc::clone(&counters));
        let intake = Intake::new(&camera, post.clone(), Arc::clone(self.load.grant()), config.node.gates);
        let station = pool.station(camera.id.clone(), analysis);
        let live = Live {
            intake,
            station: Arc::clone(&station),
            queue: Arc::clone(pool.queue()),
            states: self.listener(&camera, &condition),
        };
        let (stop, stopped) = watch::channel(false);
        // Who is visited in turn is connected when its patrol says so.
        let (wanted, is_wanted) = watch::channel(!camera.patrolled);
        let task = camera::run_while(
            Arc::clone(&camera),
            live,
            Arc::clone(&counters),
            stopped,
            is_wanted,
            media_now,
        );
        let settings = Settings::of(&camera, config);
        let running = Running {
            settings,
            post,
            counters,
            condition,
            linked: Linked::default(),
            station,
            wanted,
            stop,
            task: self.receivers.spawn(camera.transport, task),
            camera,
        };
        self.running.insert(running.camera.id.clone(), running);
    }

    fn disable(&mut self, id: &CameraId, name: &str, reason: String) {
        tracing::error!(camera = %id, "disabled: {reason}");
        if let Some(dispatch) = &self.dispatch {
            dispatch.set_camera_status(CameraStatus {
                camera: id.clone(),
                name: name.to_owned(),
                state: CameraState::Disabled,
                detail: Some(reason.clone()),
                since: Timestamp::now(),
                checks: BTreeMap::new(),
                faults: Vec::new(),
            });
        }
        self.disabled.insert(id.clone(), reason);
    }

    /// The shared side of a camera that runs, and what its connection is doing.
    pub fn post(&self, camera: &CameraId) -> Option<(&PostBox, CameraState)> {
        self.running.get(camera).map(|running| (&running.post, running.condition.state()))
    }

    /// The condition of a camera that runs.
    pub fn condition(&self, camera: &CameraId) -> Option<&Arc<Condition>> {
        self.running.get(camera).map(|running| &running.condition)
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.load.count()
    }

    /// How many cannot.
    pub fn disabled(&self) -> usize {
        self.disabled.len()
    }

    /// To be called about once a second: gives up the incidents of cameras that are gone for too long.
    pub fn tick(&mut self) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        for (camera, since) in away.iter_mut() {
            if since.is_some_and(|since| since.elapsed() >= LOST_AFTER) {
                *since = None;
                tracing::warn!(%camera, "gone for {} s: its incidents are closed", LOST_AFTER.as_secs());
                self.desk.camera_lost(camera, Timestamp::now());
            }
        }
    }

    /// To be called about once a second: tells every camera's health how its connection is.
    pub fn examine(&mut self) {
        let now = self.started.elapsed();
        for running in self.running.values_mut() {
            // Who is not wanted now is not away.
            if *running.wanted.borrow() {
                running.linked.tell(&running.condition, &running.counters, now);
            }
        }
    }

    /// What is known of the health of cameras whose turn it is to have it kept over a restart, a few in each second.
    pub fn health_due(&self, second: u64) -> Vec<(CameraId, String)> {
        let is_due = |index: usize| (index as u64 + second) % HEALTH_KEPT_EVERY_S == HEALTH_KEPT_EVERY_S - 1;
        let due = self.running.values().enumerate().filter(|(index, _)| is_due(*index));
        due.filter_map(|(_, running)| running.health()).collect()
    }

    /// To be called about once a second: measures what cameras cost and settles who waits. `cores` is what the threads
    /// really had, if that is known.
    pub fn settle(&mut self, cores: Option<f64>) {
        self.load.settle(cores);
    }

    /// How those that run are now, and which cannot.
    pub fn figures(&self) -> (Figures, Vec<DisabledCamera>) {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |camera: &CameraId| states.get(camera).copied().unwrap_or(CameraState::Connecting);
        let disabled = |(camera, reason): (&CameraId, &String)| DisabledCamera {
            camera: camera.clone(),
            reason: reason.clone(),
        };
        let mut figures = self.load.figures(state);
        for camera in &mut figures.cameras {
            if let Some(running) = self.running.get(&camera.camera) {
                camera.faults = running.condition.faults();
            }
        }
        (figures, self.disabled.iter().map(disabled).collect())
    }

    /// Ends all cameras; waits until their connections are closed. Gives what is known of their health.
    pub async fn stop(self) -> Vec<(CameraId, String)> {
        self.running.values().for_each(|running| _ = running.stop.send_replace(true));
        let health = self.running.values().filter_map(Running::health).collect();
        for running in self.running.into_values() {
            let _ = running.task.await; // A panic in there has been reported by the hook.
        }
        self.patrols.stopped().await;
        health
    }

    fn listener(&self, camera: &Camera, condition: &Arc<Condition>) -> StateListener {
        let condition = Arc::clone(condition);
        let states = Arc::clone(&self.states);
        let away = Arc::clone(&self.away);
        away.lock().unwrap_or_else(PoisonError::into_inner).insert(camera.id.clone(), Some(Instant::now()));
        let id = camera.id.clone();
        Box::new(move |state, detail| {
            states.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), state);
            let mut away = away.lock().unwrap_or_else(PoisonError::into_inner);
            match state {
                CameraState::Online => away.remove(&id),
                _ => Some(*away.entry(id.clone()).or_insert_with(|| Some(Instant::now()))),
            };
            drop(away);
            tracing::info!(camera = %id, ?state, "{}", detail.as_deref().unwrap_or_default());
            condition.connection(state, detail);
        })
    }
}

fn is_configured(config: &Config, camera: &CameraId) -> bool {
    config.cameras.iter().any(|c| c.id == *camera) || config.disabled.iter().any(|c| c.id == *camera)
}
