//! From observations to a broker: nothing lost, nothing out of order, whatever the broker does.

mod broker;
mod commands;
mod faults;
mod mirrors;
mod polls;
mod proxy;
mod scripted;
mod site;
mod tls;
mod verdicts;
mod watch;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use broker::{Broker, Heard, Listener, free_port};
use gridwatch::detection::ModelStamp;
use gridwatch::dispatch::Dispatch;
use gridwatch::event::{
    CameraStatus, ClosedReason, EvidenceKind, EvidenceRef, Fault, IncidentEvent, Verdict, VerdictKind,
};
use gridwatch::frame::CameraState;
use gridwatch::observation::Stage;
use gridwatch::store::Store;
use jiff::Timestamp;
use proxy::Proxy;
use sha2::{Digest, Sha256};
use site::{BASE, Site, wait};

fn dispatch(site: &Site, store: &Store) -> Dispatch {
    Dispatch::start(&site.config, store.clone()).expect("dispatch").expect("a broker is configured")
}

fn drained(store: &Store) {
    wait("the outbox is empty", || store.outbox_size().expect("a size").rows == 0);
}

/// The statements among what was heard, with the first of repeated ones only; fails if an incident's are out of order.
fn statements(heard: &[Heard]) -> Vec<IncidentEvent> {
    let mut seq = BTreeMap::new();
    let mut first = Vec::new();
    for message in heard.iter().filter(|m| m.topic.contains("/incidents/")) {
        let event: IncidentEvent = serde_json::from_slice(&message.payload).expect("an incident");
        assert_eq!(event.id, format!("{}/{}", event.data.incident, event.data.seq));
        let last = seq.entry(event.data.incident).or_insert(0);
        if event.data.seq > *last {
            assert_eq!(event.data.seq, *last + 1, "in order: {}", event.id);
            *last = event.data.seq;
            first.push(event);
        }
    }
    first
}

/// Fails if any JSON of these is not what the committed schema of its topic says.
fn check_against_the_contract(heard: &[Heard]) {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/contract");
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    let mut compile = |name: &str| {
        let path = dir.join(format!("{name}.schema.json"));
        compiler.compile(path.to_str().expect("a path"), &mut schemas).expect("a schema")
    };
    let [incident, node, camera] = ["incident", "node-status", "camera-status"].map(&mut compile);
    let [poll_reply, verdict_reply] = ["poll-reply", "verdict-reply"].map(&mut compile);
    let [command_reply, recheck] = ["command-reply", "recheck"].map(&mut compile);
    for message in heard.iter().filter(|m| m.topic.starts_with(BASE) && !m.payload.is_empty()) {
        let schema = match message.topic[BASE.len() + 1..].split('/').collect::<Vec<_>>()[..] {
            ["status"] => node,
            ["cameras", _, "status"] => camera,
            ["cameras", _, "incidents", _] => incident,
            ["reply", "poll" | "snapshot"] => poll_reply,
            ["reply", "verdict"] => verdict_reply,
            ["reply", _] => command_reply,
            ["cameras", _, "rechecks", _] => recheck,
            ["cameras", _, "evidence", _, _] | ["cameras", _, "polled", _] | ["verdict" | "command", _] => {
                continue;
            }
            _ => panic!("no such topic in the contract: {}", message.topic),
        };
        if let Err(error) = schemas.validate(&message.json(), schema) {
            panic!("{}: {error:#}", message.topic);
        }
    }
}

/// Every rule kind, every closing reason that a running node gives, with everything that may be in an incident.
#[test]
fn every_message_is_what_the_contract_says() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, "#");
    let store = site.store();
    let dispatch = dispatch(&site, &store);
    let mut incidents = site.incidents(&store);
    let mut said = site.play(&mut incidents, "gate", 0.0, 1);
    let (camera, zone) = site.camera("tower");
    let model = ModelStamp { name: "movers".into(), sha256: "0".repeat(64) };
    let thrown = site.thrown(0.0);
    let picture = vec![site.snapshot("fall", 1_000)];
    said.extend(
        incidents.observe(camera, zone, &thrown, Some(&model), picture, thrown.at.wall).expect("observed"),
    );
    let clip =
        EvidenceRef { kind: EvidenceKind::Clip, media_type: "video/mp4".into(), ..site.snapshot("clip", 10) };
    let id = said.last().expect("one").incident;
    said.extend(incidents.attach_evidence(id, clip, site.at(5.0).wall).expect("attached"));
    said.extend(incidents.tick(site.at(100.0).wall).expect("closed"));
    let (camera, zone) = site.camera("market");
    let vending = site.observation(Stage::Confirmed, 0.0, 180.0);
    said.extend(
        incidents.observe(camera, zone, &vending, None, Vec::new(), vending.at.wall).expect("observed"),
    );
    said.extend(incidents.camera_lost(&camera.id, site.at(900.0).wall).expect("closed"));
    for (index, state) in [
        CameraState::Connecting,
        CameraState::Online,
        CameraState::Stalled,
        CameraState::AuthFailed,
        CameraState::Disabled,
    ]
    .into_iter()
    .enumerate()
    {
        dispatch.set_camera_status(CameraStatus {
            camera: format!("camera-{index}").as_str().into(),
            name: "路口".into(),
            state,
            detail: Some("because".into()),
            since: Timestamp::now(),
            checks: [("moved".to_owned(), 2), ("black".to_owned(), 1)].into(),
            faults: vec![Fault {
                check: "moved".into(),
                title: gridwatch::config::Text { zh: "画面移位".into(), en: "camera moved".into() },
                reason: None,
                since: Some(Timestamp::now()),
            }],
        });
    }
    dispatch.forget_camera(&"camera-0".into());
    drained(&store);
    dispatch.stop(Duration::from_secs(5));
    let heard = listener.until(|m| m.topic == format!("{BASE}/status") && m.json()["state"] == "offline");
    check_against_the_contract(&heard);
    let got: Vec<_> = statements(&heard).into_iter().map(|event| event.data).collect();
    assert_eq!(got, said);
    let reasons: Vec<_> = got.iter().filter_map(|incident| incident.closed_reason).collect();
    assert_eq!(reasons, [ClosedReason::Cleared, ClosedReason::Instant, ClosedReason::CameraLost]);
    assert!(heard.iter().any(|m| m.topic.ends_with("camera-0/status") && m.payload.is_empty()));
}

#[test]
fn pictures_then_the_statement_that_cites_them() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, "#");
    let store = site.store();
    let dispatch = dispatch(&site, &store);
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 3);
    let last = format!("{}/5", said[0].incident);
    let heard = listener.until(|m| m.topic.contains("/incidents/") && m.json()["id"] == last.as_str());
    drained(&store);

    let mut pictures = BTreeMap::new();
    let mut cited = 0;
    for message in &heard {
        assert!(!message.retained || message.topic.ends_with("/status"));
        if message.topic.contains("/evidence/") {
            pictures.insert(message.topic.clone(), hex::encode(Sha256::digest(&message.payload)));
        } else if message.topic.contains("/incidents/") {
            assert_eq!(message.topic, format!("{BASE}/cameras/gate/incidents/fire_lane"));
            let event: IncidentEvent = serde_json::from_slice(&message.payload).expect("an incident");
            for (n, evidence) in event.data.evidence.iter().enumerate() {
                let topic = evidence.topic.as_deref().expect("published");
                assert_eq!(topic, format!("{BASE}/cameras/gate/evidence/{}/{}.jpg", said[0].incident, n + 1));
                assert_eq!(pictures.get(topic), Some(&evidence.sha256), "the picture comes first");
                cited += 1;
            }
        }
    }
    assert_eq!(pictures.len(), 4);
    assert_eq!(cited, 1 + 2 + 3 + 4 + 4);
    let got: Vec<_> = statements(&heard).into_iter().map(|event| event.data).collect();
    assert_eq!(got, said);
    assert_eq!(dispatch.stats().acknowledged, 5 + 4);
    dispatch.stop(Duration::from_secs(5));
}

#[test]
fn a_broker_that_is_down_at_first_gets_everything_later() {
    if !broker::installed() {
        return;
    }
    let port = free_port();
    let site = Site::new(Some(port));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let dispatch = dispatch(&site, &store);
    let said = site.play(&mut incidents, "gate", 0.0, 12);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!dispatch.stats().connected);
    // The listener must be there before the first message: the broker is another one until then.
    drop(dispatch);
    let _broker = Broker::start_on(port);
    let listener = Listener::start(port, "#");
    let dispatch = self::dispatch(&site, &store);
    let last = format!("{}/14", said[0].incident);
    let heard = listener.until(|m| m.topic.contains("/incidents/") && m.json()["id"] == last.as_str());
    assert_eq!(statements(&heard).len(), 14);
    drained(&store);
    drop(dispatch);
}

#[test]
fn statuses_are_retained_and_the_will_says_offline() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let store = site.store();
    let ghost = format!("{BASE}/cameras/of-yesterday/status");
    broker.publish(&ghost, b"{}", true);
    let dispatch = dispatch(&site, &store);
    let status = |state| CameraStatus {
        camera: "gate".into(),
        name: "gate camera".into(),
        state,
        detail: None,
        since: Timestamp::now(),
        checks: std::collections::BTreeMap::new(),
        faults: Vec::new(),
    };
    dispatch.set_camera_status(status(CameraState::Connecting));
    dispatch.set_camera_status(status(CameraState::Online));
    wait("connected", || dispatch.stats().connected);

    let camera = format!("{BASE}/cameras/gate/status");
    let listener = Listener::start(broker.port, "#");
    let online = |m: &Heard| m.topic == camera && m.json()["state"] == "online";
    let heard = listener.until(online);
    let node = format!("{BASE}/status");
    let alive = heard.iter().find(|m| m.topic == node).cloned();
    let alive = alive.unwrap_or_else(|| listener.until(|m| m.topic == node).pop().expect("one"));
    assert_eq!(alive.json()["state"], "online");

    // Retained: who comes later hears it too.
    let late = Listener::start(broker.port, &format!("{BASE}/#"));
    assert!(late.until(online).last().expect("one").retained);
    // What an earlier config left there is not.
    wait("the ghost is gone", || {
        let again = Listener::start(broker.port, &format!("{BASE}/#"));
        !again.rest(Duration::from_millis(100)).iter().any(|m| m.topic == ghost)
    });

    // In order.
    dispatch.stop(Duration::from_secs(5));
    let states: Vec<_> = listener
        .until(|m| m.topic == node && m.json()["state"] == "offline")
        .iter()
        .filter(|m| m.topic == node)
        .map(|m| m.json()["state"].as_str().expect("a state").to_owned())
        .collect();
    assert_eq!(states, ["draining", "offline"]);

    // Without order: the will.
    let again = self::dispatch(&site, &store);
    listener.until(|m| m.topic == node && m.json()["state"] == "online");
    drop(again);
    let will = listener.until(|m| m.topic == node && m.json()["state"] == "offline").pop().expect("one");
    assert_ne!(will.json()["boot"], alive.json()["boot"]);
}

/// A node is started again while the broker still holds the connection of the process before it.
#[test]
fn a_late_will_cannot_kill_a_newer_session() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let node = format!("{BASE}/status");
    for version in ["3.1.1", "5"] {
        let proxy = Proxy::start();
        proxy.lead_to(Some(broker.port));
        let old_site = Site::speaking(proxy.port, version);
        let old = dispatch(&old_site, &old_site.store());
        wait("the old one is connected", || old.stats().connected);
        let listener = Listener::start(broker.port, &node);
        let says = |m: &Heard, state: &str| m.topic == node && m.json()["state"] == state;
        let first = listener.until(|m| says(m, "online")).pop().expect("one").json();
        // It cannot come back to take the session back.
        proxy.lead_to(None);
        let new_site = Site::speaking(broker.port, version);
        let new = dispatch(&new_site, &new_site.store());
        let taken_over = listener.until(|m| says(m, "online") && m.json()["boot"] != first["boot"]);
        let boot = taken_over.last().expect("one").json()["boot"].clone();
        // Mosquitto says no will when a session is taken over; others do, some after the fact.
        let mut will = first.clone();
        will["state"] = "offline".into();
        broker.publish(&node, will.to_string().as_bytes(), true);
        listener.until(|m| says(m, "offline"));
        listener.until(|m| says(m, "online") && m.json()["boot"] == boot);
        let late = Listener::start(broker.port, &node);
        let kept = late.until(|m| m.retained).pop().expect("one").json();
        assert_eq!((&kept["state"], &kept["boot"]), (&"online".into(), &boot), "MQTT {version}");
        drop(old);
        new.stop(Duration::from_secs(5));
        let after = listener.until(|m| says(m, "offline"));
        assert_eq!(after.last().expect("one").json()["boot"], boot);
        assert!(listener.rest(Duration::from_millis(300)).is_empty(), "it does not contradict itself");
    }
}

#[test]
fn verdicts_come_back_once_also_from_while_we_were_away() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 0);
    let incident = said[0].incident;
    let dispatch = dispatch(&site, &store);
    drained(&store);
    let topic = format!("{BASE}/verdict/{incident}");
    let accepted = br#"{"verdict":"accepted","case_id":"2026-1","office":"unknown to us"}"#;
    broker.publish(&topic, accepted, true);
    wait("the verdict is stored", || dispatch.stats().verdicts == 1);
    for (topic, payload) in [
        (topic.clone(), b"{".to_vec()),
        (topic.clone(), vec![0xff; 100_000]),
        (format!("{BASE}/verdict/none"), accepted.to_vec()),
        (format!("{BASE}/verdict/01939e6a-0000-7000-8000-000000000001"), accepted.to_vec()),
        (topic.clone(), Vec::new()),
    ] {
        broker.publish(&topic, &payload, false);
    }
    wait("the others are refused", || dispatch.stats().verdicts_refused == 4);
    dispatch.stop(Duration::from_secs(5));

    // The broker keeps for us what comes while we are away; the retained one comes again and counts once.
    broker.publish(&topic, br#"{"verdict":"false_alarm","note":"a shadow"}"#, false);
    let dispatch = self::dispatch(&site, &store);
    wait("the second verdict is stored", || dispatch.stats().verdicts >= 1);
    let kinds = || -> Vec<Verdict> {
        store.verdicts(incident).expect("verdicts").into_iter().map(|v| v.verdict).collect()
    };
    wait("both are there", || kinds().iter().any(|v| v.verdict == VerdictKind::FalseAlarm));
    dispatch.stop(Duration::from_secs(5));
    let decided: Vec<_> = kinds().iter().map(|v| v.verdict).collect();
    assert_eq!(decided, [VerdictKind::Accepted, VerdictKind::FalseAlarm]);
    assert_eq!(kinds()[0].case_id.as_deref(), Some("2026-1"));

    // More at once than any queue here is long.
    for n in 0..200 {
        let note = format!(r#"{{"verdict":"resolved","note":"{n}"}}"#);
        broker.publish(&topic, note.as_bytes(), false);
    }
    let dispatch = self::dispatch(&site, &store);
    wait("the last of many", || kinds().iter().any(|v| v.note.as_deref() == Some("199")));
    assert_eq!(dispatch.stats().connections, 1);
}

#[test]
fn a_refused_password_is_said_and_tried_again() {
    if !broker::installed() {
        return;
    }
    let port = free_port();
    let mqtt = |password: &str| {
        format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"city/grid\"\nusername = \"box\"\npassword = \"{password}\"\n"
        )
    };
    // A broker that knows nobody.
    let _broker =
        Broker::start_with(port, "allow_anonymous false\npassword_file DIR/passwd\n", &[("passwd", "")]);
    let site = Site::with(&mqtt("secret"));
    let store = site.store();
    let dispatch = dispatch(&site, &store);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(dispatch.stats().connections, 0);
    let began = Instant::now();
    dispatch.stop(Duration::ZERO);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn without_a_broker_incidents_stay_in_the_store() {
    let site = Site::new(None);
    let store = site.store();
    assert!(Dispatch::start(&site.config, store.clone()).expect("no error").is_none());
    let mut incidents = site.incidents(&store);
    let (camera, zone) = site.camera("gate");
    let seen = site.observation(Stage::Confirmed, 0.0, 300.0);
    incidents.observe(camera, zone, &seen, None, Vec::new(), Timestamp::now()).expect("observed");
    assert_eq!(store.open_incidents().expect("read").len(), 1);
    assert_eq!(store.outbox_size().expect("read").rows, 0);
}

#[test]
fn a_full_batch_follows_a_burst_of_arrivals_on_one_connection() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let store = site.store();
    // What arrives at once on connecting, and is acknowledged without an answer.
    for n in 0..40 {
        broker.publish(&format!("{BASE}/verdict/nobody-{n}"), b"{}", true);
    }
    let mut incidents = site.incidents(&store);
    for camera in ["gate", "market"] {
        site.play(&mut incidents, camera, 0.0, 12);
    }
    let dispatch = dispatch(&site, &store);
    drained(&store);
    assert_eq!(dispatch.stats().connections, 1);
}
