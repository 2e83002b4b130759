//! What the platform asks the node to do, as it comes in, and what is answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::mqtt::{Connection, MqttError, Outbound, PACKET_BYTES_MAX};
use super::{Shared, json};
use crate::config::Config;
use crate::event::topic::Topics;
use crate::event::{Command, PollCommand, PollRefusal, PollRefused, PollReply};
use crate::frame::CameraId;

/// Longest command that is read: 4,000 cameras by name.
const COMMAND_BYTES_MAX: usize = 256 << 10;
/// Longest id of a poll.
const ID_BYTES_MAX: usize = 64;
/// Polls that may wait while one runs; each takes the slots of a patrol away for up to half a minute.
const WAITING_MAX: usize = 4;
/// Ids that are remembered, so that a command that comes twice (QoS 1) runs once.
const IDS_MAX: usize = 64;
/// Replies that may wait for the broker, pictures by reference: four polls of a thousand cameras.
const REPLIES_MAX: usize = 4_096;
/// Who asked has gone after this time.
const REPLY_AGE_MAX: Duration = Duration::from_secs(60);

/// Commands on their way in, replies on their way out.
#[derive(Debug)]
pub(super) struct Commands {
    groups: BTreeMap<String, Vec<CameraId>>,
    known: BTreeSet<CameraId>,
    /// Room for all polls that may be accepted, so that sending never waits.
    accepted: mpsc::Sender<Command>,
    receiver: Mutex<Option<mpsc::Receiver<Command>>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Polls that are not done.
    open: BTreeSet<String>,
    /// Ids seen, latest last.
    ids: VecDeque<String>,
    replies: VecDeque<(Instant, PollReply)>,
}

/// Why a command is not carried out.
struct Refusal(PollRefusal, String);

impl Commands {
    pub fn new(config: &Config) -> Self {
        let mut groups: BTreeMap<String, Vec<CameraId>> = BTreeMap::new();
        for camera in &config.cameras {
            if let Some(group) = &camera.group {
                groups.entry(group.clone()).or_default().push(camera.id.clone());
            }
        }
        let known = config.cameras.iter().map(|camera| camera.id.clone());
        let known = known.chain(config.disabled.iter().map(|camera| camera.id.clone())).collect();
        let (accepted, receiver) = mpsc::channel(WAITING_MAX + 1);
        Self { groups, known, accepted, receiver: Mutex::new(Some(receiver)), state: Mutex::default() }
    }

    /// The commands that are accepted; once.
    pub fn receiver(&self) -> Option<mpsc::Receiver<Command>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads a command; what cannot be carried out is answered at once, and never comes again.
    pub fn take(&self, payload: &[u8], retained: bool) {
        if payload.is_empty() {
            return; // A retained command was taken away.
        }
        if retained {
            tracing::warn!("a retained command is not carried out: it would be again on every connection");
            return;
        }
        let read = read(payload);
        let id = read.as_ref().ok().map(|command| command.id.clone());
        let Err(Refusal(refused, detail)) = read.and_then(|command| self.accept(command)) else { return };
        tracing::warn!(id, ?refused, "poll refused: {detail}");
        self.reply(PollReply::Refused(PollRefused { id, refused, detail }));
    }

    fn accept(&self, command: PollCommand) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.ids.contains(&command.id) {
            return Ok(()); // QoS 1: it came twice.
        }
        let cameras = self.cameras(&command)?;
        if state.open.len() > WAITING_MAX {
            let detail = format!("one poll is running, {WAITING_MAX} are waiting");
            return Err(Refusal(PollRefusal::Busy, detail));
        }
        let id = command.id;
        let idle = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if idle || self.accepted.try_send(Command::Poll { id: id.clone(), cameras }).is_err() {
            return Err(Refusal(PollRefusal::Busy, "this node takes no commands now".to_owned()));
        }
        if state.ids.len() >= IDS_MAX {
            state.ids.pop_front();
        }
        state.ids.push_back(id.clone());
        tracing::info!(id, "poll");
        state.open.insert(id);
        Ok(())
    }

    fn cameras(&self, command: &PollCommand) -> Result<Vec<CameraId>, Refusal> {
        let (named, refused) = match (&command.group, &command.cameras) {
            (Some(group), None) => (self.groups.get(group), PollRefusal::UnknownGroup),
            (None, Some(cameras)) => (Some(cameras), PollRefusal::UnknownCamera),
            _ => {
                let detail = "a poll names either a `group` or `cameras`".to_owned();
                return Err(Refusal(PollRefusal::Malformed, detail));
            }
        };
        let Some(named) = named.filter(|named| !named.is_empty()) else {
            let detail = match refused {
                PollRefusal::UnknownGroup => "no camera is in this group",
                _ => "no camera is named",
            };
            return Err(Refusal(refused, detail.to_owned()));
        };
        if let Some(place) = named.iter().position(|camera| !self.known.contains(camera)) {
            // Not by its name: nothing that came in goes out again, or into a log.
            let detail = format!("camera {} of {} is not in the config", place + 1, named.len());
            return Err(Refusal(refused, detail));
        }
        let mut once = BTreeSet::new();
        Ok(named.iter().filter(|camera| once.insert(*camera)).cloned().collect())
    }

    /// Queues a reply; the oldest give way when the broker takes none.
    pub fn reply(&self, reply: PollReply) {
        let mut state = self.lock();
        if let PollReply::Done(done) = &reply {
            state.open.remove(&done.id);
        }
        if state.replies.len() >= REPLIES_MAX {
            state.replies.pop_front();
        }
        state.replies.push_back((Instant::now(), reply));
    }

    /// The oldest replies that somebody may still wait for.
    fn next(&self, count_max: usize) -> Vec<PollReply> {
        let mut state = self.lock();
        state.replies.retain(|(queued, _)| queued.elapsed() <= REPLY_AGE_MAX);
        state.replies.iter().take(count_max).map(|(_, reply)| reply.clone()).collect()
    }

    fn said(&self, replies: &[PollReply]) {
        let mut state = self.lock();
        for reply in replies {
            // Some may have given way meanwhile.
            if state.replies.front().is_some_and(|(_, first)| first == reply) {
                state.replies.pop_front();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(payload: &[u8]) -> Result<PollCommand, Refusal> {
    let malformed = |detail: &str| Refusal(PollRefusal::Malformed, detail.to_owned());
    if payload.len() > COMMAND_BYTES_MAX {
        return Err(malformed("the command is too long"));
    }
    let command: PollCommand = serde_json::from_slice(payload)
        // Where, but not what: nothing that came in goes out again.
        .map_err(|error| malformed(&format!("not a poll command, at column {}", error.column())))?;
    let sound = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if command.id.is_empty() || command.id.len() > ID_BYTES_MAX || !command.id.bytes().all(sound) {
        return Err(malformed("`id` must be 1 to 64 letters, digits, `-`, `_`, `.`"));
    }
    Ok(command)
}

/// Says what waits, each picture before the reply that cites it.
pub(super) async fn say(shared: &Shared, connection: &mut Connection) -> Result<(), MqttError> {
    // A reply may be two messages.
    let batch = (shared.mqtt.batch / 2).clamp(1, 8);
    loop {
        let replies = shared.commands.next(batch);
        if replies.is_empty() {
            return Ok(());
        }
        let messages: Vec<Outbound> =
            replies.iter().flat_map(|reply| messages(&shared.topics, &shared.data_dir, reply)).collect();
        // What is lost here with the connection is said again on the next one, if that comes soon.
        for some in chunks(messages, shared.mqtt.batch.max(1)) {
            connection.publish(some, &mut Vec::new()).await?;
        }
        shared.commands.said(&replies);
    }
}

fn chunks(messages: Vec<Outbound>, size: usize) -> Vec<Vec<Outbound>> {
    let mut chunks: Vec<Vec<Outbound>> = Vec::new();
    for message in messages {
        match chunks.last_mut().filter(|chunk| chunk.len() < size) {
            Some(chunk) => chunk.push(message),
            None => chunks.push(vec![message]),
        }
    }
    chunks
}

/// The messages of one reply. A picture that is gone, changed or too large is cited without a topic.
fn messages(topics: &Topics, data_dir: &Path, reply: &PollReply) -> Vec<Outbound> {
    let topic = topics.poll_reply();
    let PollReply::Picture(picture) = reply else {
        return vec![Outbound { topic, payload: json(reply), retained: false }];
    };
    let mut picture = picture.clone();
    let path = Path::new(&picture.evidence.path);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let bytes = inside.then(|| std::fs::read(data_dir.join(path)).ok()).flatten();
    let bytes = bytes.filter(|bytes| {
        bytes.len() <= PACKET_BYTES_MAX && hex::encode(Sha256::digest(bytes)) == picture.evidence.sha256
    });
    let polled = topics.polled(&picture.camera, &picture.id);
    picture.evidence.topic = bytes.is_some().then(|| polled.clone());
    let payload = json(&PollReply::Picture(picture));
    let shown = bytes.map(|payload| Outbound { topic: polled, payload, retained: false });
    shown.into_iter().chain([Outbound { topic, payload, retained: false }]).collect()
}
