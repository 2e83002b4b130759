//! Dispatch: empties the outbox to the broker of the dispatch platform, tells how node and cameras are, takes verdicts and
//! commands.
//!
//! One MQTT connection is disposable: whatever goes wrong on it, it is dropped and a new one made after a pause, and
//! what the broker has not acknowledged is sent again, in the same order and with the same event ids. Statuses are
//! state, not events: they do not pass through the outbox but are said anew on every connection.

mod command;
mod connection;
mod mqtt;
mod pace;
mod reply;
mod tls;
mod verdict;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

pub use mqtt::{Received, Subscription};

use crate::config::{Config, Mqtt};
use crate::event::command::{Command, CommandName, CommandReply};
use crate::event::topic::{TopicError, Topics};
use crate::event::{CameraStatus, CheckedPoll, NodeState, NodeStatus, PollReply, Reloaded};
use crate::frame::CameraId;
use crate::store::Store;
use reply::{Replies, Reply};

/// What can go wrong when dispatch starts; later trouble is retried, logged and counted.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The config's names make no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The system gives no thread or no runtime.
    #[error("dispatch cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// The broker or the way to it; `broker` is `host:port`.
    #[error("broker {broker}: {problem}")]
    Broker {
        /// `host:port`.
        broker: String,
        /// What is wrong, with a hint.
        problem: String,
    },
}

/// The running dispatch stage: a thread of its own, so that busy cameras do not delay a fire.
#[derive(Debug)]
pub struct Dispatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What dispatch did since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DispatchStats {
    /// Whether a broker is connected now.
    pub connected: bool,
    /// Connections made.
    pub connections: u64,
    /// Messages of the outbox that a broker acknowledged.
    pub acknowledged: u64,
    /// Messages dropped because their picture was gone, changed or too large, or a broker hung up on it again and again.
    pub undeliverable: u64,
    /// Verdicts stored.
    pub verdicts: u64,
    /// Verdicts that could not be read or name no known incident.
    pub verdicts_refused: u64,
}

/// What the thread and the handle share.
#[derive(Debug)]
struct Shared {
    mqtt: Mqtt,
    topics: Topics,
    client_id: String,
    data_dir: PathBuf,
    store: Store,
    boot: Uuid,
    in_force: Mutex<InForce>,
    /// Whether the node's status has changed since it was said.
    node_news: AtomicBool,
    commands: command::Commands,
    replies: Replies,
    cameras: Mutex<Cameras>,
    /// Rung when `cameras`, `replies`, `node_news` or `stop` changed.
    bell: Notify,
    stop: Mutex<Option<Duration>>,
    counts: Counts,
}

/// What dispatch says of the config, and knows of it.
#[derive(Debug)]
struct InForce {
    revision: String,
    configured: BTreeSet<CameraId>,
    reload: Option<Reloaded>,
}

#[derive(Debug, Default)]
struct Counts {
    connected: AtomicBool,
    connections: AtomicU64,
    acknowledged: AtomicU64,
    undeliverable: AtomicU64,
    verdicts: AtomicU64,
    verdicts_refused: AtomicU64,
}

/// Statuses of all cameras, and which of them the broker has not heard. `None`: the camera is no more.
#[derive(Debug, Default)]
struct Cameras {
    status: BTreeMap<CameraId, Option<CameraStatus>>,
    unsaid: BTreeSet<CameraId>,
}

impl Dispatch {
    /// Starts to deliver what the store holds. `None` if no broker is configured: incidents then stay in the store.
    pub fn start(config: &Config, store: Store) -> Result<Option<Self>, DispatchError> {
        let Some(mqtt) = config.mqtt.clone() else { return Ok(None) };
        let node = &config.node;
        let shared = Arc::new(Shared {
            topics: Topics::new(&mqtt.root, &node.site, &node.id)?,
            client_id: format!("gridwatch-{}-{}", node.site, node.id),
            mqtt,
            data_dir: node.data_dir.clone(),
            commands: command::Commands::new(config, store.clone()),
            store,
            boot: Uuid::now_v7(),
            in_force: Mutex::new(InForce {
                revision: config.revision.clone(),
                configured: configured(config),
                reload: None,
            }),
            node_news: AtomicBool::new(false),
            replies: Replies::default(),
            cameras: Mutex::default(),
            bell: Notify::new(),
            stop: Mutex::new(None),
            counts: Counts::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("dispatch".into()).spawn({
            let shared = Arc::clone(&shared);
            move || runtime.block_on(connection::run(&shared))
        })?;
        Ok(Some(Self { shared, thread: Some(thread) }))
    }

    /// Publishes a camera's status (retained), now and on every later connection.
    pub fn set_camera_status(&self, status: CameraStatus) {
        let mut cameras = self.shared.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let id = status.camera.clone();
        if cameras.status.get(&id).and_then(Option::as_ref) == Some(&status) {
            return;
        }
        cameras.unsaid.insert(id.clone());
        cameras.status.insert(id, Some(status));
        drop(cameras);
        self.shared.bell.notify_one();
    }

    /// Takes a camera's retained status away, because the config does not have it any more.
    pub fn forget_camera(&self, camera: &CameraId) {
        let mut cameras = self.shared.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.unsaid.insert(camera.clone());
        cameras.status.insert(camera.clone(), None);
        drop(cameras);
        self.shared.bell.notify_one();
    }

    /// Puts a new config in force: which cameras and zones commands may name, and the revision that the node's status tells.
    /// Another broker, site or node wants a restart.
    pub fn reconfigure(&self, config: &Config) {
        self.shared.commands.reconfigure(config);
        {
            let mut in_force = self.shared.in_force.lock().unwrap_or_else(PoisonError::into_inner);
            in_force.revision.clone_from(&config.revision);
            in_force.configured = configured(config);
        }
        self.say_node();
    }

    /// Says with the node's status, now and on every later connection, what became of the last attempt to put another config
    /// in force.
    pub fn set_reloaded(&self, reloaded: Reloaded) {
        self.shared.in_force.lock().unwrap_or_else(PoisonError::into_inner).reload = Some(reloaded);
        self.say_node();
    }

    fn say_node(&self) {
        self.shared.node_news.store(true, Ordering::Relaxed);
        self.shared.bell.notify_one();
    }

    /// The polls and snapshots that the platform asks for, checked, at most one at work and four waiting; `None` at the second
    /// call. Who takes them answers each with [`Self::reply`], at last with [`PollReply::Done`].
    pub fn polls(&self) -> Option<mpsc::Receiver<CheckedPoll>> {
        self.shared.commands.polls()
    }

    /// What else the daemon is asked to do, checked; `None` at the second call. Each was answered with `accepted`; who takes
    /// them says with [`Self::answer`] what became of it. (Arming, disarming and re-checks go through the store.)
    pub fn commands(&self) -> Option<mpsc::Receiver<Command>> {
        self.shared.commands.orders()
    }

    /// Answers a command that was handed out, once and for all: this is also what it is answered if it comes again. Waits for the
    /// disk.
    pub fn answer(&self, name: CommandName, reply: &CommandReply) {
        let id = reply.id.as_deref().unwrap_or_default();
        let reply = self.shared.commands.done(name, id, reply);
        self.shared.answer(Reply::Command(name, reply));
    }

    /// Answers a poll. A picture is read from the data directory when it is sent, and its topic is filled in. The last word,
    /// [`PollReply::Done`], waits for the disk: it is what the poll is answered if it comes again.
    pub fn reply(&self, reply: PollReply) {
        let name = self.shared.commands.asked_as(&reply);
        if let PollReply::Done(done) = &reply {
            self.shared.commands.done(name, &done.id, &reply);
        }
        self.shared.answer(Reply::Poll(name, reply));
    }

    /// What was done so far.
    pub fn stats(&self) -> DispatchStats {
        let counts = &self.shared.counts;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DispatchStats {
            connected: counts.connected.load(Ordering::Relaxed),
            connections: get(&counts.connections),
            acknowledged: get(&counts.acknowledged),
            undeliverable: get(&counts.undeliverable),
            verdicts: get(&counts.verdicts),
            verdicts_refused: get(&counts.verdicts_refused),
        }
    }

    /// Says `draining`, empties the outbox as far as `drain_max` allows, says `offline` and hangs up. What is left
    /// stays in the store for the next start.
    pub fn stop(mut self, drain_max: Duration) {
        self.end(drain_max);
    }

    fn end(&mut self, drain_max: Duration) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(drain_max);
        self.shared.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // A panic in there has been reported by the panic hook already.
        }
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl Shared {
    fn node_status(&self, state: NodeState) -> NodeStatus {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        NodeStatus {
            state,
            boot: self.boot,
            version: env!("CARGO_PKG_VERSION").into(),
            config_revision: in_force.revision.clone(),
            reload: in_force.reload.clone(),
            time: Timestamp::now(),
        }
    }

    /// Whether the camera is in the config or was told of since.
    fn is_known(&self, camera: &CameraId) -> bool {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        in_force.configured.contains(camera) || matches!(cameras.status.get(camera), Some(Some(_)))
    }

    /// Says this when the loop comes round.
    fn answer(&self, reply: Reply) {
        self.replies.push(reply);
        self.bell.notify_one();
    }

    fn stopping(&self) -> Option<Duration> {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn configured(config: &Config) -> BTreeSet<CameraId> {
    let disabled = config.disabled.iter().map(|camera| &camera.id);
    config.cameras.iter().map(|camera| &camera.id).chain(disabled).cloned().collect()
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // These types have no maps with odd keys; an empty payload would merely clear a retained status.
    serde_json::to_vec(value).unwrap_or_default()
}
