//! A day without the broker, by volume: a store full of statements is delivered to a broker that is there again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use gridwatch::event::topic::Topics;
use gridwatch::event::{ClosedReason, Incident, IncidentEvent, Phase};
use gridwatch::store::{Entry, Message, MessageKind, Payload, Store};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::Options;
use super::audit::Auditor;
use super::rig::{self, Broker, Clock, Daemon};
use super::table::{Bar, Table, quantile, short};

/// Incidents that are open at the same time, each in a zone of its own.
const OPEN: usize = 500;
/// How long nothing may come before it counts as not coming any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is read of a statement.
#[derive(Deserialize)]
struct Heard {
    data: HeardData,
}

#[derive(Deserialize)]
struct HeardData {
    incident: Uuid,
    seq: u32,
}

/// What came.
#[derive(Default)]
struct Tally {
    last: HashMap<Uuid, u32>,
    statements: u64,
    repeats: u64,
    out_of_order: Vec<String>,
    first_at: Option<f64>,
    last_at: f64,
}

pub fn run(options: &Options) -> anyhow::Result<Table> {
    let dir = rig::fresh(&options.dir, "outage")?;
    let mut daemon = Daemon::new(&options.daemon, &dir);
    let filling = Instant::now();
    let statements = fill(&daemon, options.incidents)?;
    let filling = filling.elapsed().as_secs_f64();

    let broker = Broker::start(&dir)?;
    let clock = Clock::start();
    let tally = Arc::<Mutex<Tally>>::default();
    let here = Arc::clone(&tally);
    let auditor = Auditor::start(
        broker.settings(),
        clock,
        Box::new(move |at, received| {
            if received.topic.contains("/incidents/") {
                here.lock().unwrap_or_else(PoisonError::into_inner).hear(at, &received.payload);
            }
        }),
    );
    auditor.wait(true)?;
    std::fs::write(&daemon.config, config(broker.port, &daemon)?)?;
    daemon.up()?;
    let mut held = Vec::new();
    let mut news = (0, Instant::now());
    loop {
        daemon.check_alive()?;
        let heard = tally.lock().unwrap_or_else(PoisonError::into_inner).statements;
        held.extend(daemon.held().map(|held| held.rss_bytes as f64));
        if heard >= statements {
            break;
        }
        if heard > news.0 {
            news = (heard, Instant::now());
        } else if news.1.elapsed() > PATIENCE {
            bail!("{heard} of {statements} statements came, then nothing for {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let cpu_s = daemon.cpu_s().unwrap_or(f64::NAN);
    // The last batch is taken out of the outbox once it is acknowledged.
    std::thread::sleep(Duration::from_secs(2));
    daemon.stop()?;
    drop(auditor);
    let left = Store::open(&daemon.data())?.outbox_size()?.rows;
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);

    let mut table = Table::new("outage");
    let note = format!("{statements} statements, queued in {filling:.1} s");
    table.row("incidents queued", options.incidents as f64, Bar::Least(50_000.0), note);
    let missing = statements.saturating_sub(tally.statements);
    table.row("statements that did not come", missing as f64, Bar::Most(0.0), "");
    table.none_of("statements out of order or with a gap before them", &tally.out_of_order);
    table.row("statements that came more than once", tally.repeats as f64, Bar::None, "");
    table.row("messages undelivered", left as f64, Bar::Most(0.0), "");
    let seconds = tally.last_at - tally.first_at.unwrap_or(f64::NAN);
    let note = format!("{seconds:.1} s; daemon {} s CPU since its start", short(cpu_s));
    table.row("statements delivered per second", statements as f64 / seconds, Bar::Least(2_000.0), note);
    let fifth = held.len() / 5;
    let late = quantile(&mut held[4 * fifth..].to_vec(), 0.5);
    let most = quantile(&mut held.clone(), 1.0);
    let early = quantile(&mut held[fifth..=2 * fifth].to_vec(), 0.5);
    let note = format!("{:.1} MB to {:.1} MB, at most {:.1} MB", early * 1e-6, late * 1e-6, most * 1e-6);
    table.row(
        "RSS growth from the second fifth to the last, %",
        (late / early - 1.0) * 100.0,
        Bar::Below(2.0),
        note,
    );
    Ok(table)
}

impl Tally {
    fn hear(&mut self, at: f64, payload: &[u8]) {
        let Ok(Heard { data: HeardData { incident, seq } }) = serde_json::from_slice(payload) else {
            self.out_of_order.push("a message that cannot be read".into());
            return;
        };
        self.first_at.get_or_insert(at);
        self.last_at = at;
        let last = self.last.entry(incident).or_insert(0);
        if seq <= *last {
            self.repeats += 1;
        } else {
            if seq != *last + 1 {
                self.out_of_order.push(format!("{incident}/{seq} where {} is next", *last + 1));
            }
            *last = seq;
            self.statements += 1;
        }
    }
}

/// Opens and closes so many incidents, as a node without its broker does; says how many statements wait.
fn fill(daemon: &Daemon, incidents: usize) -> anyhow::Result<u64> {
    let store = Store::open(&daemon.data())?;
    let topics = Topics::new("gridwatch", "soak", "box")?;
    let sample: IncidentEvent = serde_json::from_str(&std::fs::read_to_string("config/demo/incident.json")?)?;
    for first in (0..incidents).step_by(OPEN) {
        let of_round = first..incidents.min(first + OPEN);
        let opened: Vec<Incident> = of_round.map(|n| incident(&sample.data, n)).collect();
        let closed = opened.iter().cloned().map(|incident| Incident {
            seq: 2,
            phase: Phase::Closed,
            closed_at: Some(Timestamp::now()),
            closed_reason: Some(ClosedReason::Cleared),
            ..incident
        });
        let closed: Vec<Incident> = closed.collect();
        for said in [opened, closed] {
            let entries = said.into_iter().map(|incident| entry(&sample, &topics, incident));
            store.write(entries.collect::<Result<_, _>>()?, Vec::new())?;
        }
    }
    Ok(store.outbox_size()?.rows)
}

fn incident(sample: &Incident, n: usize) -> Incident {
    let mut incident = Incident { incident: Uuid::now_v7(), ..sample.clone() };
    incident.camera.id = format!("cam{}", n % OPEN).as_str().into();
    // Pictures are not what this is about: they are read from files and limited by the link.
    incident.evidence.iter_mut().for_each(|piece| piece.topic = None);
    incident
}

fn entry(sample: &IncidentEvent, topics: &Topics, incident: Incident) -> anyhow::Result<Entry> {
    let event = IncidentEvent {
        id: format!("{}/{}", incident.incident, incident.seq),
        data: incident.clone(),
        ..sample.clone()
    };
    let message = Message {
        topic: topics.incident(&incident.camera.id, &incident.kind),
        kind: MessageKind::Incident,
        payload: Payload::Bytes(serde_json::to_vec(&event)?),
    };
    Ok(Entry { incident, messages: vec![message] })
}

/// A node whose only camera is away.
fn config(broker: u16, daemon: &Daemon) -> anyhow::Result<String> {
    let nobody = super::process::free_port()?;
    Ok(format!(
        "[node]\nsite = \"soak\"\nid = \"box\"\ndata_dir = {:?}\n\
         [mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\n\
         [[camera]]\nid = \"gate\"\nurl = \"rtsp://127.0.0.1:{nobody}/gate\"\n\
         [[zone]]\ncamera = \"gate\"\nscenario = \"fire_lane\"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n",
        daemon.data().display().to_string()
    ))
}
