//! A config that changes and a process that is killed while cars stand in lanes: no dwell clock loses or gains by it.

mod service;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gridwatch::camera::Clip;
use gridwatch::event::{ClosedReason, Incident, Phase};
use gridwatch::frame::AccessUnit;
use gridwatch::simulate::{self, Mount, Server, Source};
use gridwatch::store::Follower;
use serde_json::Value;
use service::Service;

/// Reloads within the dwell time: 100, or what `GRIDWATCH_RELOADS` says.
fn reloads() -> u32 {
    std::env::var("GRIDWATCH_RELOADS").map_or(100, |count| count.parse().expect("a number"))
}

/// Dwell time of the lanes in seconds: long enough for the reloads and two kills within.
fn dwelling_s() -> f64 {
    0.25 * f64::from(reloads().max(100))
}

/// Cameras that show a car in the lane from their first picture on.
struct Street {
    dir: tempfile::TempDir,
    server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Street {
    fn new(cameras: &[&str]) -> Self {
        let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/clips/fire-lane-day.mp4");
        let units: Vec<AccessUnit> = Clip::open(clip).unwrap().collect::<Result<_, _>>().unwrap();
        // The car stands from the 12th to the 39th second.
        let stands = |unit: &&AccessUnit| (15.0..35.0).contains(&unit.captured.media.as_secs_f64());
        let units: Vec<AccessUnit> =
            units.iter().filter(stands).skip_while(|unit| !unit.key).cloned().collect();
        let source = Source::new(units).unwrap();
        let mounts = cameras.iter().map(|camera| Mount::new(*camera, source.clone())).collect();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = {
            let _entered = runtime.enter();
            Server::start(simulate::Config { mounts, ..simulate::Config::default() }).unwrap()
        };
        Self { dir: tempfile::tempdir().unwrap(), server, _runtime: runtime }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes the config with these cameras, each with its name for people.
    fn write(&self, cameras: &[(&str, &str)], comment: &str) -> PathBuf {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-v2.onnx");
        let model = model.display();
        let mut text = format!(
            "# {comment}\n[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n\
             [evidence]\npre_roll_s = 0\npost_roll_s = 0\n[models.street]\nfile = \"{model}\"\n"
        );
        for (id, name) in cameras {
            let _ = write!(
                text,
                "[[camera]]\nid = \"{id}\"\nname = \"{name}\"\nurl = \"rtsp://{}/{id}\"\n\
                 [[zone]]\ncamera = \"{id}\"\nid = \"lane\"\nscenario = \"fire_lane\"\n\
                 polygon = [[0.1834, 0.7739], [0.776, 0.5119], [0.6695, 0.4114], [0.1585, 0.5916]]\n\
                 suspect_s = 3\ndwell_s = {:.1}\nclear_s = 4\n",
                self.server.address(),
                dwelling_s()
            );
        }
        let path = self.dir.path().join("gridwatch.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Waits until every camera has been looked at three times: by then it is known that something stands there.
    fn looked_at(&self) {
        self.status(|status| {
            let looked = |camera: &Value| camera["counts"]["looked"].as_u64() >= Some(3);
            status["cameras"].as_array().is_some_and(|all| all.len() >= 2 && all.iter().all(looked))
        });
    }

    /// The node's status, once `enough` of it is true.
    fn status(&self, enough: impl Fn(&Value) -> bool) -> Value {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let status = std::fs::read(self.data().join("status.json")).unwrap_or_default();
            let status = serde_json::from_slice(&status).unwrap_or(Value::Null);
            if enough(&status) {
                return status;
            }
            assert!(Instant::now() < patience, "{status:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The newest state of every incident, once `enough` of it is true.
    fn incidents(&self, what: &str, enough: impl Fn(&[Incident]) -> bool) -> Vec<Incident> {
        let patience = Instant::now() + Duration::from_secs(90) + Duration::from_secs_f64(dwelling_s());
        loop {
            let found: Vec<Incident> =
                Follower::open(&self.data()).and_then(|mut follower| follower.changes()).unwrap_or_default();
            if enough(&found) {
                return found;
            }
            assert!(Instant::now() < patience, "{what}: {found:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn sleep(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

#[test]
fn reloads_and_a_kill_lose_no_dwell() {
    let street = Street::new(&["kept", "changed", "new"]);
    let config = street.write(&[("kept", "A"), ("changed", "B")], "first");
    let mut daemon = Service::start(&config);
    street.looked_at();
    let begun = jiff::Timestamp::now();
    // One camera stays as it is, the other is another one each time; some of the files are no config at all.
    for n in 0..reloads() {
        street.write(&[("kept", "A"), ("changed", &format!("B{n}"))], "again");
        if n % 10 == 5 {
            std::fs::write(&config, "[node\nsite = ").unwrap();
        }
        daemon.reload();
        sleep(0.04);
    }
    // Killed in the middle of the dwell, and again.
    for _ in 0..2 {
        sleep(1.5);
        daemon = {
            drop(daemon);
            Service::start(&config)
        };
    }
    let opened = street.incidents("both open", |found| found.len() >= 2);
    for incident in &opened {
        let (camera, dwell_s) = (&incident.camera.id, incident.dwell_s);
        let confirmed = incident.confirmed_at.expect("confirmed");
        let waited_s = confirmed.duration_since(incident.first_seen).as_secs_f64();
        assert_eq!(incident.seq, 1, "{camera}");
        assert!(
            incident.first_seen < begun,
            "{camera}: its time began anew at {}, after {begun}",
            incident.first_seen
        );
        // Looked at every second or two; after a kill once more for the key picture.
        assert!(
            (dwelling_s() - 1.0..dwelling_s() + 8.0).contains(&waited_s),
            "{camera}: confirmed after {waited_s} s"
        );
        assert!((dwelling_s() - 1.0..dwelling_s() + 8.0).contains(&dwell_s), "{camera}: dwell {dwell_s} s");
    }

    // What is open goes on under its id; one camera goes, another comes.
    drop(daemon);
    let daemon = Service::start(&config);
    sleep(4.0);
    street.write(&[("kept", "A"), ("new", "C")], "last");
    // Nobody says anything: the file has changed.
    let ended = street.incidents("the third open, the second closed", |found| {
        found.len() >= 3 && found.iter().any(|incident| incident.phase == Phase::Closed)
    });
    let of = |camera: &str| ended.iter().find(|incident| incident.camera.id.as_str() == camera).unwrap();
    let reasons = ["kept", "changed", "new"].map(|camera| of(camera).closed_reason);
    assert_eq!(reasons, [None, Some(ClosedReason::RuleRemoved), None], "{ended:#?}");
    assert_eq!(ended.len(), 3, "{ended:#?}");
    let first = opened.iter().find(|incident| incident.camera.id.as_str() == "kept").unwrap();
    assert_eq!(of("kept").incident, first.incident);
    drop(daemon);
}

/// As when `tee` goes in `gridwatch run 2>&1 | tee log`: whoever logged would have panicked.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let street = Street::new(&["kept", "changed"]);
    let config = street.write(&[("kept", "A"), ("changed", "B")], "first");
    let (daemon, log) = Service::logged(&config, &["--log", "debug"]);
    drop(log);
    street.looked_at();
    let mut revision = street.status(|_| true)["config_revision"].clone();
    for comment in ["second", "third"] {
        street.write(&[("kept", comment), ("changed", "B")], comment);
        daemon.reload();
        revision = street.status(|status| status["config_revision"] != revision)["config_revision"].clone();
    }
}
