//! The cameras that run: each a task that receives, a thread that analyses, and a state that the platform sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::desk::Desk;
use super::worker::{Assignment, Workers};
use super::{Analysis, Detectors};
use crate::camera::{self, Counters};
use crate::config::{Camera, Config};
use crate::dispatch::Dispatch;
use crate::event::CameraStatus;
use crate::frame::{CameraId, CameraState};

/// Access units that may wait for their analysis: ten seconds of a usual camera. When they are used up, supervise drops
/// to the next key picture and counts.
const WAITING_UNITS: usize = 256;

/// Seconds without pictures after which nobody can say whether an open incident is still there. Longer than the
/// reboot of a camera, a switch or a street cabinet.
const LOST_AFTER: Duration = Duration::from_secs(600);

/// All cameras of the config.
pub struct Cameras {
    tasks: Vec<JoinHandle<()>>,
    away: Away,
}

/// Since when each camera delivers nothing; `None` inside: its incidents have been closed.
type Away = Arc<Mutex<BTreeMap<CameraId, Option<Instant>>>>;

impl Cameras {
    /// Loads the models, then connects to every camera that can run; the others are published as disabled.
    pub fn start(
        config: &Arc<Config>,
        desk: &Arc<Desk>,
        workers: &Workers,
        dispatch: Option<Arc<Dispatch>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut all = Self { tasks: Vec::new(), away: Away::default() };
        for camera in &config.disabled {
            let reasons = camera.problems.join("; ");
            tracing::error!(camera = %camera.id, "disabled: {reasons}");
            let status = status(&camera.id, &camera.name, CameraState::Disabled, Some(reasons));
            publish(dispatch.as_deref(), status);
        }
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
            let (units, messages) = mpsc::channel(WAITING_UNITS);
            let states = all.listener(&camera, dispatch.clone());
            let analysis = Analysis::new(Arc::clone(&camera), Some(detector), Arc::clone(desk));
            workers.assign(Assignment { analysis, messages, states });
            let counters = Arc::new(Counters::default());
            all.tasks.push(tokio::spawn(camera::run(camera, units, counters, stop.clone())));
        }
        all
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

    /// Waits until every camera's connection is closed.
    pub async fn stopped(self) {
        for task in self.tasks {
            let _ = task.await; // A panic in there has been reported by the hook.
        }
    }

    fn listener(&self, camera: &Camera, dispatch: Option<Arc<Dispatch>>) -> super::worker::StateListener {
        let away = Arc::clone(&self.away);
        away.lock().unwrap_or_else(PoisonError::into_inner).insert(camera.id.clone(), Some(Instant::now()));
        let (id, name) = (camera.id.clone(), camera.name.clone());
        Box::new(move |state, detail| {
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
