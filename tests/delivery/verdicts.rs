//! Verdicts in, acknowledgements out, and what they do to incidents.

use gridwatch::event::{ClosedReason, Incident, Phase, VerdictKind};
use gridwatch::observation::Stage;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::broker::{self, Broker, Heard, Listener};
use crate::site::{BASE, Site};
use crate::{check_against_the_contract, dispatch, drained, statements};

/// Everything up to the next acknowledgement, and that.
fn acknowledged(listener: &Listener) -> (Vec<Heard>, Value) {
    let heard = listener.until(|m| m.topic == format!("{BASE}/reply/verdict"));
    check_against_the_contract(&heard);
    let reply = heard.last().expect("one").json();
    (heard, reply)
}

#[test]
fn every_verdict_is_acknowledged_without_an_echo() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, &format!("{BASE}/reply/#"));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let id = site.play(&mut incidents, "gate", 0.0, 0)[0].incident;
    let dispatch = dispatch(&site, &store);
    drained(&store);
    let unknown = "01939e6a-0000-7000-8000-000000000001";
    let long_case = format!(r#"{{"verdict":"accepted","case_id":"{}"}}"#, "secret".repeat(30));
    let long = format!(r#"{{"verdict":"accepted","note":"{}"}}"#, "secret".repeat(4_000));
    for (place, payload, incident, outcome) in [
        (id.to_string(), r#"{"verdict":"accepted","case_id":"7"}"#, json!(id), "stored"),
        (id.to_string(), r#"{"verdict":"accepted","case_id":"7"}"#, json!(id), "repeated"),
        (id.to_string(), r#"{"verdict":"ignored"}"#, json!(id), "stored"),
        (unknown.into(), r#"{"verdict":"accepted"}"#, json!(unknown), "unknown_incident"),
        ("secret".into(), r#"{"verdict":"accepted"}"#, Value::Null, "malformed"),
        (id.to_string(), r#"{"verdict":"secret"}"#, json!(id), "malformed"),
        (id.to_string(), "secret", json!(id), "malformed"),
        (id.to_string(), &long_case, json!(id), "malformed"),
        (id.to_string(), &long, json!(id), "malformed"),
    ] {
        broker.publish(&format!("{BASE}/verdict/{place}"), payload.as_bytes(), false);
        let (_, reply) = acknowledged(&listener);
        assert_eq!((&reply["incident"], &reply["outcome"]), (&incident, &json!(outcome)), "{payload:.60}");
        let detail = reply["detail"].as_str().expect("words");
        assert!(!detail.is_empty() && !reply.to_string().contains("secret"), "{reply}");
    }
    assert_eq!(store.verdicts(id).expect("read").len(), 2);
    assert_eq!((dispatch.stats().verdicts, dispatch.stats().verdicts_refused), (2, 6));
}

/// From the platform's word to the closed incident and the quiet place, with the process gone at every step between.
#[test]
fn a_false_alarm_closes_and_keeps_quiet_over_restarts() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let listener = Listener::start(broker.port, "#");
    let (opened, mut heard) = {
        let store = site.store();
        let mut incidents = site.incidents(&store);
        let (camera, zone) = site.camera("gate");
        let seen = site.observation(Stage::Confirmed, 0.0, 1.0);
        let dispatch = dispatch(&site, &store);
        let opened =
            incidents.observe(camera, zone, &seen, None, Vec::new(), seen.at.wall).expect("observed");
        let topic = format!("{BASE}/verdict/{}", opened[0].incident);
        broker.publish(&topic, br#"{"verdict":"accepted","case_id":"2026-1"}"#, false);
        let (heard, reply) = acknowledged(&listener);
        assert_eq!(reply["outcome"], "stored");
        let said = incidents.tick(Timestamp::now()).expect("written");
        assert_eq!(said.len(), 1);
        broker.publish(&topic, br#"{"verdict":"false_alarm","case_id":"2026-1"}"#, false);
        let (more, _) = acknowledged(&listener);
        // Acknowledged to the platform; the process is gone before it acted upon it.
        drop(dispatch);
        (opened[0].clone(), [heard, more].concat())
    };
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let dispatch = dispatch(&site, &store);
    drained(&store);
    let last = format!("{}/3", opened.incident);
    heard.extend(listener.until(|m| m.topic.contains("/incidents/") && m.json()["id"] == last.as_str()));
    check_against_the_contract(&heard);
    let said: Vec<Incident> = statements(&heard).into_iter().map(|event| event.data).collect();
    let closed = said.last().expect("one");
    assert_eq!((closed.phase, closed.closed_reason), (Phase::Closed, Some(ClosedReason::FalseAlarm)));
    let verdict = closed.verdict.as_ref().expect("carried");
    assert_eq!((verdict.verdict, verdict.case_id.as_deref()), (VerdictKind::FalseAlarm, Some("2026-1")));

    let (camera, zone) = site.camera("gate");
    let mut seen = site.observation(Stage::Confirmed, 5.0, 250.0);
    assert!(incidents.is_quiet(camera, zone, &seen, seen.at.wall));
    assert!(
        incidents.observe(camera, zone, &seen, None, Vec::new(), seen.at.wall).expect("observed").is_empty()
    );
    // A car in the lane beside the shadow.
    seen.objects[0].bbox.x0 = 0.6;
    seen.objects[0].bbox.x1 = 0.8;
    let opened = incidents.observe(camera, zone, &seen, None, Vec::new(), seen.at.wall).expect("observed");
    assert_eq!((opened.len(), opened[0].recurrence), (1, None), "the false alarm does not count");
    drop(dispatch);
}
