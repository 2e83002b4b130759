//! The store: incidents as they stand, the outbox, and verdicts, in one SQLite file that survives `kill -9`.
//!
//! SQLite in WAL mode with `synchronous = FULL`: a transaction that was answered is on the disk, but for removals from the
//! outbox, which a power cut may undo. One thread writes; everybody else holds a [`Store`] and waits for the answer. An
//! incident's state and the messages that announce it are written in one transaction, so neither exists without the other.

mod command;
mod disarmed;
mod error;
mod follow;
mod layout;
mod outbox;
mod recheck;
mod record;
#[cfg(test)]
mod tests;
mod verdict;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Transaction};
use tokio::sync::watch;
use uuid::Uuid;

pub use command::Answered;
pub use disarmed::Disarmed;
pub use error::StoreError;
pub use follow::Follower;
use outbox::About;
pub use outbox::{GaveWay, Message, MessageKind, OutboxRow, OutboxSize, Payload};
pub use recheck::{PendingRecheck, RecheckAsked, RecheckAsker};
pub use record::Citation;
pub use verdict::{Decided, Precision, StoredVerdict, Taken};
use writer::Writer;

use crate::config::Level;
use crate::event::command::CommandName;
use crate::event::{Incident, Phase, Verdict, VerdictOutcome};
use crate::frame::CameraId;
use crate::observation::ZoneId;

/// Name of the store's file in the data directory.
pub const FILE: &str = "gridwatch.db";

/// Days whose verdicts say how good a zone is: long enough for some dozens, short enough to show what tuning did.
const PRECISION_DAYS: i64 = 30;
/// How long they are not counted again, if none has come: they leave the days one by one.
const PRECISION_KEPT: SignedDuration = SignedDuration::from_mins(10);

/// What the store may grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most messages in the outbox: a hundred days of a busy box (1,000 statements a day) without its broker.
    pub outbox_rows_max: u64,
    /// Most bytes in the outbox, pictures included: what a 10 Mbit/s uplink carries in half an hour after an outage.
    pub outbox_bytes_max: u64,
    /// Most closed incidents kept for local tables: about 150 MB of JSON.
    pub closed_incidents_max: usize,
    /// Most verdicts kept per incident: the longest loop seen in the field has 7 steps.
    pub verdicts_per_incident_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outbox_rows_max: 100_000,
            outbox_bytes_max: 2 << 30,
            closed_incidents_max: 50_000,
            verdicts_per_incident_max: 32,
        }
    }
}

/// An incident's new state with the messages that announce it: written together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The incident as it stands now.
    pub incident: Incident,
    /// What to deliver, in this order.
    pub messages: Vec<Message>,
}

/// A handle on the one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: Writer,
    limits: Limits,
    /// Counts up with every change of the outbox.
    outbox: watch::Sender<u64>,
    /// Counts up with every verdict, and with every zone that is armed or disarmed.
    decisions: AtomicU64,
    /// Counts up when a re-check was asked for.
    rechecks: watch::Sender<u64>,
    evidence_gave_way: AtomicU64,
    mirrors_gave_way: AtomicU64,
    incidents_gave_way: AtomicU64,
    /// What [`Store::precision`] said last: after how many decisions, and when.
    precision: Mutex<Option<(u64, Timestamp, Vec<Precision>)>>,
}

impl Store {
    /// Opens or creates the store in the data directory, for this process alone.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(data_dir, Limits::default())
    }

    /// Opens or creates the store with limits of its own.
    pub fn open_with(data_dir: &Path, limits: Limits) -> Result<Self, StoreError> {
        Ok(Self {
            shared: Arc::new(Shared {
                writer: Writer::open(data_dir)?,
                limits,
                outbox: watch::Sender::new(0),
                decisions: AtomicU64::new(0),
                rechecks: watch::Sender::new(0),
                evidence_gave_way: AtomicU64::new(0),
                mirrors_gave_way: AtomicU64::new(0),
                incidents_gave_way: AtomicU64::new(0),
                precision: Mutex::new(None),
            }),
        })
    }

    /// Writes incidents with their messages, and what cameras' scenes must remember over a restart (opaque JSON in place of what
    /// was kept before; `None`: nothing), in one transaction; when this returns, they are on the disk.
    pub fn write(
        &self,
        entries: Vec<Entry>,
        checkpoints: Vec<(CameraId, Option<String>)>,
    ) -> Result<(), StoreError> {
        let limits = self.shared.limits;
        let gave_way = self.change(move |change| {
            let mut gave_way = GaveWay::default();
            for entry in &entries {
                record::put(change, &entry.incident)?;
                let about = About { incident: entry.incident.incident, level: entry.incident.level };
                for message in &entry.messages {
                    outbox::append(change, &limits, about, message, &mut gave_way)?;
                }
            }
            if entries.iter().any(|entry| entry.incident.phase == Phase::Closed) {
                record::prune(change, &limits)?;
            }
            record::put_checkpoints(change, &checkpoints)?;
            Ok(gave_way)
        })?;
        self.note(gave_way);
        self.shared.outbox.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// Incidents that are open, in the order of their last change.
    pub fn open_incidents(&self) -> Result<Vec<Incident>, StoreError> {
        self.call(|db| record::open(db))
    }

    /// How many incidents are open.
    pub fn open_count(&self) -> Result<usize, StoreError> {
        self.call(|db| record::open_count(db))
    }

    /// The incidents that cite each of these files (paths under the data directory), in their order.
    pub fn citations(&self, paths: Vec<String>) -> Result<Vec<Vec<Citation>>, StoreError> {
        self.call(move |db| record::citations(db, &paths))
    }

    /// The incidents that changed last, newest change first.
    pub fn latest_incidents(&self, count_max: usize) -> Result<Vec<Incident>, StoreError> {
        self.call(move |db| record::latest(db, count_max))
    }

    /// One incident, open or closed.
    pub fn incident(&self, id: Uuid) -> Result<Option<Incident>, StoreError> {
        self.call(move |db| record::one(db, id))
    }

    /// The oldest messages of the outbox: at most `rows_max`, and about `bytes_max` bytes of payload, but at least one.
    pub fn outbox_head(&self, rows_max: usize, bytes_max: u64) -> Result<Vec<OutboxRow>, StoreError> {
        self.call(move |db| outbox::head(db, rows_max, bytes_max))
    }

    /// Removes messages from the outbox, by [`OutboxRow::id`]: only those that the broker has acknowledged, or that
    /// can never be sent (counted by the caller).
    pub fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        self.call(move |db| outbox::remove(db, &ids))?;
        self.shared.outbox.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// How much waits in the outbox.
    pub fn outbox_size(&self) -> Result<OutboxSize, StoreError> {
        self.call(|db| outbox::size(db))
    }

    /// When the oldest message of the outbox was written.
    pub fn outbox_oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.call(|db| outbox::oldest(db))
    }

    /// Tells of every change of the outbox; the value counts changes and means nothing else.
    pub fn outbox_changes(&self) -> watch::Receiver<u64> {
        self.shared.outbox.subscribe()
    }

    /// Messages that gave way because the outbox was full, since the store was opened.
    pub fn gave_way(&self) -> GaveWay {
        GaveWay {
            evidence: self.shared.evidence_gave_way.load(Ordering::Relaxed),
            mirror: self.shared.mirrors_gave_way.load(Ordering::Relaxed),
            incident: self.shared.incidents_gave_way.load(Ordering::Relaxed),
        }
    }

    /// Keeps what the platform decided about an incident; the same verdict again is kept once. `resolved` asks for a re-check in
    /// the same transaction. `retained`: the broker had kept the message, so it may be older than what is here.
    pub fn add_verdict(&self, incident: Uuid, verdict: Verdict, retained: bool) -> Result<Taken, StoreError> {
        let limits = self.shared.limits;
        let taken = self.change(move |change| verdict::add(change, &limits, incident, &verdict, retained))?;
        if taken.outcome == VerdictOutcome::Stored {
            self.shared.decisions.fetch_add(1, Ordering::Release);
        }
        if taken.recheck == Some(RecheckAsked::Waits) {
            self.shared.rechecks.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(taken)
    }

    /// Asks for a re-check of an incident's place; at most 256 wait, one for each incident.
    pub fn ask_recheck(&self, incident: Uuid, asker: RecheckAsker) -> Result<RecheckAsked, StoreError> {
        let asked = self.change(move |change| Ok(recheck::ask(change, incident, &asker)?))?;
        if asked == RecheckAsked::Waits {
            self.shared.rechecks.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(asked)
    }

    /// The re-checks that wait, oldest first.
    pub fn pending_rechecks(&self) -> Result<Vec<PendingRecheck>, StoreError> {
        self.call(|db| recheck::pending(db, None))
    }

    /// The re-check of this incident's place, if one waits.
    pub fn pending_recheck(&self, incident: Uuid) -> Result<Option<PendingRecheck>, StoreError> {
        self.call(move |db| recheck::pending(db, Some(incident)).map(|mut pending| pending.pop()))
    }

    /// Tells when a re-check was asked for; the value counts and means nothing else. What waited when the store was opened is
    /// not told.
    pub fn recheck_changes(&self) -> watch::Receiver<u64> {
        self.shared.rechecks.subscribe()
    }

    /// Takes a re-check off the list and puts what is said about it into the outbox, in one transaction; whether it was
    /// (still) there.
    pub fn finish_recheck(&self, number: i64, messages: Vec<Message>) -> Result<bool, StoreError> {
        let limits = self.shared.limits;
        let (finished, gave_way) = self.change(move |change| {
            let mut gave_way = GaveWay::default();
            let Some(incident) = recheck::take(change, number)? else {
                return Ok((false, gave_way));
            };
            let incident = incident.parse().unwrap_or_default();
            let level = record::one(change, incident)?.map_or(Level::Red, |incident| incident.level);
            for message in &messages {
                let about = About { incident, level };
                outbox::append(change, &limits, about, message, &mut gave_way)?;
            }
            Ok((true, gave_way))
        })?;
        self.note(gave_way);
        self.shared.outbox.send_modify(|count| *count = count.wrapping_add(1));
        Ok(finished)
    }

    /// Disarms zones, over what was said of them before, for a command that is remembered in the same transaction.
    pub fn disarm(&self, zones: Vec<Disarmed>, answered: Answered) -> Result<(), StoreError> {
        self.change(move |change| {
            disarmed::disarm(change, &zones)?;
            Ok(command::put(change, &answered)?)
        })?;
        self.shared.decisions.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Arms zones for a command that is remembered in the same transaction; `answer` is told how many of them were disarmed.
    pub fn arm(
        &self,
        camera: &CameraId,
        zones: Vec<ZoneId>,
        answer: impl FnOnce(usize) -> Answered + Send + 'static,
    ) -> Result<Answered, StoreError> {
        let camera = camera.clone();
        let answered = self.change(move |change| {
            let answered = answer(disarmed::arm(change, &camera, &zones)?);
            command::put(change, &answered)?;
            Ok(answered)
        })?;
        self.shared.decisions.fetch_add(1, Ordering::Release);
        Ok(answered)
    }

    /// Remembers a command whose work leaves nothing in the store; arming, disarming and re-checks remember themselves.
    pub fn remember_command(&self, answered: Answered) -> Result<(), StoreError> {
        self.change(move |change| Ok(command::put(change, &answered)?))
    }

    /// What was said of a command that was carried out, JSON, if it is one of the newest 4,000.
    pub fn reply_to(&self, name: CommandName, id: &str) -> Result<Option<String>, StoreError> {
        let id = id.to_owned();
        self.call(move |db| command::reply(db, name, &id))
    }

    /// Zones that are disarmed, also those whose time is over.
    pub fn disarmed(&self) -> Result<Vec<Disarmed>, StoreError> {
        self.call(|db| disarmed::all(db))
    }

    /// What the platform decided about an incident, oldest first.
    pub fn verdicts(&self, incident: Uuid) -> Result<Vec<StoredVerdict>, StoreError> {
        self.call(move |db| verdict::of_incident(db, incident))
    }

    /// Counts up with every verdict that is stored and every zone that is armed or disarmed, and means nothing else: whether
    /// [`Self::verdicts_after`] or [`Self::disarmed`] may have something new.
    pub fn decisions(&self) -> u64 {
        self.shared.decisions.load(Ordering::Acquire)
    }

    /// Verdicts that came after the one of this [`Decided::number`], oldest first, at most 1000.
    pub fn verdicts_after(&self, number: i64) -> Result<Vec<Decided>, StoreError> {
        self.call(move |db| verdict::after(db, number))
    }

    /// The last verdicts of incidents that are open, and the last ones that are a false alarm and came after `since`, oldest
    /// first; with the number of the newest verdict of all.
    pub fn standing_verdicts(&self, since: Timestamp) -> Result<(i64, Vec<Decided>), StoreError> {
        self.call(move |db| verdict::standing(db, since))
    }

    /// How the incidents of each zone and kind were judged in the 30 days before `now`; zones without a verdict are not in it.
    /// Reckoned anew when a decision has come, or after ten minutes.
    pub fn precision(&self, now: Timestamp) -> Result<Vec<Precision>, StoreError> {
        let decisions = self.decisions();
        let mut known = self.shared.precision.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, at, zones)) = &*known
            && *of == decisions
            && now.duration_since(*at).abs() < PRECISION_KEPT
        {
            return Ok(zones.clone());
        }
        let days = SignedDuration::from_hours(24 * PRECISION_DAYS);
        let since = now.checked_sub(days).unwrap_or(Timestamp::MIN);
        let zones = self.call(move |db| verdict::precision(db, since))?;
        *known = Some((decisions, now, zones.clone()));
        Ok(zones)
    }

    /// How many incidents of a kind a zone had that were first seen after `since`, without those that were called a false
    /// alarm at last.
    pub fn incidents_since(
        &self,
        camera: &CameraId,
        zone: &ZoneId,
        kind: &str,
        since: Timestamp,
    ) -> Result<u32, StoreError> {
        let (camera, zone, kind) = (camera.clone(), zone.clone(), kind.to_owned());
        self.call(move |db| record::count_since(db, &camera, &zone, &kind, since))
    }

    /// What was kept of a camera's scene.
    pub fn checkpoint(&self, camera: &CameraId) -> Result<Option<String>, StoreError> {
        let camera = camera.clone();
        self.call(move |db| record::checkpoint(db, &camera))
    }

    /// Keeps what is known of cameras' health (opaque JSON), in place of what was kept before, in one transaction.
    pub fn put_health(&self, known: Vec<(CameraId, String)>) -> Result<(), StoreError> {
        self.change(move |change| Ok(record::put_health(change, &known)?))
    }

    /// What was kept of a camera's health.
    pub fn health(&self, camera: &CameraId) -> Result<Option<String>, StoreError> {
        let camera = camera.clone();
        self.call(move |db| record::health(db, &camera))
    }

    /// Keeps what was learnt of a camera's empty zones (opaque), in place of what was kept before.
    pub fn put_ground(&self, camera: &CameraId, bytes: Vec<u8>) -> Result<(), StoreError> {
        let camera = camera.clone();
        self.call(move |db| record::put_ground(db, &camera, &bytes))
    }

    /// What was kept of a camera's empty zones.
    pub fn ground(&self, camera: &CameraId) -> Result<Option<Vec<u8>>, StoreError> {
        let camera = camera.clone();
        self.call(move |db| record::ground(db, &camera))
    }

    /// Makes the disk full from the page `pages` on, for tests.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: i64) {
        self.call(move |db| db.pragma_update(None, "max_page_count", pages))
            .expect("SQLite takes the pragma");
    }

    fn note(&self, gave_way: GaveWay) {
        if gave_way != GaveWay::default() {
            self.shared.evidence_gave_way.fetch_add(gave_way.evidence, Ordering::Relaxed);
            self.shared.mirrors_gave_way.fetch_add(gave_way.mirror, Ordering::Relaxed);
            self.shared.incidents_gave_way.fetch_add(gave_way.incident, Ordering::Relaxed);
            tracing::warn!(
                evidence = gave_way.evidence,
                mirror = gave_way.mirror,
                incident = gave_way.incident,
                "outbox full: messages gave way"
            );
        }
    }

    fn call<T: Send + 'static, E: Into<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.writer.call(work)
    }

    /// Does all of this or, on an error, nothing of it.
    fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(move |db| {
            let change = db.transaction()?;
            let done = work(&change)?;
            change.commit()?;
            Ok::<_, StoreError>(done)
        })
    }
}
