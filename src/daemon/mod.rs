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
mod condition;
mod desk;
mod gate;
mod gauge;
mod http;
mod intake;
mod load;
mod metrics;
mod patrol;
mod pool;
mod recheck;
mod reload;
mod replay;
mod status;

pub use analysis::{Analysis, Looked};
pub use desk::Listener;
pub use gauge::Counts;
pub use reload::ConfigFile;
pub use replay::Replay;
pub use status::{CameraLoad, DisabledCamera, Figures, LatestIncident, Outbox, Status, status_file};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::camera::Receivers;
use crate::config::{self, Config, Model};
use crate::detect::{DetectError, Detector};
use crate::dispatch::{Dispatch, DispatchError};
use crate::event::command::{Command, CommandName, CommandReply, Refusal};
use crate::event::{Phase, Reloaded};
use crate::evidence::EvidenceError;
use crate::incident::IncidentError;
use crate::store::{Store, StoreError};
use cameras::{Applied, Cameras};
use desk::{Desk, Speaks};
use metrics::{Board, Reloads, Snapshot};
use pool::Pool;
use recheck::Rechecks;
use reload::Next;

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
#[derive(Default)]
pub struct Detectors {
    tried: BTreeMap<String, (Model, Result<Detector, Arc<DetectError>>)>,
}

impl Detectors {
    /// The detector of this name, or why there is none; loaded at the first call.
    pub fn get(
        &mut self,
        models: &BTreeMap<String, Model>,
        name: &str,
    ) -> Result<Detector, Arc<DetectError>> {
        let model = &models[name];
        let load = || (model.clone(), Detector::load(model).map_err(Arc::new));
        self.tried.entry(name.to_owned()).or_insert_with(load).1.clone()
    }

    /// Lets go of those that other settings ask for now, or nobody; what failed is tried again.
    pub fn retain(&mut self, models: &BTreeMap<String, Model>) {
        self.tried.retain(|name, (model, loaded)| loaded.is_ok() && models.get(name) == Some(model));
    }
}

/// How often the status is written, in seconds.
const STATUS_EVERY_S: u64 = 5;

/// How often the evidence folder is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Longest time the outbox may take to drain when stopping; what is left goes out after the next start.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Runs until `stop` says true: cameras first, then what they left in the pipeline, then the outbox, then the store. With the
/// file that the config came from, what changes there is put in force while it runs.
pub async fn run(
    config: Config,
    file: Option<ConfigFile>,
    stop: watch::Receiver<bool>,
) -> Result<Summary, DaemonError> {
    let started = Instant::now();
    let store = Store::open(&config.node.data_dir)?;
    let tally = Arc::new(Tally::default());
    let mut daemon = Daemon::start(config, store.clone(), &tally, stop.clone())?;
    notify(sd_notify::NotifyState::Ready);
    daemon.watch(file, stop).await;
    notify(sd_notify::NotifyState::Stopping);
    let counts = daemon.stop().await;
    let undelivered = store.outbox_size().map_or(0, |size| size.rows);
    Ok(Summary { ran_s: started.elapsed().as_secs_f64(), counts, undelivered, ..tally.counted() })
}

/// All stages, running.
struct Daemon {
    config: Arc<Config>,
    store: Store,
    desk: Arc<Desk>,
    dispatch: Option<Arc<Dispatch>>,
    pool: Pool,
    cameras: Cameras,
    rechecks: Rechecks,
    swept: Option<Instant>,
    seconds: u64,
    tally: Arc<Tally>,
    reloads: Reloads,
    metrics: Option<Metrics>,
}

/// The metrics, where the config wants them.
struct Metrics {
    board: Board,
    server: tokio::task::JoinHandle<()>,
}

impl Metrics {
    fn start(config: &config::Metrics) -> Self {
        let board = Board::default();
        let server = metrics::serve(config.listen, config.token.clone(), Arc::clone(&board));
        Self { board, server: tokio::spawn(server) }
    }
}

impl Daemon {
    fn start(
        config: Config,
        store: Store,
        tally: &Arc<Tally>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, DaemonError> {
        let config = Arc::new(config);
        let desk = Desk::open(Arc::clone(&config), store.clone(), tally.listener(), Speaks::Now)?;
        let desk = Arc::new(desk);
        let dispatch = Dispatch::start(&config, store.clone())?.map(Arc::new);
        let pool = Pool::start(&config)?;
        let receivers = Receivers::start(config.cameras.len())?;
        let mut cameras = Cameras::new(&desk, &pool, receivers, dispatch.clone(), stop);
        cameras.start(&config, &pool);
        let (count, disabled) = (cameras.count(), cameras.disabled());
        tracing::info!("watching {count} cameras ({disabled} disabled), config {}", config.revision);
        let rechecks = Rechecks::new(store.recheck_changes());
        let metrics = config.node.metrics.as_ref().map(Metrics::start);
        let (tally, reloads) = (Arc::clone(tally), Reloads::default());
        Ok(Self {
            config,
            store,
            desk,
            dispatch,
            pool,
            cameras,
            rechecks,
            swept: None,
            seconds: 0,
            tally,
            reloads,
            metrics,
        })
    }

    /// Keeps everything going until told to stop.
    async fn watch(&mut self, mut file: Option<ConfigFile>, mut stop: watch::Receiver<bool>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        // What a reload took is not made up for.
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut commands = self.dispatch.as_ref().and_then(|dispatch| dispatch.commands());
        while !*stop.borrow_and_update() {
            let command = async {
                match &mut commands {
                    Some(commands) => commands.recv().await,
                    None => std::future::pending().await,
                }
            };
            let asked = async {
                match &mut file {
                    Some(file) => file.asked().await,
                    None => std::future::pending().await,
                }
            };
            let due = tokio::select! {
                changed = stop.changed() => if changed.is_err() { break } else { false },
                () = asked => true,
                Some(command) = command => {
                    self.obey(command, file.as_mut()).await;
                    false
                }
                _ = second.tick() => {
                    self.tick().await;
                    file.as_mut().is_some_and(ConfigFile::has_changed)
                }
            };
            if let Some(file) = file.as_mut().filter(|_| due) {
                let _ = self.reload(file).await; // It has been said.
            }
        }
    }

    /// Once a second.
    async fn tick(&mut self) {
        self.cameras.tick();
        self.cameras.examine();
        self.cameras.settle(self.pool.take_cores());
        tokio::task::block_in_place(|| self.rechecks.tick(&self.desk, &self.cameras));
        let due = self.swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
        let told = self.seconds.is_multiple_of(STATUS_EVERY_S).then(|| self.status());
        self.seconds += 1;
        let health = self.cameras.health_due(self.seconds);
        let desk = Arc::clone(&self.desk);
        let status_file = status_file(&self.config.node.data_dir);
        let pin_up = self.metrics.as_ref().map(|metrics| self.pin_up(Arc::clone(&metrics.board)));
        // All write to the disk, which may be slow.
        let work = tokio::task::spawn_blocking(move || {
            if let Some(status) = told {
                let status = status();
                if let Err(error) = status::write_status(&status, &status_file) {
                    tracing::debug!("cannot write {}: {error}", status_file.display());
                }
                if let Some(pin_up) = pin_up {
                    pin_up(status);
                }
            }
            desk.tick(Timestamp::now());
            if !health.is_empty() {
                desk.keep_health(health);
            }
            if due {
                desk.sweep(SystemTime::now());
            }
        });
        let _ = work.await;
        if due {
            self.swept = Some(Instant::now());
        }
        // A thread that is stuck in native code must not look alive.
        if self.pool.is_moving() {
            notify(sd_notify::NotifyState::Watchdog);
        } else {
            tracing::error!("a thread is stuck: the watchdog will restart gridwatch");
        }
    }

    /// How everything is; to be called where waiting for the disk does no harm.
    fn status(&self) -> impl FnOnce() -> Status + Send + use<> {
        let (figures, disabled) = self.cameras.figures();
        let revision = self.config.revision.clone();
        let queue = self.pool.queue().waiting();
        let broker = self.dispatch.as_ref().map(|dispatch| dispatch.stats());
        let store = self.store.clone();
        move || Status::new(revision, figures, queue, disabled, broker, &store)
    }

    /// Shows a status, with what else the metrics tell; to be called where waiting for the disk does no harm.
    fn pin_up(&self, board: Board) -> impl FnOnce(Status) + Send + use<> {
        let (desk, tally) = (Arc::clone(&self.desk), Arc::clone(&self.tally));
        let reloads = self.reloads;
        move |status| {
            let (incidents, lost) = (tally.by_kind(), desk.lost());
            let snapshot = Snapshot { status, incidents, lost, reloads };
            *board.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
        }
    }

    /// Carries out what the platform asks of the node itself, and answers.
    async fn obey(&mut self, command: Command, file: Option<&mut ConfigFile>) {
        let (name, id, done) = match command {
            Command::Reload { id } => {
                let done = match file {
                    Some(file) => self.reload(file).await,
                    None => Err("this gridwatch runs without a config file".to_owned()),
                };
                (CommandName::Reload, id, done)
            }
            Command::ConfirmView { id, camera } => {
                let done = match self.cameras.condition(&camera) {
                    Some(condition) => {
                        tokio::task::block_in_place(|| condition.confirm_view());
                        Ok("what the camera shows now is its view from here on".to_owned())
                    }
                    None => Err("the camera does not run".to_owned()),
                };
                (CommandName::ConfirmView, id, done)
            }
        };
        let Some(dispatch) = &self.dispatch else { return };
        let reply = match done {
            Ok(detail) => CommandReply::done(id, detail),
            Err(detail) => CommandReply::refused(Some(id), Refusal::Failed, detail),
        };
        tokio::task::block_in_place(|| dispatch.answer(name, &reply));
    }

    /// Reads the config file, puts it in force as far as it can be, and says what came of it.
    async fn reload(&mut self, file: &mut ConfigFile) -> Result<String, String> {
        let done = self.reread(file).await;
        self.reloads.count(done.is_ok());
        match &done {
            Ok(detail) => tracing::info!("{detail}"),
            Err(detail) => tracing::error!("{detail}"),
        }
        if let Some(dispatch) = &self.dispatch {
            let detail = done.as_ref().map_or_else(Clone::clone, Clone::clone);
            dispatch.set_reloaded(Reloaded { at: Timestamp::now(), applied: done.is_ok(), detail });
        }
        done
    }

    async fn reread(&mut self, file: &mut ConfigFile) -> Result<String, String> {
        let loaded = tokio::task::block_in_place(|| file.read()).map_err(|error| {
            let file = file.path().display();
            format!("{file} cannot be put in force, the config before stays: {error}")
        })?;
        for problem in &loaded.problems {
            tracing::warn!("{problem}");
        }
        let next = Next::new(loaded.config, &self.config, |camera| self.cameras.settings(camera));
        let config = Arc::new(next.config.clone());
        let (changed, removed) = self.cameras.retire(&config).await;
        let kept = self.cameras.count();
        tokio::task::block_in_place(|| self.desk.reconfigure(&config));
        self.cameras.start(&config, &self.pool);
        if let Some(dispatch) = &self.dispatch {
            dispatch.reconfigure(&config);
        }
        self.config = config;
        let added = self.cameras.count().saturating_sub(kept + changed);
        Ok(next.summary(Applied { kept, changed, added, removed }))
    }

    /// Stops in order; gives what all pictures went through.
    async fn stop(self) -> Counts {
        let Self { desk, dispatch, pool, cameras, metrics, .. } = self;
        if let Some(metrics) = metrics {
            metrics.server.abort();
        }
        desk.keep_health(cameras.stop().await);
        let counts = pool.join().await;
        desk.tick(Timestamp::now());
        if let Some(dispatch) = dispatch.and_then(Arc::into_inner) {
            let _ = tokio::task::spawn_blocking(move || dispatch.stop(DRAIN_MAX)).await;
        }
        counts
    }
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
    /// Opened and closed, by kind: as many as there are scenarios.
    by_kind: Mutex<BTreeMap<String, [u64; 2]>>,
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
            let mut by_kind = tally.by_kind.lock().unwrap_or_else(PoisonError::into_inner);
            let [opened, closed] = by_kind.entry(incident.kind.clone()).or_default();
            *opened += u64::from(incident.phase == Phase::Opened);
            *closed += u64::from(incident.phase == Phase::Closed);
            drop(by_kind);
            tracing::info!(%camera, %zone, kind = incident.kind, phase = ?incident.phase, "{}", incident.description.en);
        })
    }

    fn by_kind(&self) -> BTreeMap<String, [u64; 2]> {
        self.by_kind.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn counted(&self) -> Summary {
        use std::sync::atomic::Ordering::Relaxed;
        Summary { opened: self.opened.load(Relaxed), closed: self.closed.load(Relaxed), ..Summary::default() }
    }
}
