//! How everything is: one file that is written anew every few seconds, for `gridwatch status`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gauge::Counts;
use crate::config::Level;
use crate::dispatch::DispatchStats;
use crate::event::{Incident, Phase};
use crate::frame::{CameraId, CameraState};
use crate::health::Check;
use crate::observation::ZoneId;
use crate::sampler::activity::Standing;
use crate::store::{Precision, Store};

/// Incidents in the status: what a person reads at a glance.
const LATEST_MAX: usize = 8;

/// How everything is: what `gridwatch status` shows and the metrics tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of gridwatch.
    pub version: String,
    /// When this was written.
    pub written: Timestamp,
    /// The config in force.
    pub config_revision: String,
    /// Cameras and processor.
    #[serde(flatten)]
    pub figures: Figures,
    /// Cameras that wait for their turn to be analysed.
    pub queue: usize,
    /// Cameras that cannot run, and why.
    pub disabled: Vec<DisabledCamera>,
    /// What waits for the broker; without one, all incidents stay here.
    pub outbox: Outbox,
    /// The connection to the broker; `None`: none is configured.
    pub broker: Option<DispatchStats>,
    /// What the platform's verdicts of the last 30 days make of each zone.
    pub precision: Vec<Precision>,
    /// Incidents that are open.
    pub incidents_open: usize,
    /// The incidents that changed last, newest first.
    pub latest: Vec<LatestIncident>,
}

/// A camera that cannot run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledCamera {
    /// Which camera.
    pub camera: CameraId,
    /// Why.
    pub reason: String,
}

/// What waits for the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    /// Messages.
    pub rows: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Age of the oldest, in seconds; 0 if none waits.
    pub oldest_s: f64,
    /// Pictures that gave way because the outbox was full, ...
    pub pictures_gave_way: u64,
    /// ... copies of statements in other platforms' shapes, ...
    #[serde(default)]
    pub mirrors_gave_way: u64,
    /// ... and statements, since the start.
    pub statements_gave_way: u64,
}

/// An incident in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatestIncident {
    /// Which camera.
    pub camera: CameraId,
    /// Which zone.
    pub zone: ZoneId,
    /// Scenario id.
    pub kind: String,
    /// How urgent.
    pub level: Level,
    /// Where it stands.
    pub phase: Phase,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Seconds for which it stayed.
    pub dwell_s: f64,
}

/// How cameras and processor are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Since when gridwatch runs.
    pub started: Timestamp,
    /// Cores that analysis could have, after what other processes take.
    pub cores: f64,
    /// Cores that gridwatch used in the last seconds, everything included.
    pub cores_used: f64,
    /// Physical memory of the process.
    pub resident_bytes: u64,
    /// Of it, compressed video of all cameras.
    pub ring_bytes: u64,
    /// Factor by which the time between looks is stretched where nothing is suspected.
    pub stretch_idle: f64,
    /// The same where something is suspected or open.
    pub stretch_urgent: f64,
    /// Whether there is more to do than the machine carries even so.
    pub overloaded: bool,
    /// Share of the watched and connected cameras that were looked at as often as their rules want, 0..1.
    pub within_need: f64,
    /// All cameras.
    pub cameras: Vec<CameraLoad>,
}

/// How one camera is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CameraLoad {
    /// Which camera.
    pub camera: CameraId,
    /// Its connection.
    pub state: CameraState,
    /// Seconds since it was last analysed; `None`: never yet, or nothing is to be analysed now.
    pub stale_s: Option<f64>,
    /// Seconds between two looks that its rules want now.
    pub every_s: Option<f64>,
    /// Whether something is suspected or open there.
    pub urgent: bool,
    /// Whether it is looked at as often as wanted.
    pub within_need: bool,
    /// Cores that it takes.
    pub cores: f64,
    /// Compressed video kept.
    pub ring_bytes: u64,
    /// Whether the sizes of its access units tell when nothing has happened.
    pub packet_gate: Standing,
    /// What happened to its pictures.
    pub counts: Counts,
    /// What is wrong with the camera itself.
    #[serde(default)]
    pub faults: Vec<Check>,
    /// Connections that were lost or given up.
    #[serde(default)]
    pub disconnects: u64,
    /// RTP packets that did not arrive.
    #[serde(default)]
    pub packets_lost: u64,
}

impl Outbox {
    fn of(store: &Store, now: Timestamp) -> Self {
        let size = store.outbox_size().unwrap_or_default();
        let gave_way = store.gave_way();
        let oldest = store.outbox_oldest().unwrap_or_default();
        let oldest = oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64());
        Self {
            rows: size.rows,
            bytes: size.bytes,
            oldest_s: oldest.max(0.0),
            pictures_gave_way: gave_way.evidence,
            mirrors_gave_way: gave_way.mirror,
            statements_gave_way: gave_way.incident,
        }
    }
}

impl LatestIncident {
    fn of(incident: &Incident) -> Self {
        Self {
            camera: incident.camera.id.clone(),
            zone: incident.zone.id.clone(),
            kind: incident.kind.clone(),
            level: incident.level,
            phase: incident.phase,
            first_seen: incident.first_seen,
            dwell_s: incident.dwell_s,
        }
    }
}

impl Status {
    /// Puts together what the parts know; asks the store, so it may wait for the disk.
    pub fn new(
        config_revision: String,
        figures: Figures,
        queue: usize,
        disabled: Vec<DisabledCamera>,
        broker: Option<DispatchStats>,
        store: &Store,
    ) -> Self {
        let now = Timestamp::now();
        let latest = store.latest_incidents(LATEST_MAX).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            written: now,
            config_revision,
            figures,
            queue,
            disabled,
            outbox: Outbox::of(store, now),
            broker,
            precision: store.precision(now).unwrap_or_default(),
            incidents_open: store.open_count().unwrap_or_default(),
            latest: latest.iter().map(LatestIncident::of).collect(),
        }
    }
}

/// Where the status of a running gridwatch lies: in memory where systemd provides for it, else beside the store.
pub fn status_file(data_dir: &Path) -> PathBuf {
    let runtime = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    runtime.unwrap_or_else(|| data_dir.to_owned()).join("status.json")
}

/// Writes the status so that a reader sees the old one or the new one, whole.
pub fn write_status(status: &Status, file: &Path) -> std::io::Result<()> {
    let part = file.with_extension("part");
    std::fs::write(&part, serde_json::to_vec(status)?)?;
    std::fs::rename(part, file)
}
