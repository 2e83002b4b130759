//! A camera that is turned away and back: its zones rest meanwhile, the platform hears of it, nothing false is said.

mod service;

use std::path::Path;
use std::time::{Duration, Instant};

use gridwatch::camera::Clip;
use gridwatch::event::{ClosedReason, Incident, Phase};
use gridwatch::frame::AccessUnit;
use gridwatch::simulate::{self, Mount, Server, Source};
use gridwatch::store::Follower;
use service::Service;

/// So many seconds from the beginning of a demo's clip, times counted from `from_s`.
fn view(clip: &str, seconds: f64, from_s: f64) -> Vec<AccessUnit> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/clips").join(clip);
    let units = Clip::open(path).unwrap().map(Result::unwrap);
    let shift = |mut unit: AccessUnit| {
        unit.captured.media += Duration::from_secs_f64(from_s);
        unit.pts_90k += (from_s * 90_000.0) as i64;
        unit
    };
    units.take_while(|unit| unit.captured.media.as_secs_f64() < seconds).map(shift).collect()
}

#[test]
fn a_camera_that_is_turned_away_rests_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    // The lane is empty for its first ten seconds; a facade is something else altogether.
    let lane = |from_s| view("fire-lane-day.mp4", 10.0, from_s);
    let units = [lane(0.0), lane(10.0), lane(20.0), view("facade-day.mp4", 20.0, 30.0)].concat();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let mounts = vec![Mount::new("gate", Source::new(units).unwrap())];
    let server = Server::start(simulate::Config { mounts, ..simulate::Config::default() }).unwrap();
    let config = dir.path().join("gridwatch.toml");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-v2.onnx");
    let text = format!(
        "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n[models.street]\nfile = \"{}\"\n\
         [[camera]]\nid = \"gate\"\nurl = \"rtsp://{}/gate\"\n\
         [[zone]]\ncamera = \"gate\"\nid = \"lane\"\nscenario = \"fire_lane\"\n\
         polygon = [[0.1834, 0.7739], [0.776, 0.5119], [0.6695, 0.4114], [0.1585, 0.5916]]\n\
         suspect_s = 2\ndwell_s = 5\nclear_s = 4\n",
        model.display(),
        server.address()
    );
    std::fs::write(&config, text).unwrap();
    let _daemon = Service::start(&config);

    let patience = Instant::now() + Duration::from_secs(150);
    let incidents: Vec<Incident> = loop {
        let data = dir.path().join("data");
        let found = Follower::open(&data).and_then(|mut follower| follower.changes()).unwrap_or_default();
        if found.iter().any(|incident| incident.phase == Phase::Closed) {
            break found;
        }
        assert!(Instant::now() < patience, "{found:#?}");
        std::thread::sleep(Duration::from_millis(300));
    };
    let [fault] = &incidents[..] else { panic!("{incidents:#?}") };
    assert_eq!((&*fault.kind, &*fault.zone.id.0), ("video_quality", "video_quality.moved"), "{fault:#?}");
    assert_eq!(fault.closed_reason, Some(ClosedReason::Cleared));
    assert!(fault.description.zh.contains("画面移位"), "{:?}", fault.description);
    assert!(!fault.evidence.is_empty(), "a picture of what it shows now");
    let status = std::fs::read(dir.path().join("data/status.json")).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert!(status["cameras"][0]["counts"]["blind"].as_u64() >= Some(2), "{status:#}");
}
