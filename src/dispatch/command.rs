//! What the platform asks the node to do, as it comes in: read, checked against the config, carried out or handed on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::pace::{Pace, per_minute};
use super::reply::Reply;
use crate::config::Config;
use crate::event::command::{
    ArmCommand, Command, CommandName, CommandReply, ConfirmViewCommand, DISARMED_S_MAX, DisarmCommand,
    RecheckCommand, Refusal, ReloadCommand, SnapshotCommand,
};
use crate::event::{CheckedPoll, PollCommand, PollRefused, PollReply};
use crate::frame::CameraId;
use crate::observation::ZoneId;
use crate::store::{Answered, Disarmed, RecheckAsked, RecheckAsker, Store, StoreError};

/// Longest command that is read: 4,000 cameras by name.
const COMMAND_BYTES_MAX: usize = 256 << 10;
/// Longest id of a command.
const ID_BYTES_MAX: usize = 64;
/// Polls that may wait while one runs; each takes the slots of a patrol away for up to half a minute.
const WAITING_MAX: usize = 4;
/// Commands for the daemon that may wait: it takes them at once, or is stuck.
const ORDERS_MAX: usize = 16;

/// Commands on their way in.
#[derive(Debug)]
pub(super) struct Commands {
    known: RwLock<Known>,
    store: Store,
    /// Room for all polls that may be accepted, so that sending never waits.
    polls: Lane<CheckedPoll>,
    orders: Lane<Command>,
    state: Mutex<State>,
}

/// What of the config commands may name.
#[derive(Debug, Default)]
struct Known {
    groups: BTreeMap<String, Vec<CameraId>>,
    /// All cameras with their zones; those whose config is wrong have none.
    cameras: BTreeMap<CameraId, Vec<ZoneId>>,
}

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// Polls and snapshots that are not done, by id.
    polls: BTreeMap<String, CommandName>,
    /// What else the daemon has not answered yet.
    orders: BTreeSet<(CommandName, String)>,
}

impl State {
    /// Whether this is at work, and will be answered.
    fn is_open(&self, name: CommandName, id: &str) -> bool {
        self.polls.get(id) == Some(&name) || self.orders.contains(&(name, id.to_owned()))
    }
}

/// A queue whose other end is given out once.
#[derive(Debug)]
struct Lane<T> {
    sender: mpsc::Sender<T>,
    receiver: Mutex<Option<mpsc::Receiver<T>>>,
}

/// Why a command is not carried out.
enum Not {
    Refused(Refusal, String),
    /// The broker should keep it.
    Store(StoreError),
}

impl From<StoreError> for Not {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<T> Lane<T> {
    fn new(most: usize) -> Self {
        let (sender, receiver) = mpsc::channel(most);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }

    fn receiver(&self) -> Option<mpsc::Receiver<T>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn send(&self, order: T) -> Result<(), Not> {
        let nobody = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if nobody || self.sender.try_send(order).is_err() {
            return Err(Not::Refused(Refusal::Busy, "this node takes no such commands now".to_owned()));
        }
        Ok(())
    }
}

impl Commands {
    pub fn new(config: &Config, store: Store) -> Self {
        Self {
            known: RwLock::new(Known::of(config)),
            store,
            polls: Lane::new(WAITING_MAX + 1),
            orders: Lane::new(ORDERS_MAX),
            state: Mutex::default(),
        }
    }

    /// Another config is in force.
    pub fn reconfigure(&self, config: &Config) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::of(config);
    }

    /// The polls that are accepted; once.
    pub fn polls(&self) -> Option<mpsc::Receiver<CheckedPoll>> {
        self.polls.receiver()
    }

    /// What else the daemon is to do; once.
    pub fn orders(&self) -> Option<mpsc::Receiver<Command>> {
        self.orders.receiver()
    }

    /// Reads a command and carries it out or hands it on; gives what is to be said at once. One that was carried out already, also
    /// by a process before this one, is answered as it was. What cannot be carried out is refused and never comes again; only
    /// when the store fails (an error) should the broker keep it.
    pub fn take(
        &self,
        name: CommandName,
        payload: &[u8],
        retained: bool,
        now: Instant,
    ) -> Result<Option<Reply>, StoreError> {
        if payload.is_empty() {
            return Ok(None); // A retained command was taken away.
        }
        if retained {
            tracing::warn!("a retained command is not carried out: it would be again on every connection");
            return Ok(None);
        }
        let id = id_of(payload);
        if let Some(id) = &id {
            if self.lock().is_open(name, id) {
                return Ok(None); // Its answer is on the way.
            }
            if let Some(reply) = self.store.reply_to(name, id)? {
                tracing::info!(id, "command {} came again and is answered as before", name.as_str());
                return Ok(Some(Reply::Command(name, reply)));
            }
        }
        if !self.lock().pace.allows(name, now) {
            let detail = format!("more than {} of them in a minute", per_minute(name));
            return Ok(Some(refusal(name, id, Refusal::Busy, detail)));
        }
        match self.carry_out(name, payload) {
            Ok(reply) => {
                tracing::info!(id, "command {}", name.as_str());
                Ok(reply.map(|reply| Reply::Command(name, reply)))
            }
            Err(Not::Refused(why, detail)) => Ok(Some(refusal(name, id, why, detail))),
            Err(Not::Store(error)) => Err(error),
        }
    }

    /// What is to be said at once, JSON.
    fn carry_out(&self, name: CommandName, payload: &[u8]) -> Result<Option<String>, Not> {
        Ok(match name {
            CommandName::Poll => {
                let command: PollCommand = read(name, payload)?;
                let cameras = self.polled(&command)?;
                self.poll(name, command.id, cameras)?;
                None
            }
            CommandName::Snapshot => {
                let SnapshotCommand { id, camera } = read(name, payload)?;
                self.check_camera(&camera)?;
                self.poll(name, id, vec![camera])?;
                None
            }
            CommandName::Recheck => {
                let RecheckCommand { id, incident } = read(name, payload)?;
                let reply = CommandReply::accepted(id.clone(), "the place will be looked at again");
                let answered = Answered::new(name, &id, &reply);
                let asked = self.store.ask_recheck(incident, RecheckAsker::Command(answered.clone()))?;
                let refused = |why, detail: &str| Not::Refused(why, detail.to_owned());
                match asked {
                    RecheckAsked::Waits => {}
                    RecheckAsked::Full => {
                        return Err(refused(Refusal::Busy, "too many others wait for that"));
                    }
                    RecheckAsked::UnknownIncident => {
                        return Err(refused(Refusal::UnknownIncident, "no such incident here"));
                    }
                }
                Some(answered.reply)
            }
            CommandName::Arm => {
                let ArmCommand { id, camera, zone } = read(name, payload)?;
                let zones = self.zones(&camera, zone.as_ref())?;
                let of = zones.len();
                let answered = self.store.arm(&camera, zones, move |armed| {
                    let detail = format!("{armed} of {of} zones were disarmed and are watched again");
                    Answered::new(name, &id, &CommandReply::done(id.clone(), detail))
                })?;
                Some(answered.reply)
            }
            CommandName::Disarm => {
                let DisarmCommand { id, camera, zone, for_s } = read(name, payload)?;
                if for_s.is_some_and(|s| !(1..=DISARMED_S_MAX).contains(&s)) {
                    let detail = format!("`for_s` must be 1 to {DISARMED_S_MAX} seconds");
                    return Err(Not::Refused(Refusal::Malformed, detail));
                }
                let until = for_s.map(|s| Timestamp::now() + SignedDuration::from_secs(s as i64));
                let disarmed = |zone| Disarmed { camera: camera.clone(), zone, until };
                let zones: Vec<_> = self.zones(&camera, zone.as_ref())?.into_iter().map(disarmed).collect();
                let until =
                    until.map_or_else(|| "until they are armed".into(), |at| format!("until {at:.0}"));
                let detail = format!("{} zones are disarmed {until}", zones.len());
                let answered = Answered::new(name, &id, &CommandReply::done(id.clone(), detail));
                self.store.disarm(zones, answered.clone())?;
                Some(answered.reply)
            }
            CommandName::Reload => {
                let ReloadCommand { id } = read(name, payload)?;
                self.order(name, &id, Command::Reload { id: id.clone() })?;
                Some(said(&CommandReply::accepted(id, "the config will be read anew")))
            }
            CommandName::ConfirmView => {
                let ConfirmViewCommand { id, camera } = read(name, payload)?;
                self.check_camera(&camera)?;
                self.order(name, &id, Command::ConfirmView { id: id.clone(), camera })?;
                Some(said(&CommandReply::accepted(id, "its zones will be watched as it looks now")))
            }
        })
    }

    /// Hands something on to the daemon.
    fn order(&self, name: CommandName, id: &str, command: Command) -> Result<(), Not> {
        let mut state = self.lock();
        self.orders.send(command)?;
        state.orders.insert((name, id.to_owned()));
        Ok(())
    }

    /// Queues a poll, or a snapshot, which is a poll of one.
    fn poll(&self, name: CommandName, id: String, cameras: Vec<CameraId>) -> Result<(), Not> {
        let mut state = self.lock();
        if state.polls.len() > WAITING_MAX {
            let detail = format!("one poll is running, {WAITING_MAX} are waiting");
            return Err(Not::Refused(Refusal::Busy, detail));
        }
        if state.polls.contains_key(&id) {
            let detail = "a poll or snapshot of this id is not done yet".to_owned();
            return Err(Not::Refused(Refusal::Busy, detail));
        }
        self.polls.send(CheckedPoll { id: id.clone(), cameras })?;
        state.polls.insert(id, name);
        Ok(())
    }

    /// The cameras that a poll asks for, each once.
    fn polled(&self, command: &PollCommand) -> Result<Vec<CameraId>, Not> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (named, refused) = match (&command.group, &command.cameras) {
            (Some(group), None) => (known.groups.get(group), Refusal::UnknownGroup),
            (None, Some(cameras)) => (Some(cameras), Refusal::UnknownCamera),
            _ => {
                let detail = "a poll names either a `group` or `cameras`".to_owned();
                return Err(Not::Refused(Refusal::Malformed, detail));
            }
        };
        let Some(named) = named.filter(|named| !named.is_empty()) else {
            let detail = match refused {
                Refusal::UnknownGroup => "no camera is in this group",
                _ => "no camera is named",
            };
            return Err(Not::Refused(refused, detail.to_owned()));
        };
        if let Some(place) = named.iter().position(|camera| !known.cameras.contains_key(camera)) {
            // Not by its name: nothing that came in goes out again, or into a log.
            let detail = format!("camera {} of {} is not in the config", place + 1, named.len());
            return Err(Not::Refused(refused, detail));
        }
        let mut once = BTreeSet::new();
        Ok(named.iter().filter(|camera| once.insert(*camera)).cloned().collect())
    }

    fn check_camera(&self, camera: &CameraId) -> Result<(), Not> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.cameras.contains_key(camera) {
            return Ok(());
        }
        Err(Not::Refused(Refusal::UnknownCamera, "the camera is not in the config".to_owned()))
    }

    /// The zone of a camera that is named, or all that it has.
    fn zones(&self, camera: &CameraId, named: Option<&ZoneId>) -> Result<Vec<ZoneId>, Not> {
        self.check_camera(camera)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let zones = known.cameras.get(camera).into_iter().flatten();
        let zones: Vec<_> = zones.filter(|zone| named.is_none_or(|named| named == *zone)).cloned().collect();
        if zones.is_empty() {
            let detail =
                if named.is_some() { "the camera has no such zone" } else { "the camera has no zones" };
            return Err(Not::Refused(Refusal::UnknownZone, detail.to_owned()));
        }
        Ok(zones)
    }

    /// Whether a poll was asked for as one, or as a snapshot.
    pub fn asked_as(&self, reply: &PollReply) -> CommandName {
        let id = match reply {
            PollReply::Picture(picture) => Some(&picture.id),
            PollReply::Missing(missing) => Some(&missing.id),
            PollReply::Done(done) => Some(&done.id),
            PollReply::Refused(refused) => refused.id.as_ref(),
        };
        id.and_then(|id| self.lock().polls.get(id).copied()).unwrap_or(CommandName::Poll)
    }

    /// What was handed on has been done, or tried. Gives the reply as it is published, now and if the command comes again.
    pub fn done(&self, name: CommandName, id: &str, reply: &impl Serialize) -> String {
        let answered = Answered::new(name, id, reply);
        let reply = answered.reply.clone();
        if let Err(error) = self.store.remember_command(answered) {
            tracing::error!(id, "if this command comes again it will be carried out again: {error}");
        }
        let mut state = self.lock();
        match name {
            CommandName::Poll | CommandName::Snapshot => _ = state.polls.remove(id),
            _ => _ = state.orders.remove(&(name, id.to_owned())),
        }
        reply
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of(config: &Config) -> Self {
        let mut known = Self::default();
        for camera in &config.cameras {
            if let Some(group) = &camera.group {
                known.groups.entry(group.clone()).or_default().push(camera.id.clone());
            }
            let zones = camera.zones.iter().map(|zone| zone.id.clone()).collect();
            known.cameras.insert(camera.id.clone(), zones);
        }
        for disabled in &config.disabled {
            known.cameras.entry(disabled.id.clone()).or_default();
        }
        known
    }
}

fn refusal(name: CommandName, id: Option<String>, why: Refusal, detail: String) -> Reply {
    tracing::warn!(id, ?why, "command {} refused: {detail}", name.as_str());
    match name {
        CommandName::Poll | CommandName::Snapshot => {
            Reply::Poll(name, PollReply::Refused(PollRefused { id, refused: why, detail }))
        }
        _ => Reply::Command(name, said(&CommandReply::refused(id, why, detail))),
    }
}

/// A reply as it is published.
fn said(reply: &CommandReply) -> String {
    // It has no maps with odd keys.
    serde_json::to_string(reply).unwrap_or_default()
}

fn is_sound(id: &str) -> bool {
    let sound = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(sound)
}

/// The id of whatever came in, if it has a sound one: also of a command that cannot be read otherwise.
fn id_of(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let readable = payload.len() <= COMMAND_BYTES_MAX && is_object(payload);
    let named: Named = readable.then(|| serde_json::from_slice(payload).ok())??;
    is_sound(&named.id).then_some(named.id)
}

/// A list would be read as a command's fields in order.
fn is_object(payload: &[u8]) -> bool {
    payload.trim_ascii_start().starts_with(b"{")
}

fn read<T: DeserializeOwned>(name: CommandName, payload: &[u8]) -> Result<T, Not> {
    let malformed = |detail: String| Not::Refused(Refusal::Malformed, detail);
    if payload.len() > COMMAND_BYTES_MAX {
        return Err(malformed("the command is too long".to_owned()));
    }
    if !is_object(payload) {
        return Err(malformed("a command is a JSON object".to_owned()));
    }
    let command = serde_json::from_slice(payload).map_err(|error| {
        // Where, but not what: nothing that came in goes out again.
        malformed(format!(
            "not a {} command, at line {}, column {}",
            name.as_str(),
            error.line(),
            error.column()
        ))
    })?;
    if id_of(payload).is_none() {
        return Err(malformed("`id` must be 1 to 64 letters, digits, `-`, `_`, `.`".to_owned()));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    struct Node {
        _dir: tempfile::TempDir,
        commands: Commands,
    }

    fn node() -> Node {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("models")).expect("made");
        std::fs::write(dir.path().join("models/street-v2.onnx"), b"").expect("written");
        let file = dir.path().join("gridwatch.toml");
        let text = "[node]\nsite = \"s\"\nid = \"n\"\ndata_dir = \"data\"\n\
            [[camera]]\nid = \"gate\"\ngroup = \"square\"\nurl = \"rtsp://127.0.0.1/\"\n\
            [[zone]]\nid = \"lane\"\ncamera = \"gate\"\nscenario = \"fire_lane\"\n\
            polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n";
        std::fs::write(&file, text).expect("written");
        let config = crate::config::load(&file).expect("a config").config;
        let store = Store::open(&config.node.data_dir).expect("a store");
        Node { commands: Commands::new(&config, store), _dir: dir }
    }

    /// JSON that almost is a command, and bytes that are not.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let key = prop_oneof![
            Just("id"),
            Just("camera"),
            Just("cameras"),
            Just("zone"),
            Just("group"),
            Just("incident"),
            Just("for_s"),
            Just("zap"),
        ];
        let value = prop_oneof![
            Just(r#""gate""#.to_owned()),
            Just(r#""lane""#.to_owned()),
            Just(r#"["gate"]"#.to_owned()),
            Just(r#""01939e6a-0000-7000-8000-000000000001""#.to_owned()),
            "\"zap[a-z/.]{0,90}\"",
            any::<i64>().prop_map(|n| n.to_string()),
            Just("null".to_owned()),
            Just("1e999".to_owned()),
            Just("{\"id\":[[[".to_owned()),
        ];
        let object = prop::collection::vec((key, value), 0..5).prop_map(|pairs| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", pairs.join(",")).into_bytes()
        });
        prop_oneof![4 => object, 1 => prop::collection::vec(any::<u8>(), 1..200)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
        #[test]
        fn whatever_comes_is_carried_out_or_refused_without_an_echo(
            commands in prop::collection::vec((0..CommandName::ALL.len(), payload()), 1..60)
        ) {
            let node = node();
            let _ends = (node.commands.polls(), node.commands.orders());
            for (n, (name, payload)) in commands.into_iter().enumerate() {
                let now = Instant::now() + Duration::from_secs(60 * n as u64);
                let reply = node.commands.take(CommandName::ALL[name], &payload, false, now).expect("the store is sound");
                let (id, detail) = match &reply {
                    None => continue,
                    Some(Reply::Poll(_, PollReply::Refused(refused))) => (refused.id.clone(), refused.detail.clone()),
                    Some(Reply::Command(_, reply)) => {
                        let reply: CommandReply = serde_json::from_str(reply).expect("a reply");
                        (reply.id, reply.detail)
                    }
                    other => panic!("no such answer to a command: {other:?}"),
                };
                prop_assert!(id.is_none_or(|id| is_sound(&id)));
                prop_assert!(!detail.contains("zap") && !detail.is_empty(), "{}", detail);
            }
            for disarmed in node.commands.store.disarmed().expect("read") {
                prop_assert_eq!((disarmed.camera.as_str(), &*disarmed.zone.0), ("gate", "lane"));
            }
        }
    }
}
