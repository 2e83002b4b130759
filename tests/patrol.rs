//! More cameras than compute, as a whole: the daemon visits a group in turn, and answers a poll of it through a real broker.

#[path = "delivery/broker.rs"]
#[allow(dead_code)] // Its clients serve other tests.
mod broker;
mod service;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use broker::Broker;
use gridwatch::camera::Clip;
use gridwatch::simulate::{self, Mount, Server, Source};
use serde_json::Value;
use service::Service;

/// Cameras in the group, visited two at a time for two seconds each: once in six seconds.
const CAMERAS: usize = 6;

fn config(dir: &Path, broker: u16, server: &Server, connected: &str) -> PathBuf {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-v2.onnx");
    let mut text = format!(
        "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\n\
         [models.street]\nfile = \"{}\"\n\
         [groups.east.patrol]\nslots = 2\ndwell_s = 2\nconnected = \"{connected}\"\nconnect_ahead_s = 2\n",
        model.display()
    );
    for n in 1..=CAMERAS {
        let url = format!("rtsp://{}/cam{n}", server.address());
        let _ = write!(
            text,
            "[[camera]]\nid = \"cam{n}\"\nurl = \"{url}\"\ngroup = \"east\"\n\
             [[zone]]\ncamera = \"cam{n}\"\nid = \"lane\"\nscenario = \"fire_lane\"\n\
             polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n"
        );
    }
    let path = dir.join("gridwatch.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// What every camera has been through, once all of them have been looked at `looks` times.
fn visited(dir: &Path, looks: u64) -> Vec<Value> {
    let patience = Instant::now() + Duration::from_secs(120);
    loop {
        let status = std::fs::read(dir.join("data/status.json")).ok();
        let status: Option<Value> = status.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(cameras) = status.as_ref().and_then(|s| s["cameras"].as_array())
            && cameras.len() == CAMERAS
            && cameras.iter().all(|c| c["counts"]["looked"].as_u64() >= Some(looks))
        {
            return cameras.clone();
        }
        assert!(Instant::now() < patience, "not all cameras were visited: {status:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn check(connected: &str) {
    if !broker::installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/clips/quiet-street.mp4");
    let units = Clip::open(clip).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let source = Source::new(units).unwrap();
    let mounts = (1..=CAMERAS).map(|n| Mount::new(format!("cam{n}"), source.clone())).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let server = Server::start(simulate::Config { mounts, ..simulate::Config::default() }).unwrap();
    let config = config(dir.path(), broker.port, &server, connected);
    let gridwatch = || Command::new(env!("CARGO_BIN_EXE_gridwatch"));
    let _daemon = Service::start(&config);

    // Two visits each, and between them nobody decodes for them.
    for camera in visited(dir.path(), 2) {
        let (received, decoded) = (&camera["counts"]["units"], &camera["counts"]["decoded"]);
        assert!(decoded.as_u64() < received.as_u64().map(|n| n / 4), "{connected}: {camera}");
        assert!(camera["every_s"].as_f64() >= Some(6.0), "a round: {camera}");
    }
    let polled =
        gridwatch().args(["poll", "--config"]).arg(&config).args(["--group", "east"]).output().unwrap();
    let text = String::from_utf8_lossy(&polled.stdout).into_owned();
    let replies: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(polled.status.success(), "{connected}: {text}{}", String::from_utf8_lossy(&polled.stderr));
    let done = replies.last().unwrap();
    assert_eq!((&done["answered"], &done["missing"]), (&Value::from(CAMERAS), &Value::from(0)), "{text}");
    for reply in &replies[..CAMERAS] {
        let file = dir.path().join("data").join(reply["evidence"]["path"].as_str().unwrap());
        let picture = std::fs::read(file).unwrap();
        assert_eq!(&picture[..2], [0xff, 0xd8], "a JPEG");
        assert!(reply["age_s"].as_f64() < Some(30.0), "{reply}");
    }
}

#[test]
fn connected_cameras_are_visited_in_turn_and_polled() {
    check("always");
}

#[test]
fn cameras_connected_for_visits_only_are_visited_and_polled() {
    check("visits");
}
