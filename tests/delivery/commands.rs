//! Commands besides polls: what they do, and what they cannot.

use std::time::Duration;

use gridwatch::dispatch::Dispatch;
use gridwatch::event::command::{Command, CommandName, CommandReply, Refusal};
use gridwatch::event::{
    CheckedPoll, ClosedReason, NodeState, NodeStatus, PollDone, PollReply, RecheckEvent, RecheckOutcome,
    Reloaded,
};
use gridwatch::observation::Stage;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::broker::{self, Broker, Heard, Listener};
use crate::site::{BASE, Site, wait};
use crate::{check_against_the_contract, dispatch, drained};

fn ask(broker: &Broker, name: &str, command: &Value) {
    broker.publish(&format!("{BASE}/command/{name}"), command.to_string().as_bytes(), false);
}

/// The next reply to a command of this name.
fn reply(listener: &Listener, name: &str) -> Value {
    let heard = listener.until(|m| m.topic == format!("{BASE}/reply/{name}"));
    check_against_the_contract(&heard);
    heard.last().expect("one").json()
}

fn connected(dispatch: &Dispatch) {
    wait("connected", || dispatch.stats().connected);
}

#[test]
fn commands_that_cannot_be_are_refused_with_a_reason() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    // Kept by the broker from before: it would be carried out on every connection.
    broker.publish(&format!("{BASE}/command/disarm"), br#"{"id":"old","camera":"gate"}"#, true);
    let listener = Listener::start(broker.port, &format!("{BASE}/reply/#"));
    let store = site.store();
    let dispatch = dispatch(&site, &store);
    let _ends = (dispatch.polls(), dispatch.commands());
    connected(&dispatch);
    let unknown = "01939e6a-0000-7000-8000-000000000001";
    for (name, command, refused) in [
        ("snapshot", json!({"id": "1", "camera": "/etc/passwd"}), "unknown_camera"),
        ("snapshot", json!({"id": "2", "camera": "gate", "url": "rtsp://10.0.0.1/"}), "malformed"),
        ("recheck", json!({"id": "3", "incident": unknown}), "unknown_incident"),
        ("recheck", json!({"id": "4", "incident": "passwd"}), "malformed"),
        ("arm", json!({"id": "5", "camera": "passwd"}), "unknown_camera"),
        ("arm", json!({"id": "6", "camera": "gate", "zone": "passwd"}), "unknown_zone"),
        ("disarm", json!({"id": "7", "camera": "gate", "for_s": 0}), "malformed"),
        ("disarm", json!({"id": "8", "camera": "gate", "for_s": 1_u64 << 60}), "malformed"),
        ("disarm", json!({"id": "9", "camera": "gate", "for_s": -1}), "malformed"),
        ("reload", json!({"id": "10", "file": "/etc/passwd"}), "malformed"),
        ("confirm-view", json!({"id": "11", "camera": "passwd"}), "unknown_camera"),
        ("confirm-view", json!({"id": "passwd/..", "camera": "gate"}), "malformed"),
        ("confirm-view", json!(["passwd"]), "malformed"),
    ] {
        ask(&broker, name, &command);
        let reply = reply(&listener, name);
        assert_eq!(reply["refused"], refused, "{name} {command}");
        assert!(!reply.to_string().contains("passwd") && !reply.to_string().contains("rtsp"), "{reply}");
    }
    assert!(store.disarmed().expect("read").is_empty());
    // So many a minute, whatever is asked; then it is busy.
    let mut outcomes = Vec::new();
    for n in 0..8 {
        ask(&broker, "reload", &json!({"id": format!("r{n}")}));
        let reply = reply(&listener, "reload");
        outcomes.push(reply["refused"].as_str().unwrap_or("accepted").to_owned());
    }
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "accepted").count(), 5);
    assert_eq!(outcomes[5..], ["busy", "busy", "busy"]);
    // A name that nobody knows is not answered.
    ask(&broker, "format", &json!({"id": "f"}));
    ask(&broker, "snapshot", &json!({"id": "last", "camera": "nobody"}));
    let heard = listener.until(|m| m.topic.ends_with("/reply/snapshot"));
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[test]
fn what_the_daemon_is_to_do_reaches_it_once_and_is_answered() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, "#");
    let store = site.store();
    let dispatch = dispatch(&site, &store);
    connected(&dispatch);
    ask(&broker, "reload", &json!({"id": "0"}));
    assert_eq!(reply(&listener, "reload")["refused"], "busy", "nobody takes it yet");
    let mut commands = dispatch.commands().expect("the first to ask");
    let mut polls = dispatch.polls().expect("the first to ask");
    ask(&broker, "reload", &json!({"id": "1"}));
    ask(&broker, "reload", &json!({"id": "1"}));
    ask(&broker, "confirm-view", &json!({"id": "1", "camera": "gate"}));
    assert_eq!(reply(&listener, "reload")["outcome"], "accepted");
    assert_eq!(reply(&listener, "confirm-view")["outcome"], "accepted");
    assert_eq!(commands.blocking_recv(), Some(Command::Reload { id: "1".into() }));
    assert_eq!(
        commands.blocking_recv(),
        Some(Command::ConfirmView { id: "1".into(), camera: "gate".into() })
    );
    dispatch.answer(CommandName::Reload, &CommandReply::refused(Some("1".into()), Refusal::Failed, "line 3"));
    let failed = reply(&listener, "reload");
    assert_eq!((&failed["outcome"], &failed["refused"]), (&json!("refused"), &json!("failed")));
    ask(&broker, "reload", &json!({"id": "1"}));
    assert_eq!(reply(&listener, "reload"), failed, "as before");
    assert!(commands.try_recv().is_err(), "and not again");

    // A snapshot is a poll of one, answered where it was asked for.
    ask(&broker, "snapshot", &json!({"id": "s", "camera": "tower"}));
    assert_eq!(polls.blocking_recv(), Some(CheckedPoll { id: "s".into(), cameras: vec!["tower".into()] }));
    dispatch.reply(PollReply::Done(PollDone { id: "s".into(), done: true, answered: 0, missing: 1 }));
    assert_eq!(reply(&listener, "snapshot")["done"], true);
    ask(&broker, "snapshot", &json!({"id": "s", "camera": "tower"}));
    assert_eq!(reply(&listener, "snapshot")["done"], true, "only the last word again");
    assert!(polls.try_recv().is_err());

    // What became of a reload is in the node's status, and what the new config has can be named.
    let other =
        Site::with(&format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nroot = \"city/grid\"\n", broker.port));
    let mut config = gridwatch::config::Config::clone(&other.config);
    config.cameras.retain(|camera| camera.id.as_str() != "tower");
    config.revision = "another".into();
    dispatch.reconfigure(&config);
    let reloaded = Reloaded { at: Timestamp::now(), applied: true, detail: "1 camera less".into() };
    dispatch.set_reloaded(reloaded.clone());
    let status = |m: &Heard| -> Option<NodeStatus> {
        (m.topic == format!("{BASE}/status")).then(|| serde_json::from_slice(&m.payload).expect("a status"))
    };
    let told = |m: &Heard| {
        status(m).is_some_and(|s| s.reload.as_ref() == Some(&reloaded) && s.config_revision == "another")
    };
    check_against_the_contract(&listener.until(told));
    let late = Listener::start(broker.port, &format!("{BASE}/status"));
    assert_eq!(status(&late.until(told)[0]).map(|s| s.state), Some(NodeState::Online), "retained");
    ask(&broker, "snapshot", &json!({"id": "t", "camera": "tower"}));
    assert_eq!(reply(&listener, "snapshot")["refused"], "unknown_camera");
}

#[test]
fn disarmed_zones_close_and_stay_shut_over_restarts() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, &format!("{BASE}/reply/#"));
    let now = site.at(0.0).wall;
    let see = |incidents: &mut gridwatch::incident::Incidents, from: f64| {
        let (camera, zone) = site.camera("gate");
        let seen = site.observation(Stage::Confirmed, from, from + 1.0);
        incidents.observe(camera, zone, &seen, None, Vec::new(), seen.at.wall).expect("observed")
    };
    {
        let store = site.store();
        let mut incidents = site.incidents(&store);
        let dispatch = dispatch(&site, &store);
        connected(&dispatch);
        assert_eq!(see(&mut incidents, 0.0).len(), 1);
        ask(&broker, "disarm", &json!({"id": "1", "camera": "gate", "for_s": 3_600}));
        assert_eq!(reply(&listener, "disarm")["outcome"], "done");
        let closed = incidents.tick(now).expect("written");
        assert_eq!(
            closed.iter().map(|i| i.closed_reason).collect::<Vec<_>>(),
            [Some(ClosedReason::Disarmed)]
        );
        assert!(see(&mut incidents, 10.0).is_empty());
    }
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let dispatch = dispatch(&site, &store);
    connected(&dispatch);
    let (camera, zone) = site.camera("gate");
    assert!(incidents.is_disarmed(&camera.id, &zone.id, now));
    assert!(
        !incidents.is_disarmed(&camera.id, &zone.id, now + SignedDuration::from_hours(2)),
        "its time is over"
    );
    assert!(see(&mut incidents, 20.0).is_empty());
    let (other, vending) = site.camera("market");
    assert!(!incidents.is_disarmed(&other.id, &vending.id, now));
    ask(&broker, "arm", &json!({"id": "2", "camera": "gate", "zone": "zone"}));
    assert_eq!(reply(&listener, "arm")["outcome"], "done");
    assert!(incidents.tick(now).expect("written").is_empty());
    assert_eq!(see(&mut incidents, 30.0).len(), 1);
}

/// From `resolved` to the published re-check, with the process gone while it waits.
#[test]
fn a_recheck_waits_for_its_look_and_is_said_once() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, "#");
    let (resolved, fall) = {
        let store = site.store();
        let mut incidents = site.incidents(&store);
        let dispatch = dispatch(&site, &store);
        let mut told = store.recheck_changes();
        let resolved = site.play(&mut incidents, "gate", 0.0, 0)[0].incident;
        let (camera, zone) = site.camera("tower");
        let thrown = site.thrown(0.0);
        let fall =
            incidents.observe(camera, zone, &thrown, None, Vec::new(), thrown.at.wall).expect("observed");
        let verdict = format!("{BASE}/verdict/{resolved}");
        broker.publish(&verdict, br#"{"verdict":"resolved","case_id":"2026-7"}"#, false);
        let heard = listener.until(|m| m.topic.ends_with("/reply/verdict"));
        assert!(
            heard.last().expect("one").json()["detail"].as_str().expect("words").contains("looked at again")
        );
        assert!(told.has_changed().expect("the store is open"));
        told.mark_unchanged();
        // The same again, by a command: one look answers both. And one that no look can answer.
        for (id, incident) in [("a", resolved), ("b", fall[0].incident)] {
            ask(&broker, "recheck", &json!({"id": id, "incident": incident}));
            assert_eq!(reply(&listener, "recheck")["outcome"], "accepted");
        }
        drop(dispatch);
        (resolved, fall[0].incident)
    };
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let now = Timestamp::now();
    assert_eq!(store.pending_rechecks().expect("read").len(), 2);
    let pending = incidents.rechecks(now).expect("written");
    assert_eq!(pending.len(), 1, "the fall was answered at once");
    assert_eq!((pending[0].incident.incident, pending[0].case_id.as_deref()), (resolved, Some("2026-7")));
    let picture = vec![site.snapshot("again", 1_000)];
    let said = incidents.rechecked(resolved, RecheckOutcome::Cleared, None, picture, now).expect("written");
    assert!(said.is_some());
    let again = incidents.rechecked(resolved, RecheckOutcome::StillPresent, None, Vec::new(), now);
    assert_eq!(again.expect("no error"), None, "said once");
    assert!(store.pending_rechecks().expect("read").is_empty());

    let dispatch = dispatch(&site, &store);
    drained(&store);
    let heard = listener.until(|m| m.topic == format!("{BASE}/cameras/gate/rechecks/{resolved}"));
    check_against_the_contract(&heard);
    let events: Vec<RecheckEvent> = heard
        .iter()
        .filter(|m| m.topic.contains("/rechecks/"))
        .map(|m| serde_json::from_slice(&m.payload).expect("a re-check"))
        .collect();
    let outcomes: Vec<_> = events.iter().map(|e| (e.data.incident, e.data.outcome)).collect();
    assert_eq!(outcomes, [(fall, RecheckOutcome::Unknown), (resolved, RecheckOutcome::Cleared)]);
    assert!(events[0].data.why.is_some());
    let cleared = &events[1].data;
    assert_eq!((cleared.case_id.as_deref(), cleared.command.as_deref()), (Some("2026-7"), Some("a")));
    let topic = cleared.evidence[0].topic.as_deref().expect("published");
    assert!(heard.iter().any(|m| m.topic == topic && m.payload.len() == 1_000), "the picture comes first");
    dispatch.stop(Duration::from_secs(5));
}
