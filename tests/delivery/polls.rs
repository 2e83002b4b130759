//! Polls: commands in, one message per camera out.

use std::time::Duration;

use gridwatch::dispatch::Dispatch;
use gridwatch::event::{CheckedPoll, PollDone, PollMiss, PollMissing, PollPicture, PollReply};
use gridwatch::frame::CameraId;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::broker::{self, Broker, Listener};
use crate::site::{BASE, Site, wait};
use crate::{check_against_the_contract, dispatch};

struct Node {
    broker: Broker,
    site: Site,
    listener: Listener,
    dispatch: Dispatch,
    polls: Receiver<CheckedPoll>,
}

impl Node {
    fn start() -> Self {
        let broker = Broker::start();
        // Retained: it would be carried out on every connection.
        broker.publish(&format!("{BASE}/command/poll"), br#"{"id":"old","group":"square"}"#, true);
        let site = Site::new(Some(broker.port));
        let listener = Listener::start(broker.port, "#");
        let store = site.store();
        let dispatch = dispatch(&site, &store);
        let polls = dispatch.polls().expect("the first to ask");
        assert!(dispatch.polls().is_none());
        wait("connected", || dispatch.stats().connected);
        Self { broker, site, listener, dispatch, polls }
    }

    fn ask(&self, command: &[u8]) {
        self.broker.publish(&format!("{BASE}/command/poll"), command, false);
    }

    /// The next reply.
    fn reply(&self) -> Value {
        let heard = self.listener.until(|m| m.topic == format!("{BASE}/reply/poll"));
        check_against_the_contract(&heard);
        heard[heard.len() - 1].json()
    }

    /// The next poll: its id and its cameras.
    fn command(&mut self) -> (String, Vec<CameraId>) {
        let CheckedPoll { id, cameras } = self.polls.blocking_recv().expect("a poll");
        (id, cameras)
    }

    fn done(&self, id: &str) {
        self.dispatch.reply(PollReply::Done(PollDone { id: id.into(), done: true, answered: 0, missing: 0 }));
    }
}

#[test]
fn a_poll_is_answered_camera_by_camera() {
    if !broker::installed() {
        return;
    }
    let mut node = Node::start();
    node.ask(br#"{"id":"2026-1","group":"square"}"#);
    assert_eq!(node.command(), ("2026-1".to_owned(), vec!["gate".into(), "market".into()]));
    let evidence = node.site.snapshot("polled", 3_000);
    let id = || "2026-1".to_owned();
    let captured = node.site.at(1.0).wall;
    let picture = PollPicture { id: id(), camera: "gate".into(), captured, age_s: 0.7, evidence };
    let gone = PollPicture {
        evidence: gridwatch::event::EvidenceRef {
            path: "../gridwatch.toml".into(),
            ..picture.evidence.clone()
        },
        ..picture.clone()
    };
    let missing = PollMissing { id: id(), camera: "market".into(), missing: PollMiss::Offline };
    for reply in [
        PollReply::Picture(picture.clone()),
        PollReply::Missing(missing),
        PollReply::Picture(gone),
        PollReply::Done(PollDone { id: id(), done: true, answered: 1, missing: 1 }),
    ] {
        node.dispatch.reply(reply);
    }
    let heard = node.listener.until(|m| m.topic.ends_with("/reply/poll") && m.json()["done"] == true);
    check_against_the_contract(&heard);
    let heard: Vec<_> = heard.iter().filter(|m| !m.topic.ends_with("/status")).collect();
    let topics: Vec<&str> = heard.iter().map(|m| &m.topic[BASE.len() + 1..]).collect();
    let reply = "reply/poll";
    let polled = "cameras/gate/polled/2026-1.jpg";
    assert_eq!(topics[1..], ["command/poll", polled, reply, reply, reply, reply], "the picture comes first");
    let heard = &heard[1..];
    assert_eq!(heard[1].payload.len(), 3_000);
    assert_eq!(heard[2].json()["evidence"]["topic"], format!("{BASE}/{polled}"));
    assert_eq!(heard[2].json()["evidence"]["sha256"], picture.evidence.sha256);
    assert_eq!(heard[3].json(), json!({"id": "2026-1", "camera": "market", "missing": "offline"}));
    assert_eq!(
        heard[4].json()["evidence"]["topic"],
        Value::Null,
        "nothing outside of the data directory is sent"
    );
    assert_eq!(heard[5].json(), json!({"id": "2026-1", "done": true, "answered": 1, "missing": 1}));
    assert!(heard.iter().all(|m| !m.retained));
}

#[test]
fn polls_that_cannot_be_are_refused_with_a_reason() {
    if !broker::installed() {
        return;
    }
    let mut node = Node::start();
    let long = format!(r#"{{"id":"l","cameras":["{}"]}}"#, "x".repeat(300_000));
    for (command, id, refused) in [
        ("{", Value::Null, "malformed"),
        ("[]", Value::Null, "malformed"),
        (r#"{"group":"square"}"#, Value::Null, "malformed"),
        (r#"{"id":"","group":"square"}"#, Value::Null, "malformed"),
        (r#"{"id":"a/b","group":"square"}"#, Value::Null, "malformed"),
        (r#"{"id":"a","group":"square","url":"rtsp://10.0.0.1/"}"#, json!("a"), "malformed"),
        (r#"{"id":"b"}"#, json!("b"), "malformed"),
        (r#"{"id":"c","group":"square","cameras":["gate"]}"#, json!("c"), "malformed"),
        (r#"{"id":"d","group":"nobody"}"#, json!("d"), "unknown_group"),
        (r#"{"id":"e","cameras":[]}"#, json!("e"), "unknown_camera"),
        (r#"{"id":"f","cameras":["gate","/etc/passwd"]}"#, json!("f"), "unknown_camera"),
        (&long, Value::Null, "malformed"),
    ] {
        node.ask(command.as_bytes());
        let reply = node.reply();
        assert_eq!((&reply["id"], reply["refused"].as_str()), (&id, Some(refused)), "{command:.60}");
        let detail = reply["detail"].as_str().expect("words");
        assert!(!detail.is_empty() && !detail.contains("passwd") && !detail.contains("rtsp"), "{detail}");
    }
    // One at work and four that wait; those that come twice are the same.
    for n in [0, 1, 2, 2, 3, 4, 5] {
        node.ask(format!(r#"{{"id":"p-{n}","cameras":["tower","gate","tower"]}}"#).as_bytes());
    }
    let reply = node.reply();
    assert_eq!((&reply["id"], &reply["refused"]), (&json!("p-5"), &json!("busy")));
    let asked: Vec<(String, Vec<CameraId>)> = (0..5).map(|_| node.command()).collect();
    assert_eq!(asked[2], ("p-2".to_owned(), vec!["tower".into(), "gate".into()]));
    node.done("p-0");
    assert_eq!(node.reply()["done"], true);
    node.ask(br#"{"id":"p-6","group":"square"}"#);
    assert_eq!(node.command().0, "p-6");
    node.dispatch.stop(Duration::from_secs(5));
}
