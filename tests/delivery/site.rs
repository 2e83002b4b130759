//! A node with three cameras, and observations to order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gridwatch::config::{self, Camera, Config, Zone};
use gridwatch::detection::Detection;
use gridwatch::event::{EvidenceKind, EvidenceRef, Incident};
use gridwatch::frame::{Captured, Clock};
use gridwatch::geometry::{BBox, Point};
use gridwatch::incident::Incidents;
use gridwatch::observation::{Observation, Stage, Trajectory};
use gridwatch::store::Store;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

pub const BASE: &str = "city/grid/v1/yuhua/box-1";

/// A directory with config and data, and the config as loaded.
pub struct Site {
    _dir: tempfile::TempDir,
    pub config: Arc<Config>,
    /// Wall time at media time 0.
    epoch: Timestamp,
}

impl Site {
    /// With a broker at this port of the loopback interface, or none.
    pub fn new(port: Option<u16>) -> Self {
        let mqtt =
            port.map(|port| format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"city/grid\"\n"));
        Self::with(&mqtt.unwrap_or_default())
    }

    /// With a broker at this port, in this version of MQTT.
    pub fn speaking(port: u16, version: &str) -> Self {
        Self::with(&format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"city/grid\"\nversion = \"{version}\"\n"
        ))
    }

    pub fn with(mqtt: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("models")).expect("made");
        std::fs::write(dir.path().join("models/street-v2.onnx"), b"").expect("written");
        let node = format!("[node]\nsite = \"yuhua\"\nid = \"box-1\"\ndata_dir = \"data\"\n{mqtt}\n");
        let cameras = [
            ("gate", "group = \"square\"\n", "fire_lane"),
            ("market", "group = \"square\"\n", "street_vending"),
            ("tower", "", "thrown_object"),
        ];
        let cameras = cameras.map(|(camera, group, scenario)| {
            format!(
                "[[camera]]\nid = \"{camera}\"\nname = \"{camera} camera\"\nurl = \"rtsp://127.0.0.1/{camera}\"\n{group}\
                 [[zone]]\nid = \"zone\"\nname = \"东侧\"\ncamera = \"{camera}\"\nscenario = \"{scenario}\"\n\
                 polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]\n"
            )
        });
        let path = dir.path().join("gridwatch.toml");
        std::fs::write(&path, node + &cameras.concat()).expect("written");
        let loaded = config::load(&path).expect("a config");
        let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(loaded.config.cameras.len(), 3, "{problems:#?}");
        Self { _dir: dir, config: Arc::new(loaded.config), epoch: Timestamp::now() }
    }

    pub fn data(&self) -> PathBuf {
        self.config.node.data_dir.clone()
    }

    pub fn store(&self) -> Store {
        Store::open(&self.data()).expect("a store")
    }

    pub fn incidents(&self, store: &Store) -> Incidents {
        Incidents::open(store.clone(), Arc::clone(&self.config)).expect("incidents")
    }

    pub fn camera(&self, id: &str) -> (&Camera, &Zone) {
        let camera = self.config.cameras.iter().find(|c| c.id.as_str() == id).expect("a camera");
        (camera, &camera.zones[0])
    }

    pub fn at(&self, seconds: f64) -> Captured {
        Captured {
            wall: self.epoch + SignedDuration::from_secs_f64(seconds),
            media: Duration::from_secs_f64(seconds),
            clock: Clock::Arrival,
        }
    }

    /// A matter that was first seen at `from` seconds and is observed at `to`.
    pub fn observation(&self, stage: Stage, from: f64, to: f64) -> Observation {
        Observation {
            zone: "zone".into(),
            stage,
            first_seen: self.at(from),
            confirmed_at: (stage == Stage::Confirmed).then(|| self.at(to)),
            last_seen: self.at(to),
            at: self.at(to),
            dwell_s: to - from,
            unseen_s: 0.0,
            coverage: 0.4,
            objects: vec![Detection::new("car".into(), 0.9, BBox { x0: 0.2, y0: 0.3, x1: 0.5, y1: 0.7 })],
            trajectory: None,
        }
    }

    pub fn thrown(&self, at: f64) -> Observation {
        let points =
            (0..10).map(|i| (at + f64::from(i) * 0.04, Point { x: 0.5, y: 0.1 + 0.05 * i as f32 })).collect();
        Observation {
            objects: Vec::new(),
            trajectory: Some(Trajectory {
                points,
                release: Point { x: 0.5, y: 0.1 },
                release_height_m: Some((33.0, 1.5)),
                floor: Some((12, 1)),
            }),
            ..self.observation(Stage::Confirmed, at, at + 0.4)
        }
    }

    /// Writes a picture of its own for each `name`, as the evidence stage would.
    pub fn snapshot(&self, name: &str, size_bytes: usize) -> EvidenceRef {
        let bytes: Vec<u8> = name.bytes().cycle().take(size_bytes).collect();
        let path = format!("evidence/{name}.jpg");
        let file = self.data().join(&path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        std::fs::write(&file, &bytes).expect("written");
        EvidenceRef {
            kind: EvidenceKind::Snapshot,
            sha256: hex::encode(Sha256::digest(&bytes)),
            size_bytes: bytes.len() as u64,
            media_type: "image/jpeg".into(),
            size_px: None,
            path,
            topic: None,
        }
    }

    /// Opens, updates (`updates` times, each with a picture) and closes an incident in one camera's zone.
    pub fn play(&self, incidents: &mut Incidents, camera: &str, from: f64, updates: usize) -> Vec<Incident> {
        let (camera, zone) = self.camera(camera);
        let mut said = Vec::new();
        for step in 0..=updates {
            let observation = self.observation(Stage::Confirmed, from, from + 1.0 + step as f64);
            let picture = self.snapshot(&format!("{}-{from}-{step}", camera.id), 2_000);
            said.extend(
                incidents
                    .observe(camera, zone, &observation, None, vec![picture], observation.at.wall)
                    .expect("observed"),
            );
        }
        let end = self.observation(Stage::Cleared, from, from + 2.0 + updates as f64);
        said.extend(incidents.observe(camera, zone, &end, None, Vec::new(), end.at.wall).expect("observed"));
        assert_eq!(said.len(), updates + 2);
        said
    }
}

/// Waits until `done`; fails with `what` after a minute.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
