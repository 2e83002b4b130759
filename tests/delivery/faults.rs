//! What a broker, a network or a power cut can do to the delivery.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gridwatch::event::IncidentEvent;
use gridwatch::store::{FILE, Store};

use super::broker::{self, Broker, Listener};
use super::proxy::Proxy;
use super::scripted::{Act, Scripted, Taken};
use super::site::{Site, wait};
use super::{dispatch, drained, statements};

/// What must arrive for `said`: per message a key, in order.
fn keys(taken: &[Taken]) -> Vec<String> {
    let mut keys = Vec::new();
    for message in taken {
        let key = match serde_json::from_slice::<IncidentEvent>(&message.payload) {
            Ok(event) => event.id,
            Err(_) => message.topic.clone(),
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[test]
fn whatever_a_broker_does_all_arrives_in_order() {
    use Act::*;
    let scripts = [
        ("obeys", vec![Obey]),
        ("hangs up in mid-batch", vec![HangUpAt(1), HangUpAt(3), HangUpAt(20), Obey]),
        ("acknowledges nothing, then hangs up", vec![SwallowThenHangUp(1), SwallowThenHangUp(7), Obey]),
        ("acknowledges the wrong way round", vec![Reversed]),
        ("acknowledges twice", vec![Twice, Twice, Obey]),
        ("acknowledges late", vec![Late(20)]),
        ("refuses", vec![Refuse(5), Refuse(3), Obey]),
        ("is no broker", vec![Garbage, GarbageLater, Obey]),
    ];
    std::thread::scope(|scope| {
        for ((name, script), version) in scripts.iter().flat_map(|s| [(s, "3.1.1"), (s, "5")]) {
            scope.spawn(move || {
                let last = script.len() - 1;
                let broker = Scripted::start(script.clone());
                let site = Site::speaking(broker.port, version);
                let store = site.store();
                let mut incidents = site.incidents(&store);
                let mut said = site.play(&mut incidents, "gate", 0.0, 6);
                said.extend(site.play(&mut incidents, "market", 100.0, 6));
                let rows = store.outbox_size().expect("a size").rows;
                assert_eq!(rows, 2 * (8 + 7));
                let dispatch = dispatch(&site, &store);
                drained(&store);
                let taken = broker.taken();
                // Every message once at least, first arrivals in the order of the outbox.
                let want: Vec<String> = said
                    .chunks(8)
                    .flat_map(|chunk| {
                        chunk.iter().flat_map(|incident| {
                            let id = format!("{}/{}", incident.incident, incident.seq);
                            let closed = incident.closed_at.is_some();
                            let picture = incident.evidence.last().and_then(|e| e.topic.clone());
                            picture.filter(|_| !closed).into_iter().chain([id])
                        })
                    })
                    .collect();
                assert_eq!(keys(&taken), want, "{name}, {version}");
                // What was not acknowledged came again.
                for message in taken.iter().filter(|m| !m.acknowledged) {
                    assert!(
                        taken.iter().any(|m| m.acknowledged
                            && m.payload == message.payload
                            && m.topic == message.topic),
                        "{name}, {version}: {} was never acknowledged",
                        message.topic
                    );
                }
                assert!(
                    taken.iter().any(|m| m.connection >= last),
                    "{name}, {version}: the script was played"
                );
                assert_eq!(dispatch.stats().undeliverable, 0, "{name}, {version}");
                dispatch.stop(Duration::ZERO);
            });
        }
    });
}

/// In MQTT 5 a broker says what it does not take. A picture is given up at once; a statement never.
#[test]
fn what_a_broker_refuses() {
    // Not authorised.
    let broker = Scripted::start(vec![Act::Deny("/2.jpg", 0x87)]);
    let site = Site::speaking(broker.port, "5");
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 4);
    let dispatch = dispatch(&site, &store);
    drained(&store);
    assert_eq!((dispatch.stats().undeliverable, dispatch.stats().connections), (1, 1));
    let ids: Vec<_> = said.iter().map(|incident| format!("{}/{}", incident.incident, incident.seq)).collect();
    let got: Vec<_> = keys(&broker.taken()).into_iter().filter(|key| !key.contains("/evidence/")).collect();
    assert_eq!(got, ids);
    drop(dispatch);

    // Quota exceeded, twice.
    let deny = Act::Deny("/incidents/fire_lane", 0x97);
    let broker = Scripted::start(vec![deny, deny, Act::Obey]);
    let site = Site::speaking(broker.port, "5");
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 4);
    let dispatch = self::dispatch(&site, &store);
    drained(&store);
    assert_eq!((dispatch.stats().undeliverable, dispatch.stats().connections), (0, 3));
    let ids: Vec<_> = said.iter().map(|incident| format!("{}/{}", incident.incident, incident.seq)).collect();
    let got: Vec<_> = keys(&broker.taken()).into_iter().filter(|key| !key.contains("/evidence/")).collect();
    assert_eq!(got, ids);
}

#[test]
fn a_picture_that_no_connection_survives_is_given_up() {
    let broker = Scripted::start(vec![Act::Allergic("/2.jpg")]);
    let site = Site::new(Some(broker.port));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 2);
    let dispatch = dispatch(&site, &store);
    drained(&store);
    assert_eq!(dispatch.stats().undeliverable, 1);
    let keys = keys(&broker.taken());
    for incident in &said {
        assert!(keys.contains(&format!("{}/{}", incident.incident, incident.seq)));
    }
}

#[test]
fn pictures_that_are_gone_or_changed_hold_nothing_up() {
    let broker = Scripted::start(vec![Act::Obey]);
    let site = Site::new(Some(broker.port));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 2);
    let pictures = &said.last().expect("one").evidence;
    std::fs::remove_file(site.data().join(&pictures[0].path)).expect("removed");
    std::fs::write(site.data().join(&pictures[1].path), b"something else").expect("written");
    let dispatch = dispatch(&site, &store);
    drained(&store);
    assert_eq!(dispatch.stats().undeliverable, 2);
    assert_eq!(keys(&broker.taken()).len(), 4 + 1);
}

#[test]
fn brokers_killed_in_mid_batch_lose_nothing() {
    if !broker::installed() {
        return;
    }
    let proxy = Proxy::start();
    let site = Site::new(Some(proxy.port));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let mut said = Vec::new();
    for round in 0..20 {
        for camera in ["gate", "market"] {
            said.extend(site.play(&mut incidents, camera, f64::from(round) * 1_000.0, 6));
        }
    }
    let rows = store.outbox_size().expect("a size").rows;
    let dispatch = dispatch(&site, &store);
    let mut heard = Vec::new();
    let mut lives = 0;
    while store.outbox_size().expect("a size").rows > 0 {
        lives += 1;
        assert!(lives < 50);
        let broker = Broker::start();
        let listener = Listener::start(broker.port, "city/#");
        let before = dispatch.stats().acknowledged;
        proxy.lead_to(Some(broker.port));
        // Five lives are short, then one is left alone.
        wait("some more arrives", || {
            dispatch.stats().acknowledged > before || store.outbox_size().expect("a size").rows == 0
        });
        if lives > 5 {
            drained(&store);
        }
        proxy.lead_to(None);
        broker.kill();
        heard.extend(listener.rest(Duration::from_millis(500)));
    }
    assert!(lives > 1, "{rows} messages went in one batch");
    let got = statements(&heard);
    let ids = |incidents: &mut dyn Iterator<Item = (uuid::Uuid, u32)>| incidents.collect::<BTreeSet<_>>();
    assert_eq!(
        ids(&mut got.iter().map(|event| (event.data.incident, event.data.seq))),
        ids(&mut said.iter().map(|incident| (incident.incident, incident.seq)))
    );
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_sound_store() {
    let site = Site::new(Some(1));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let copies = tempfile::tempdir().expect("a directory");
    let mut written = Vec::new();
    for round in 0..6 {
        written.extend(site.play(&mut incidents, "gate", f64::from(round) * 100.0, 1));
        // The files as they are now, with the writer alive and the WAL not folded in.
        let copy = copies.path().join(round.to_string());
        std::fs::create_dir(&copy).expect("made");
        for name in [FILE.to_owned(), format!("{FILE}-wal")] {
            std::fs::copy(site.data().join(&name), copy.join(&name)).expect("copied");
        }
        // Also with a torn end of the WAL: the last transaction was being written.
        let torn = copies.path().join(format!("{round}-torn"));
        std::fs::create_dir(&torn).expect("made");
        std::fs::copy(site.data().join(FILE), torn.join(FILE)).expect("copied");
        let wal = std::fs::read(site.data().join(format!("{FILE}-wal"))).expect("read");
        std::fs::write(torn.join(format!("{FILE}-wal")), &wal[..wal.len() - 100]).expect("written");

        let after = Store::open(&copy).expect("sound");
        let last = written.last().expect("one");
        assert_eq!(after.incident(last.incident).expect("read").as_ref(), Some(last));
        assert_eq!(after.outbox_size().expect("read").rows, (round as u64 + 1) * 5);

        let after = Store::open(&torn).expect("sound");
        let head = after.outbox_head(1_000, u64::MAX).expect("read");
        // Whole transactions only: a picture is never there without the statement that cites it.
        for row in head.iter().filter(|row| row.message.kind == gridwatch::store::MessageKind::Evidence) {
            let same = |other: &&gridwatch::store::OutboxRow| {
                other.id > row.id
                    && other.incident == row.incident
                    && other.message.topic.ends_with("fire_lane")
            };
            assert!(head.iter().find(same).is_some(), "{}", row.message.topic);
        }
    }
}

/// Not a limit, a figure: how fast a full outbox empties to a broker on this machine.
#[test]
fn drain_rate() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::with(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nroot = \"city/grid\"\npublish_evidence = false\n",
        broker.port
    ));
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let began = Instant::now();
    for round in 0..100 {
        site.play(&mut incidents, "gate", f64::from(round) * 100.0, 8);
    }
    let (rows, wrote) = (store.outbox_size().expect("a size").rows, began.elapsed());
    let began = Instant::now();
    let dispatch = dispatch(&site, &store);
    drained(&store);
    let took = began.elapsed();
    assert_eq!(dispatch.stats().acknowledged, rows);
    println!(
        "{rows} statements: written at {:.0}/s, drained at {:.0}/s",
        rows as f64 / wrote.as_secs_f64(),
        rows as f64 / took.as_secs_f64()
    );
}
