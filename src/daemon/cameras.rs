//! The cameras that run: each a task that receives, a thread that analyses, and a state that the platform sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::desk::Desk;
use super::intake::Intake;
use super::load::{Load, Status};
use super::patrol::Patrols;
use super::pool::{Overflow, Pool, Queue, Station};
use super::{Analysis, Detectors};
use crate::camera::{self, Counters, Message, Refused, Sink};
use crate::config::{Camera, Config};
use crate::dispatch::Dispatch;
use crate::event::CameraStatus;
use crate::frame::{CameraId, CameraState};

/// Seconds without pictures after which nobody can say whether an open incident is still there. Longer than the
/// reboot of a camera, a switch or a street cabinet.
const LOST_AFTER: Duration = Duration::from_secs(600);

/// All cameras of the config.
pub struct Cameras {
    tasks: Vec<JoinHandle<()>>,
    away: Away,
    states: States,
    load: Load,
    /// True: who is not visited in turn is connected all the time.
    always: watch::Sender<bool>,
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
    /// Loads the models, then connects to every camera that can run; the others are published as disabled.
    pub fn start(
        config: &Arc<Config>,
        desk: &Arc<Desk>,
        pool: &Pool,
        dispatch: Option<Arc<Dispatch>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let load = Load::new(pool.cores());
        let mut all = Self {
            tasks: Vec::new(),
            away: Away::default(),
            states: States::default(),
            load,
            always: watch::Sender::new(true),
        };
        for camera in &config.disabled {
            let reasons = camera.problems.join("; ");
            tracing::error!(camera = %camera.id, "disabled: {reasons}");
            let status = status(&camera.id, &camera.name, CameraState::Disabled, Some(reasons));
            publish(dispatch.as_deref(), status);
        }
        let mut patrols = Patrols::default();
        let mut detectors = Detectors::new(config);
        for camera in &config.cameras {
            // Loading reads a file and may compile kernels for seconds, at a time when nothing else is to be done.
            let detector = match tokio::task::block_in_place(|| detectors.get(&camera.model)) {
                Ok(detector) => detector,
                Err(error) => {
                    let reason = error.to_string();
                    tracing::error!(camera = %camera.id, "disabled: {reason}");
                    let status = status(&camera.id, &camera.name, CameraState::Disabled, Some(reason));
                    publish(dispatch.as_deref(), status);
                    continue;
                }
            };
            let camera = Arc::new(camera.clone());
            let states = all.listener(&camera, dispatch.clone());
            let (analysis, media_now) =
                Analysis::resume(Arc::clone(&camera), Some(detector), Arc::clone(desk), Timestamp::now());
            all.load.watch(&camera, analysis.post().clone());
            let wanted = patrols.join(&camera, analysis.post());
            let grant = Arc::clone(all.load.grant());
            let intake = Intake::new(&camera, analysis.post().clone(), grant, config.node.gates);
            let station = pool.station(camera.id.clone(), analysis);
            let live = Live { intake, station, queue: Arc::clone(pool.queue()), states };
            let counters = Arc::new(Counters::default());
            let stop = stop.clone();
            let wanted = wanted.unwrap_or_else(|| all.always.subscribe());
            let task = camera::run_while(camera, live, counters, stop, wanted, media_now);
            all.tasks.push(tokio::spawn(task));
        }
        let (config, states) = (Arc::clone(config), Arc::clone(&all.states));
        all.tasks.push(tokio::spawn(async move { patrols.run(&config, states, dispatch, stop).await }));
        all
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.load.count()
    }

    /// To be called about once a second: gives up the incidents of cameras that are gone for too long.
    pub fn tick(&mut self, desk: &Desk) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        for (camera, since) in away.iter_mut() {
            if since.is_some_and(|since| since.elapsed() >= LOST_AFTER) {
                *since = None;
                tracing::warn!(%camera, "gone for {} s: its incidents are closed", LOST_AFTER.as_secs());
                desk.camera_lost(camera, Timestamp::now());
            }
        }
    }

    /// To be called about once a second: measures what cameras cost and settles who waits. `cores` is what the threads
    /// really had, if that is known.
    pub fn settle(&mut self, cores: Option<f64>) {
        self.load.settle(cores);
    }

    /// How everything is now.
    pub fn status(&self) -> Status {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        self.load.status(|camera| states.get(camera).copied().unwrap_or(CameraState::Connecting))
    }

    /// Waits until every camera's connection is closed.
    pub async fn stopped(self) {
        for task in self.tasks {
            let _ = task.await; // A panic in there has been reported by the hook.
        }
    }

    fn listener(&self, camera: &Camera, dispatch: Option<Arc<Dispatch>>) -> StateListener {
        let states = Arc::clone(&self.states);
        let away = Arc::clone(&self.away);
        away.lock().unwrap_or_else(PoisonError::into_inner).insert(camera.id.clone(), Some(Instant::now()));
        let (id, name) = (camera.id.clone(), camera.name.clone());
        Box::new(move |state, detail| {
            states.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), state);
            let mut away = away.lock().unwrap_or_else(PoisonError::into_inner);
            match state {
                CameraState::Online => away.remove(&id),
                _ => Some(*away.entry(id.clone()).or_insert_with(|| Some(Instant::now()))),
            };
            drop(away);
            tracing::info!(camera = %id, ?state, "{}", detail.as_deref().unwrap_or_default());
            publish(dispatch.as_deref(), status(&id, &name, state, detail));
        })
    }
}

fn status(id: &CameraId, name: &str, state: CameraState, detail: Option<String>) -> CameraStatus {
    CameraStatus { camera: id.clone(), name: name.to_owned(), state, detail, since: Timestamp::now() }
}

/// Without a broker there is nobody to tell.
fn publish(dispatch: Option<&Dispatch>, status: CameraStatus) {
    if let Some(dispatch) = dispatch {
        dispatch.set_camera_status(status);
    }
}
