//! Statements once more for other platforms: after their own, through outages, and never in their way.

use std::collections::BTreeSet;
use std::time::Duration;

use gridwatch::event::IncidentEvent;
use gridwatch::observation::Stage;

use super::broker::{self, Broker, Heard, Listener, free_port};
use super::scripted::{Act, Scripted};
use super::site::{Site, wait};
use super::{dispatch, drained, statements};

/// A node that tells two other platforms.
fn site(port: u16, version: &str) -> Site {
    Site::with(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"city/grid\"\nversion = \"{version}\"\n\
         [[mqtt.mirror]]\ntopic = \"isc/{{camera}}/{{kind}}\"\nshape = \"hikvision_isc\"\n\
         [[mqtt.mirror]]\ntopic = \"viid/images\"\nshape = \"gat1400_image\"\n\
         kinds = [\"fire_lane\"]\ndevice_id = \"51010700001190000001\"\n"
    ))
}

/// What a message says of which statement: its shape, the incident, and where it stands.
fn key(message: &Heard) -> Option<(&'static str, String, u64)> {
    let json = || message.json();
    Some(match message.topic.split('/').next()? {
        "isc" => {
            let event = json()["params"]["events"][0].clone();
            ("isc", event["eventId"].as_str()?.to_owned(), event["data"]["seq"].as_u64()?)
        }
        "viid" => {
            let note = json()["ImageListObject"]["Image"][0]["ImageInfo"]["TitleNote"].clone();
            let (incident, seq) = note.as_str()?.split_once('/')?;
            ("viid", incident.to_owned(), seq.parse().ok()?)
        }
        _ if message.topic.contains("/incidents/") => {
            let event: IncidentEvent = serde_json::from_slice(&message.payload).ok()?;
            ("own", event.data.incident.to_string(), event.data.seq.into())
        }
        _ => return None,
    })
}

#[test]
fn mirrors_come_after_the_statement_and_survive_an_outage() {
    if !broker::installed() {
        return;
    }
    let port = free_port();
    let site = site(port, "3.1.1");
    let store = site.store();
    let mut incidents = site.incidents(&store);
    // Said while no broker is there, and by a process that ends.
    let mut said = site.play(&mut incidents, "gate", 0.0, 3);
    said.extend(site.play(&mut incidents, "market", 0.0, 3));
    drop((incidents, store));
    let store = site.store();
    let mut incidents = site.incidents(&store);

    let broker = Broker::start_on(port);
    let listener = Listener::start(port, "#");
    let dispatch = dispatch(&site, &store);
    let last = said.last().expect("one");
    let want = ("isc", last.incident.to_string(), u64::from(last.seq));
    let mut heard = listener.until(|m| key(m) == Some(want.clone()));
    drained(&store);
    // And with the broker killed in between.
    broker.kill();
    said.extend(site.play(&mut incidents, "gate", 100.0, 3));
    let _broker = Broker::start_on(port);
    let listener = Listener::start(port, "#");
    let last = said.last().expect("one");
    let want = ("isc", last.incident.to_string(), u64::from(last.seq));
    heard.extend(listener.until(|m| key(m) == Some(want.clone())));
    drained(&store);
    dispatch.stop(Duration::from_secs(5));

    assert_eq!(statements(&heard).len(), said.len());
    let mut keys: Vec<_> = heard.iter().filter_map(key).collect();
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    // One statement after the other, each followed by its copies; the image library hears of new pictures only.
    let want: Vec<_> = said
        .iter()
        .flat_map(|incident| {
            let key = |shape| (shape, incident.incident.to_string(), u64::from(incident.seq));
            let image = incident.kind == "fire_lane" && incident.closed_at.is_none();
            [Some(key("own")), Some(key("isc")), image.then(|| key("viid"))].into_iter().flatten()
        })
        .collect();
    assert_eq!(keys, want);
    // What an image object cites went out before it.
    let published: Vec<&str> =
        heard.iter().filter(|m| m.topic.contains("/evidence/")).map(|m| m.topic.as_str()).collect();
    for message in heard.iter().filter(|m| m.topic == "viid/images") {
        let json = message.json();
        let path = &json["ImageListObject"]["Image"][0]["ImageInfo"]["StoragePath"];
        assert!(published.contains(&path.as_str().expect("a topic")), "{path}");
    }
    assert!(heard.iter().any(|m| m.topic == "isc/market/street_vending"));
}

/// A broker that does not let us write where the mirror goes costs the copy, and nothing else.
#[test]
fn a_refused_mirror_holds_up_no_statement() {
    let broker = Scripted::start(vec![Act::Deny("gate/fire_lane", 0x87)]);
    let site = site(broker.port, "5");
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let said = site.play(&mut incidents, "gate", 0.0, 2);
    let dispatch = dispatch(&site, &store);
    wait("all is sent or given up", || store.outbox_size().expect("a size").rows == 0);
    assert_eq!((dispatch.stats().undeliverable, dispatch.stats().connections), (said.len() as u64, 1));
    let taken = broker.taken();
    // What was under way behind a refused one comes twice.
    let own: BTreeSet<_> = taken
        .iter()
        .filter(|m| m.topic.contains("/incidents/") && m.acknowledged)
        .map(|m| m.payload.clone())
        .collect();
    assert_eq!(own.len(), said.len());
}

/// Nor does a broker that hangs up on it instead, as some do in MQTT 3.1.1.
#[test]
fn a_mirror_that_ends_the_connection_is_given_up() {
    let broker = Scripted::start(vec![Act::Allergic("gate/fire_lane")]);
    let site = site(broker.port, "3.1.1");
    let store = site.store();
    let mut incidents = site.incidents(&store);
    let (camera, zone) = site.camera("gate");
    let seen = site.observation(Stage::Confirmed, 0.0, 1.0);
    let picture = vec![site.snapshot("one", 2_000)];
    let said = incidents.observe(camera, zone, &seen, None, picture, seen.at.wall).expect("observed");
    assert_eq!(said.len(), 1);
    let dispatch = dispatch(&site, &store);
    wait("all is sent or given up", || store.outbox_size().expect("a size").rows == 0);
    assert_eq!(dispatch.stats().undeliverable, 1);
    let taken = broker.taken();
    for topic in ["/incidents/fire_lane", "viid/images"] {
        assert!(taken.iter().any(|m| m.topic.ends_with(topic) && m.acknowledged), "{topic}");
    }
}
