//! Who listens at the broker, and keeps the books of what came.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use gridwatch::config::Mqtt;
use gridwatch::dispatch::{Received, Subscription};
use gridwatch::event::{CameraStatus, IncidentEvent};
use gridwatch::frame::CameraState;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::rig::Clock;

/// A retained topic of every mosquitto; subscribed last, it comes when all else is subscribed.
const SUBSCRIBED: &str = "$SYS/broker/version";

/// Takes each message with the time it came.
pub type Ear = Box<dyn FnMut(f64, Received) + Send>;

/// A subscription that is made anew whenever the broker is gone.
pub struct Auditor {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stands: AtomicBool,
    messages: AtomicU64,
    stop: AtomicBool,
}

impl Auditor {
    /// Listens to everything of this daemon.
    pub fn start(mqtt: Mqtt, clock: Clock, mut ear: Ear) -> Self {
        let shared = Arc::<Shared>::default();
        let here = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            while !here.stop.load(Relaxed) {
                runtime.block_on(listen(&here, &mqtt, clock, &mut ear));
                here.stands.store(false, Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Waits until its subscription stands, or until it has noticed that it does not.
    pub fn wait(&self, stands: bool) -> anyhow::Result<()> {
        let patience = Instant::now() + Duration::from_secs(30);
        while self.shared.stands.load(Relaxed) != stands {
            if Instant::now() > patience {
                bail!("the auditor's subscription does not become {stands}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// How many messages came.
    pub fn messages(&self) -> u64 {
        self.shared.messages.load(Relaxed)
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One subscription, until the broker is gone.
async fn listen(shared: &Shared, mqtt: &Mqtt, clock: Clock, ear: &mut Ear) {
    let filters = ["gridwatch/v1/soak/box/#", SUBSCRIBED].map(str::to_owned);
    let Ok(mut subscription) = Subscription::open(mqtt, &filters).await else { return };
    while !shared.stop.load(Relaxed) {
        match tokio::time::timeout(Duration::from_millis(200), subscription.next(mqtt)).await {
            Ok(Ok(received)) if received.topic == SUBSCRIBED => shared.stands.store(true, Relaxed),
            Ok(Ok(received)) => {
                ear(clock.now(), received);
                shared.messages.fetch_add(1, Relaxed);
            }
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
}

/// A statement when it was first heard.
pub struct Statement {
    pub heard: f64,
    pub event: IncidentEvent,
    payload: [u8; 32],
}

/// What was heard, and what was wrong with it.
#[derive(Default)]
pub struct Books {
    /// By incident, by `seq`.
    pub incidents: BTreeMap<Uuid, BTreeMap<u32, Statement>>,
    /// SHA-256 of the newest picture at each topic.
    pictures: HashMap<String, String>,
    /// Each change of each camera's status.
    pub states: Vec<(f64, String, CameraState)>,
    pub statements: u64,
    pub repeats: u64,
    pub pictures_cited: u64,
    pub out_of_order: Vec<String>,
    pub unequal: Vec<String>,
    pub without_picture: Vec<String>,
    pub unreadable: Vec<String>,
}

impl Books {
    /// Books, and the ear that fills them.
    pub fn open() -> (Arc<Mutex<Self>>, Ear) {
        let books = Arc::<Mutex<Self>>::default();
        let here = Arc::clone(&books);
        (books, Box::new(move |at, received| lock(&here).enter(at, &received)))
    }

    fn enter(&mut self, at: f64, received: &Received) {
        let Received { topic, payload, .. } = received;
        if topic.contains("/evidence/") {
            self.pictures.insert(topic.clone(), hex::encode(Sha256::digest(payload)));
        } else if topic.contains("/incidents/") {
            match serde_json::from_slice::<IncidentEvent>(payload) {
                Ok(event) => self.statement(at, event, Sha256::digest(payload).into()),
                Err(error) => self.unreadable.push(format!("{topic}: {error}")),
            }
        } else if topic.ends_with("/status") && topic.contains("/cameras/") {
            match serde_json::from_slice::<CameraStatus>(payload) {
                Ok(status) => self.states.push((at, status.camera.to_string(), status.state)),
                Err(_) if payload.is_empty() => {}
                Err(error) => self.unreadable.push(format!("{topic}: {error}")),
            }
        }
    }

    fn statement(&mut self, heard: f64, event: IncidentEvent, payload: [u8; 32]) {
        let (id, seq, name) = (event.data.incident, event.data.seq, event.id.clone());
        self.statements += 1;
        for piece in &event.data.evidence {
            let Some(topic) = &piece.topic else { continue };
            self.pictures_cited += 1;
            if self.pictures.get(topic) != Some(&piece.sha256) {
                let came =
                    if self.pictures.contains_key(topic) { "came with other bytes" } else { "did not come" };
                self.without_picture.push(format!("{name} at {heard:.1}: {topic} {came}"));
            }
        }
        let known = self.incidents.entry(id).or_default();
        if let Some(before) = known.get(&seq) {
            self.repeats += 1;
            if before.payload != payload {
                self.unequal.push(format!("{name} at {heard:.1}"));
            }
            return;
        }
        let expected = known.last_key_value().map_or(1, |(last, _)| last + 1);
        if seq != expected {
            self.out_of_order.push(format!("{name} at {heard:.1} where {expected} is next"));
        }
        known.insert(seq, Statement { heard, event, payload });
    }
}

/// The books, also if somebody who wrote in them panicked.
pub fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}
