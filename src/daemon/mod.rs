//! Wires the stages, supervises them, stops them in order: the only folder that knows all stages.
//!
//! ```text
//!  tokio task per camera           one queue,         plain threads                       tokio task
//!  camera::supervise ─► Intake ──► earliest ──► pool: Analysis ──► desk: incident, ──► dispatch
//!                       ring,      deadline     decode, detect,    store (SQLite)      (MQTT)
//!                       sampler    first        scene  │    ▲
//!                                                      ▼    │ one thread per ONNX session
//!                                                    detect::Detector
//! ```

mod analysis;
mod cameras;
mod desk;
mod gate;
mod gauge;
mod intake;
mod load;
mod patrol;
mod pool;
mod replay;

pub use analysis::{Analysis, Looked};
pub use desk::Listener;
pub use gauge::Counts;
pub use load::{CameraLoad, Status, status_file};
pub use replay::Replay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::config::{Config, Model};
use crate::detect::{DetectError, Detector};
use crate::dispatch::{Dispatch, DispatchError};
use crate::event::Phase;
use crate::evidence::EvidenceError;
use crate::incident::IncidentError;
use crate::store::{Store, StoreError};
use cameras::Cameras;
use desk::{Desk, Speaks};
use pool::Pool;

/// Why the daemon cannot start. What happens to one camera or model later is no such thing.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The evidence folder.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The incidents.
    #[error(transparent)]
    Incident(#[from] IncidentError),
    /// The broker's settings.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// A model (only `replay` gives up because of one).
    #[error(transparent)]
    Detect(#[from] Arc<DetectError>),
    /// The operating system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a run came to.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Seconds it ran.
    pub ran_s: f64,
    /// What all cameras' pictures went through.
    pub counts: Counts,
    /// Incidents opened.
    pub opened: u64,
    /// Incidents closed.
    pub closed: u64,
    /// Messages still waiting for the broker.
    pub undelivered: u64,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { units, decoded, looked, undecodable, inference_failed, overtaken, .. } = self.counts;
        let Counts { quiet, quiet_missed, unchanged, unchanged_missed, .. } = self.counts;
        write!(
            f,
            "{:.0} s; {units} pictures received, {decoded} decoded, {looked} looked at, {quiet} quiet, {unchanged} unchanged, \
             {overtaken} overtaken, \
             {undecodable} undecodable, {inference_failed} inferences failed; {} incidents opened, {} closed, {} messages undelivered",
            self.ran_s, self.opened, self.closed, self.undelivered
        )?;
        if quiet_missed + unchanged_missed > 0 {
            write!(
                f,
                "; in shadow: {quiet_missed} of the quiet had changed, {unchanged_missed} of the unchanged held something new"
            )?;
        }
        Ok(())
    }
}

/// Detectors by the name that cameras use, each tried once; a model that cannot be loaded fails for whoever wants it.
pub struct Detectors<'a> {
    models: &'a BTreeMap<String, Model>,
    tried: BTreeMap<String, Result<Detector, Arc<DetectError>>>,
}

impl<'a> Detectors<'a> {
    /// None loaded yet.
    pub fn new(config: &'a Config) -> Self {
        Self { models: &config.models, tried: BTreeMap::new() }
    }

    /// The detector of this name, or why there is none; loaded at the first call.
    pub fn get(&mut self, name: &str) -> Result<Detector, Arc<DetectError>> {
        let load = || Detector::load(&self.models[name]).map_err(Arc::new);
        self.tried.entry(name.to_owned()).or_insert_with(load).clone()
    }
}

/// How often the status is written, in seconds.
const STATUS_EVERY_S: u64 = 5;

/// How often the evidence folder is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Longest time the outbox may take to drain when stopping; what is left goes out after the next start.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Runs until `stop` says true: cameras first, then what they left in the pipeline, then the outbox, then the store.
pub async fn run(config: Config, mut stop: watch::Receiver<bool>) -> Result<Summary, DaemonError> {
    let started = Instant::now();
    let config = Arc::new(config);
    let store = Store::open(&config.node.data_dir)?;
    let tally = Arc::new(Tally::default());
    let desk = Arc::new(Desk::open(Arc::clone(&config), store.clone(), tally.listener(), Speaks::Now)?);
    let dispatch = Dispatch::start(&config, store.clone())?.map(Arc::new);
    let pool = Pool::start(&config)?;
    let mut cameras = Cameras::start(&config, &desk, &pool, dispatch.clone(), stop.clone());
    tracing::info!(
        "watching {} cameras ({} disabled), config {}",
        cameras.count(),
        config.cameras.len() + config.disabled.len() - cameras.count(),
        config.revision
    );
    notify(sd_notify::NotifyState::Ready);

    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut swept: Option<Instant> = None;
    let (mut seconds, status_file) = (0u64, load::status_file(&config.node.data_dir));
    while !*stop.borrow_and_update() {
        tokio::select! {
            changed = stop.changed() => if changed.is_err() { break },
            _ = second.tick() => {
                cameras.tick(&desk);
                cameras.settle(pool.take_cores());
                let due = swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
                let desk = Arc::clone(&desk);
                let told = seconds.is_multiple_of(STATUS_EVERY_S).then(|| cameras.status());
                seconds += 1;
                let status_file = status_file.clone();
                // All write to the disk, which may be slow.
                let work = tokio::task::spawn_blocking(move || {
                    if let Some(status) = told
                        && let Err(error) = load::write_status(&status, &status_file)
                    {
                        tracing::debug!("cannot write {}: {error}", status_file.display());
                    }
                    desk.tick(Timestamp::now());
                    if due {
                        desk.sweep(SystemTime::now());
                    }
                });
                let _ = work.await;
                if due {
                    swept = Some(Instant::now());
                }
                // A thread that is stuck in native code must not look alive.
                if pool.is_moving() {
                    notify(sd_notify::NotifyState::Watchdog);
                } else {
                    tracing::error!("a thread is stuck: the watchdog will restart gridwatch");
                }
            }
        }
    }
    notify(sd_notify::NotifyState::Stopping);
    cameras.stopped().await;
    let counts = pool.join().await;
    desk.tick(Timestamp::now());
    if let Some(dispatch) = dispatch.and_then(Arc::into_inner) {
        let _ = tokio::task::spawn_blocking(move || dispatch.stop(DRAIN_MAX)).await;
    }
    let undelivered = store.outbox_size().map_or(0, |size| size.rows);
    Ok(Summary { ran_s: started.elapsed().as_secs_f64(), counts, undelivered, ..tally.counted() })
}

fn notify(state: sd_notify::NotifyState<'_>) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(false, &[state]);
}

/// Counts statements.
#[derive(Debug, Default)]
struct Tally {
    opened: std::sync::atomic::AtomicU64,
    closed: std::sync::atomic::AtomicU64,
}

impl Tally {
    fn listener(self: &Arc<Self>) -> Listener {
        use std::sync::atomic::Ordering::Relaxed;
        let tally = Arc::clone(self);
        Box::new(move |event| {
            let incident = &event.data;
            let (camera, zone) = (&incident.camera.id, &incident.zone.id);
            match incident.phase {
                Phase::Opened => tally.opened.fetch_add(1, Relaxed),
                Phase::Closed => tally.closed.fetch_add(1, Relaxed),
                Phase::Updated => 0,
            };
            tracing::info!(%camera, %zone, kind = incident.kind, phase = ?incident.phase, "{}", incident.description.en);
        })
    }

    fn counted(&self) -> Summary {
        use std::sync::atomic::Ordering::Relaxed;
        Summary { opened: self.opened.load(Relaxed), closed: self.closed.load(Relaxed), ..Summary::default() }
    }
}
