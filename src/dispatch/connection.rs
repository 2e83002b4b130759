//! The one retry loop of dispatch, and what happens on a connection.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::mqtt::{Arrival, Connection, Dial, MqttError, Outbound, PACKET_BYTES_MAX};
use super::reply::Reply;
use super::{Shared, json, reply, verdict};
use crate::event::{NodeState, NodeStatus};
use crate::store::{MessageKind, OutboxRow, Payload, StoreError};

/// Bytes of one batch: bounds memory and how much is sent twice after a lost connection; 40 pictures of 200 kB.
const BATCH_BYTES_MAX: u64 = 8 << 20;
/// The first pause after a lost connection.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest: a broker that comes back after a night hears from every box within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Connections that a picture, or a statement in another shape, may cost before it is given up. Statements are never given up.
const LOST_ON_PICTURE_MAX: u32 = 4;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first message of the outbox that a connection was lost on, and how often.
#[derive(Debug, Default)]
struct Suspect {
    row: i64,
    lost: u32,
}

/// Connects, delivers, and starts over after any error, until told to stop.
pub(super) async fn run(shared: &Shared) {
    let broker = format!("{}:{}", shared.mqtt.host, shared.mqtt.port);
    let mut suspect = Suspect::default();
    let mut pause = PAUSE_MIN;
    let mut stop_at = None;
    loop {
        let (began, acknowledged) = (Instant::now(), shared.counts.acknowledged.load(Ordering::Relaxed));
        let ended = tokio::select! {
            ended = run_once(shared, &mut suspect, &broker) => ended,
            () = stop_passed(shared, &mut stop_at) => return,
        };
        let was_connected = shared.counts.connected.swap(false, Ordering::Relaxed);
        let Err(error) = ended else { return };
        let took_some = shared.counts.acknowledged.load(Ordering::Relaxed) > acknowledged;
        if took_some || (was_connected && began.elapsed() > PAUSE_MAX) {
            pause = PAUSE_MIN; // A broker that works is worth hurrying for.
        }
        // Half of it at random: a district's boxes must not come back in the same instant.
        let wait = pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        tracing::warn!(broker, error = %error, retry_in_s = wait.as_secs_f32(), "not connected to the broker");
        pause = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = sleep(wait) => {}
            () = stop_passed(shared, &mut stop_at) => return,
        }
    }
}

/// Ends when the time for draining is over.
async fn stop_passed(shared: &Shared, stop_at: &mut Option<Instant>) {
    loop {
        match (*stop_at, shared.stopping()) {
            (Some(at), _) => return tokio::time::sleep_until(at).await,
            // One more second for the last word.
            (None, Some(drain)) => *stop_at = Some(Instant::now() + drain + Duration::from_secs(1)),
            (None, None) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Where the way of a statement is told with its times; see `daemon/analysis`.
const LATENCY: &str = "gridwatch::latency";

/// One connection, from its first word to its first error; `Ok` when it was told to stop.
async fn run_once(shared: &Shared, suspect: &mut Suspect, broker: &str) -> Result<(), Ended> {
    let will = Outbound {
        topic: shared.topics.node_status(),
        payload: json(&shared.node_status(NodeState::Offline)),
        retained: true,
    };
    let dial =
        Dial { mqtt: &shared.mqtt, client_id: &shared.client_id, will: Some(will), keep_session: true };
    let mut connection = Connection::open(dial).await?;
    tracing::info!(broker, "connected to the broker");
    shared.counts.connected.store(true, Ordering::Relaxed);
    shared.counts.connections.fetch_add(1, Ordering::Relaxed);
    connection.subscribe(&shared.topics.verdicts())?;
    connection.subscribe(&shared.topics.camera_statuses())?;
    connection.subscribe(&shared.topics.commands())?;
    say_node(shared, &mut connection, NodeState::Online).await?;
    connection.subscribe(&shared.topics.node_status())?; // Now, so that what it had kept is not heard.
    {
        let mut cameras = shared.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.unsaid = cameras.status.keys().cloned().collect();
    }
    let mut outbox = shared.store.outbox_changes();
    let mut draining: Option<Instant> = None;
    loop {
        outbox.mark_unchanged();
        if let (None, Some(drain)) = (draining, shared.stopping()) {
            draining = Some(Instant::now() + drain);
            say_node(shared, &mut connection, NodeState::Draining).await?;
        }
        if shared.node_news.swap(false, Ordering::Relaxed) {
            let state = if draining.is_some() { NodeState::Draining } else { NodeState::Online };
            say_node(shared, &mut connection, state).await?;
        }
        say_cameras(shared, &mut connection).await?;
        reply::say(shared, &mut connection).await?;
        while let Some(arrival) = connection.received() {
            take(shared, &mut connection, &arrival).await?;
        }
        let over = draining.is_some_and(|until| Instant::now() >= until);
        if !over && deliver(shared, &mut connection, suspect).await? {
            continue;
        }
        if draining.is_some() {
            say_node(shared, &mut connection, NodeState::Offline).await?;
            connection.close().await;
            return Ok(());
        }
        tokio::select! {
            arrival = connection.receive() => {
                let arrival = arrival?;
                take(shared, &mut connection, &arrival).await?;
            }
            _ = outbox.changed() => {}
            () = shared.bell.notified() => {}
        }
    }
}

/// Reads what came in, and only then tells the broker so. A retained status of a camera that the config does not have
/// (any more) is a ghost of an earlier config, and taken away; a word that this node is gone is contradicted.
async fn take(shared: &Shared, connection: &mut Connection, arrival: &Arrival) -> Result<(), Ended> {
    if let Some(camera) = shared.topics.camera_of_status(arrival.topic()) {
        if arrival.retained() && !arrival.payload().is_empty() && !shared.is_known(&camera) {
            tracing::info!(%camera, "retained status of a camera that is not in the config is taken away");
            let gone = Outbound { topic: arrival.topic().to_owned(), payload: Vec::new(), retained: true };
            unless_refused(connection.publish(vec![gone], &mut Vec::new()).await)?;
        }
    } else if arrival.topic() == shared.topics.node_status() {
        // The will of an earlier connection, or of a process before us: who reads it later must not think us gone.
        let status = serde_json::from_slice::<NodeStatus>(arrival.payload());
        if status.is_ok_and(|said| said.state == NodeState::Offline) && shared.stopping().is_none() {
            tracing::info!("a late will says that this node is gone: contradicted");
            say_node(shared, connection, NodeState::Online).await?;
        }
    } else if let Some(name) = shared.topics.command_of(arrival.topic()) {
        if let Some(name) = name {
            let now = std::time::Instant::now();
            let reply = shared.commands.take(name, arrival.payload(), arrival.retained(), now)?;
            reply.into_iter().for_each(|reply| shared.answer(reply));
        } else {
            tracing::warn!("a command of a name that this version does not know");
        }
    } else {
        let reply = verdict::take(shared, arrival.topic(), arrival.payload(), arrival.retained())?;
        reply.into_iter().for_each(|reply| shared.answer(Reply::Verdict(reply)));
    }
    Ok(connection.accept(arrival).await?)
}

async fn say_node(shared: &Shared, connection: &mut Connection, state: NodeState) -> Result<(), MqttError> {
    let payload = json(&shared.node_status(state));
    let message = Outbound { topic: shared.topics.node_status(), payload, retained: true };
    unless_refused(connection.publish(vec![message], &mut Vec::new()).await)
}

/// A status or a reply that the broker does not take holds up no incident.
pub(super) fn unless_refused(said: Result<(), MqttError>) -> Result<(), MqttError> {
    match said {
        Err(error @ MqttError::NotTaken { .. }) => {
            tracing::warn!(%error, "status or reply");
            Ok(())
        }
        said => said,
    }
}

/// Says the status of every camera that the broker has not heard.
async fn say_cameras(shared: &Shared, connection: &mut Connection) -> Result<(), MqttError> {
    loop {
        let messages: Vec<_> = {
            let mut cameras = shared.cameras.lock().unwrap_or_else(PoisonError::into_inner);
            let mut some = Vec::new();
            while some.len() < shared.mqtt.batch.max(1) {
                let Some(camera) = cameras.unsaid.pop_first() else { break };
                let payload = cameras.status.get(&camera).cloned().flatten().map(|status| json(&status));
                some.push(Outbound {
                    topic: shared.topics.camera_status(&camera),
                    payload: payload.unwrap_or_default(), // Empty: the broker forgets it (MQTT 3.1.1 section 3.3.1.3).
                    retained: true,
                });
            }
            some
        };
        if messages.is_empty() {
            return Ok(());
        }
        // What is lost here with the connection is said again on the next one.
        unless_refused(connection.publish(messages, &mut Vec::new()).await)?;
    }
}

/// Delivers the head of the outbox; whether there was any.
async fn deliver(shared: &Shared, connection: &mut Connection, suspect: &mut Suspect) -> Result<bool, Ended> {
    // After a connection was lost on a message, that one goes alone, so that its guilt or innocence shows.
    let batch = if suspect.lost > 1 { 1 } else { shared.mqtt.batch.max(1) };
    let rows = shared.store.outbox_head(batch, BATCH_BYTES_MAX)?;
    let Some(first) = rows.first() else { return Ok(false) };
    let (first, first_is_statement) = (first.id, first.message.kind == MessageKind::Incident);
    if suspect.row == first && suspect.lost >= LOST_ON_PICTURE_MAX && !first_is_statement {
        tracing::warn!(
            topic = rows[0].message.topic,
            "given up: every broker connection is lost on this picture or mirror"
        );
        shared.counts.undeliverable.fetch_add(1, Ordering::Relaxed);
        shared.store.outbox_remove(vec![first])?;
        *suspect = Suspect::default();
        return Ok(true);
    }
    let (mut ids, mut statements) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut messages = Vec::with_capacity(rows.len());
    let mut hopeless = Vec::new();
    for row in rows {
        match payload(shared, &row) {
            Ok(payload) => {
                ids.push(row.id);
                statements.push((row.message.kind == MessageKind::Incident).then_some(row.incident));
                messages.push(Outbound { topic: row.message.topic, payload, retained: false });
            }
            Err(why) => {
                tracing::warn!(topic = row.message.topic, incident = %row.incident, "not delivered: {why}");
                hopeless.push(row.id);
            }
        }
    }
    if !hopeless.is_empty() {
        shared.counts.undeliverable.fetch_add(hopeless.len() as u64, Ordering::Relaxed);
        shared.store.outbox_remove(hopeless)?;
    }
    let mut acknowledged = Vec::with_capacity(ids.len());
    let mut sent = connection.publish(messages, &mut acknowledged).await;
    shared.counts.acknowledged.fetch_add(acknowledged.len() as u64, Ordering::Relaxed);
    for incident in acknowledged.iter().filter_map(|&index| statements[index]) {
        tracing::debug!(target: LATENCY, %incident, "acknowledged");
    }
    if let Err(MqttError::NotTaken { index, reason }) = &sent
        && statements[*index].is_none()
    {
        tracing::warn!("given up: the broker does not take a picture or mirror: {reason}");
        shared.counts.undeliverable.fetch_add(1, Ordering::Relaxed);
        shared.store.outbox_remove(vec![ids[*index]])?;
        sent = Ok(());
    }
    if sent.is_err() && acknowledged.is_empty() {
        suspect.lost = if suspect.row == first { suspect.lost + 1 } else { 1 };
        suspect.row = first;
    } else {
        *suspect = Suspect::default();
    }
    if !acknowledged.is_empty() {
        shared.store.outbox_remove(acknowledged.iter().map(|&index| ids[index]).collect())?;
    }
    sent?;
    Ok(true)
}

/// The bytes to send; a reason if they can never be sent.
fn payload(shared: &Shared, row: &OutboxRow) -> Result<Vec<u8>, String> {
    let bytes = match &row.message.payload {
        Payload::Bytes(bytes) => bytes.clone(),
        Payload::File { size_bytes, .. } if *size_bytes > PACKET_BYTES_MAX as u64 => {
            return Err(format!("{size_bytes} bytes, at most {PACKET_BYTES_MAX} can be sent"));
        }
        Payload::File { path, sha256, .. } => {
            let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !inside {
                return Err(format!("`{}` is not under the data directory", path.display()));
            }
            let bytes = std::fs::read(shared.data_dir.join(path))
                .map_err(|e| format!("`{}`: {e}", path.display()))?;
            if hex::encode(Sha256::digest(&bytes)) != *sha256 {
                return Err(format!("`{}` is not the picture that was cited", path.display()));
            }
            bytes
        }
    };
    if bytes.len() > PACKET_BYTES_MAX {
        return Err(format!("{} bytes, at most {PACKET_BYTES_MAX} can be sent", bytes.len()));
    }
    Ok(bytes)
}
