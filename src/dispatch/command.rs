//! What the platform asks the node to do, as it comes in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::config::Config;
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

/// Commands on their way in.
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
    pub fn take(&self, payload: &[u8], retained: bool) -> Option<PollReply> {
        if payload.is_empty() {
            return None; // A retained command was taken away.
        }
        if retained {
            tracing::warn!("a retained command is not carried out: it would be again on every connection");
            return None;
        }
        let read = read(payload);
        let id = read.as_ref().ok().map(|command| command.id.clone());
        let Refusal(refused, detail) = read.and_then(|command| self.accept(command)).err()?;
        tracing::warn!(id, ?refused, "poll refused: {detail}");
        Some(PollReply::Refused(PollRefused { id, refused, detail }))
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

    /// A poll is over.
    pub fn done(&self, id: &str) {
        self.lock().open.remove(id);
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
