//! The closed loop with everything real: a camera, the daemon, a broker; the platform answers, asks and orders.

#[path = "delivery/broker.rs"]
#[allow(dead_code)] // Its clients serve other tests.
mod broker;
mod service;

use std::path::Path;

use broker::{Broker, Heard, Listener};
use gridwatch::camera::Clip;
use gridwatch::simulate::{self, Mount, Server, Source};
use serde_json::Value;
use service::Service;

const BASE: &str = "gridwatch/v1/yuhua/box";

fn phase(heard: &Heard, phase: &str) -> bool {
    heard.topic.ends_with("/incidents/fire_lane") && heard.json()["data"]["phase"] == phase
}

/// Hears the re-check of an incident: the picture first, then what it says.
fn rechecked(platform: &Listener, incident: &str, outcome: &str) -> Value {
    let topic = format!("{BASE}/cameras/gate/rechecks/{incident}");
    let heard = platform.until(|heard| heard.topic == topic);
    let event = heard.last().expect("until it came").json();
    assert_eq!(event["type"], "cn.gridwatch.recheck.v1");
    assert_eq!(event["data"]["outcome"], outcome, "{event:#}");
    let picture = event["data"]["evidence"][0]["topic"].as_str().expect("a picture");
    assert!(heard.iter().any(|heard| heard.topic == picture && heard.payload.starts_with(&[0xff, 0xd8])));
    event
}

#[test]
fn the_platform_answers_asks_and_orders() {
    if !broker::installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    // A car stands in the lane from the 12th to the 39th second of every minute.
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/clips/fire-lane-day.mp4");
    let units = Clip::open(clip).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let mounts = vec![Mount::new("gate", Source::new(units).unwrap())];
    let server = Server::start(simulate::Config { mounts, ..simulate::Config::default() }).unwrap();
    let config = dir.path().join("gridwatch.toml");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-v2.onnx");
    let text = format!(
        "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n\
         [mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[models.street]\nfile = \"{}\"\n\
         [[camera]]\nid = \"gate\"\nurl = \"rtsp://{}/gate\"\n\
         [[zone]]\ncamera = \"gate\"\nid = \"lane\"\nscenario = \"fire_lane\"\n\
         polygon = [[0.1834, 0.7739], [0.776, 0.5119], [0.6695, 0.4114], [0.1585, 0.5916]]\n\
         suspect_s = 2\ndwell_s = 6\nclear_s = 3\n",
        broker.port,
        model.display(),
        server.address()
    );
    std::fs::write(&config, &text).unwrap();
    let platform = Listener::start(broker.port, &format!("{BASE}/#"));
    let daemon = Service::start(&config);

    let opened = platform.until(|heard| phase(heard, "opened")).pop().unwrap().json();
    let incident = opened["data"]["incident"].as_str().unwrap().to_owned();

    // A platform that says too early that it is done is told so, with a picture; and so is who asks.
    let verdict = format!("{BASE}/verdict/{incident}");
    broker.publish(&verdict, br#"{"verdict":"resolved","case_id":"A-7"}"#, false);
    platform
        .until(|heard| heard.topic == format!("{BASE}/reply/verdict") && heard.json()["outcome"] == "stored");
    let event = rechecked(&platform, &incident, "still_present");
    assert_eq!(event["data"]["case_id"], "A-7");

    // Gone: asked for by a command this time.
    let closed = platform.until(|heard| phase(heard, "closed")).pop().unwrap().json();
    assert_eq!(closed["data"]["verdict"]["case_id"], "A-7", "{closed:#}");
    let order = format!(r#"{{"id":"r1","incident":"{incident}"}}"#);
    broker.publish(&format!("{BASE}/command/recheck"), order.as_bytes(), false);
    let event = rechecked(&platform, &incident, "cleared");
    assert_eq!(event["data"]["command"], "r1");

    // Orders to the node itself.
    std::fs::write(&config, text.replace("suspect_s = 2", "suspect_s = 3")).unwrap();
    broker.publish(&format!("{BASE}/command/reload"), br#"{"id":"c1"}"#, false);
    let done = |name: &str, id: &str| {
        let topic = format!("{BASE}/reply/{name}");
        let last = |heard: &Heard| {
            heard.topic == topic && heard.json()["id"] == id && heard.json()["outcome"] != "accepted"
        };
        platform.until(last).pop().unwrap().json()
    };
    let reloaded = done("reload", "c1");
    assert_eq!(reloaded["outcome"], "done", "{reloaded:#}");
    assert!(reloaded["detail"].as_str().unwrap().contains("1 changed"), "{reloaded:#}");
    broker.publish(&format!("{BASE}/command/confirm-view"), br#"{"id":"c2","camera":"gate"}"#, false);
    assert_eq!(done("confirm-view", "c2")["outcome"], "done");
    std::fs::write(&config, "[node").unwrap();
    broker.publish(&format!("{BASE}/command/reload"), br#"{"id":"c3"}"#, false);
    assert_eq!(done("reload", "c3")["refused"], "failed");

    // Disarmed: the next car is nobody's business.
    let disarm = || {
        broker.publish(
            &format!("{BASE}/command/disarm"),
            br#"{"id":"c4","camera":"gate","for_s":3600}"#,
            false,
        );
        done("disarm", "c4")
    };
    let disarmed = disarm();
    assert_eq!(disarmed["outcome"], "done");

    // Killed. What comes again, because somebody did not hear, is answered as before and not done once more.
    drop(daemon);
    std::fs::write(&config, &text).unwrap();
    let _daemon = Service::start(&config);
    let arm = |id: &str| {
        let order = format!(r#"{{"id":"{id}","camera":"gate"}}"#);
        broker.publish(&format!("{BASE}/command/arm"), order.as_bytes(), false);
        done("arm", id)["detail"].as_str().unwrap().to_owned()
    };
    assert!(arm("c5").starts_with("1 of 1 "));
    assert_eq!(disarm(), disarmed);
    assert!(arm("c6").starts_with("0 of 1 "), "it was not disarmed again");
    assert!(arm("c5").starts_with("1 of 1 "), "as before");
    broker.publish(&format!("{BASE}/command/reload"), br#"{"id":"c3"}"#, false);
    assert_eq!(done("reload", "c3")["refused"], "failed", "as before: the config is whole now");
}
