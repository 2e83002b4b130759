//! What is answered to the platform's commands and verdicts.

use std::collections::VecDeque;
use std::path::{Component, Path};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::connection::unless_refused;
use super::mqtt::{Connection, MqttError, Outbound, PACKET_BYTES_MAX};
use super::{Shared, json};
use crate::event::command::CommandName;
use crate::event::topic::Topics;
use crate::event::{PollReply, VerdictReply};

/// Replies that may wait for the broker, pictures by reference: four polls of a thousand cameras.
const REPLIES_MAX: usize = 4_096;
/// Who asked has gone after this time.
const REPLY_AGE_MAX: Duration = Duration::from_secs(60);

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// To a poll or a snapshot.
    Poll(CommandName, PollReply),
    /// To any other command, or to one that came again: JSON.
    Command(CommandName, String),
    Verdict(VerdictReply),
}

/// Answers on their way out; they are no promises, so they do not pass through the outbox.
#[derive(Debug, Default)]
pub(super) struct Replies {
    waiting: Mutex<VecDeque<(Instant, Reply)>>,
}

impl Replies {
    /// Queues a reply; the oldest give way when the broker takes none.
    pub fn push(&self, reply: Reply) {
        let mut waiting = self.lock();
        if waiting.len() >= REPLIES_MAX {
            waiting.pop_front();
        }
        waiting.push_back((Instant::now(), reply));
    }

    /// The oldest replies that somebody may still wait for.
    fn next(&self, count_max: usize) -> Vec<Reply> {
        let mut waiting = self.lock();
        waiting.retain(|(queued, _)| queued.elapsed() <= REPLY_AGE_MAX);
        waiting.iter().take(count_max).map(|(_, reply)| reply.clone()).collect()
    }

    fn said(&self, replies: &[Reply]) {
        let mut waiting = self.lock();
        for reply in replies {
            // Some may have given way meanwhile.
            if waiting.front().is_some_and(|(_, first)| first == reply) {
                waiting.pop_front();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Reply)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what waits, each picture before the reply that cites it.
pub(super) async fn say(shared: &Shared, connection: &mut Connection) -> Result<(), MqttError> {
    // A reply may be two messages.
    let batch = (shared.mqtt.batch / 2).clamp(1, 8);
    loop {
        let replies = shared.replies.next(batch);
        if replies.is_empty() {
            return Ok(());
        }
        let messages: Vec<Outbound> =
            replies.iter().flat_map(|reply| messages(&shared.topics, &shared.data_dir, reply)).collect();
        // What is lost here with the connection is said again on the next one, if that comes soon.
        for some in chunks(messages, shared.mqtt.batch.max(1)) {
            unless_refused(connection.publish(some, &mut Vec::new()).await)?;
        }
        shared.replies.said(&replies);
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
fn messages(topics: &Topics, data_dir: &Path, reply: &Reply) -> Vec<Outbound> {
    let (topic, picture) = match reply {
        Reply::Poll(name, PollReply::Picture(picture)) => (topics.reply(*name), picture),
        Reply::Poll(name, reply) => return vec![plain(topics.reply(*name), reply)],
        Reply::Command(name, reply) => {
            let payload = reply.clone().into_bytes();
            return vec![Outbound { topic: topics.reply(*name), payload, retained: false }];
        }
        Reply::Verdict(reply) => return vec![plain(topics.verdict_reply(), reply)],
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
    let shown = bytes.map(|payload| Outbound { topic: polled, payload, retained: false });
    shown.into_iter().chain([plain(topic, &PollReply::Picture(picture))]).collect()
}

fn plain(topic: String, reply: &impl serde::Serialize) -> Outbound {
    Outbound { topic, payload: json(reply), retained: false }
}
