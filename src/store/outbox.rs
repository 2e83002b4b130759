//! The outbox: what must be delivered, in the order in which it must arrive.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::Limits;
use crate::config::Level;

/// What a message is for; decides who gives way when the outbox is full, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// A picture that an incident cites.
    Evidence,
    /// A statement about an incident once more, in the shape of another platform.
    Mirror,
    /// A statement about an incident.
    Incident,
}

/// The bytes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// A file under the data directory, which is not copied into the store.
    File {
        /// Its path under the data directory.
        path: PathBuf,
        /// SHA-256 of its bytes, lower-case hex.
        sha256: String,
        /// Its size.
        size_bytes: u64,
    },
}

impl Payload {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size_bytes, .. } => *size_bytes,
        }
    }
}

/// A message to be delivered at least once (QoS 1, not retained).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Full topic.
    pub topic: String,
    /// What it is for.
    pub kind: MessageKind,
    /// Its bytes.
    pub payload: Payload,
}

/// A message that waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Key by which it is acknowledged; ascending in the order of writing, never used twice.
    pub id: i64,
    /// Which incident it belongs to.
    pub incident: Uuid,
    /// The message.
    pub message: Message,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxSize {
    /// Messages.
    pub rows: u64,
    /// Bytes of their payloads, files included.
    pub bytes: u64,
}

/// Messages that gave way because the outbox was full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GaveWay {
    /// Pictures.
    pub evidence: u64,
    /// Statements in other platforms' shapes.
    pub mirror: u64,
    /// Statements about incidents.
    pub incident: u64,
}

impl GaveWay {
    fn count(&mut self, kind: MessageKind) {
        match kind {
            MessageKind::Evidence => self.evidence += 1,
            MessageKind::Mirror => self.mirror += 1,
            MessageKind::Incident => self.incident += 1,
        }
    }
}

/// Which incident a message is about, and how grave that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub incident: Uuid,
    pub level: Level,
}

pub(super) fn size(db: &Connection) -> rusqlite::Result<OutboxSize> {
    db.query_row("SELECT rows, bytes FROM outbox_size", [], |row| {
        Ok(OutboxSize {
            rows: row.get::<_, i64>(0)?.max(0) as u64,
            bytes: row.get::<_, i64>(1)?.max(0) as u64,
        })
    })
}

/// When the oldest message was written.
pub(super) fn oldest(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let created: Option<String> =
        db.query_row("SELECT created FROM outbox ORDER BY id LIMIT 1", [], |row| row.get(0)).optional()?;
    Ok(created.and_then(|created| created.parse().ok()))
}

/// Appends a message after making room for it by the declared policy: pictures give way first, then statements in other
/// shapes, then statements; among the same, the lowest level first, then the oldest. The new message is one of them: a
/// picture never displaces a statement, nor a blue one a red.
pub(super) fn append(
    change: &Transaction<'_>,
    limits: &Limits,
    about: About,
    message: &Message,
    gave_way: &mut GaveWay,
) -> rusqlite::Result<()> {
    let bytes = message.payload.size_bytes();
    loop {
        let now = size(change)?;
        if now.rows < limits.outbox_rows_max && now.bytes.saturating_add(bytes) <= limits.outbox_bytes_max {
            break;
        }
        match first_to_go(change)? {
            Some((id, kind, level)) if (kind, level) <= (message.kind, rank(about.level)) => {
                change.prepare_cached("DELETE FROM outbox WHERE id = ?")?.execute([id])?;
                gave_way.count(kind);
            }
            // A single statement beyond the byte limit: it goes in, the limit is against floods.
            None if message.kind == MessageKind::Incident => break,
            Some(_) | None => {
                gave_way.count(message.kind);
                return Ok(());
            }
        }
    }
    let (payload, file, sha256) = match &message.payload {
        Payload::Bytes(bytes) => (Some(bytes), None, None),
        Payload::File { path, sha256, .. } => (None, Some(path.to_string_lossy()), Some(sha256)),
    };
    change
        .prepare_cached(
            "INSERT INTO outbox (topic, kind, mirror, level, incident, created, payload, file, sha256, bytes)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            message.topic,
            if message.kind == MessageKind::Evidence { "evidence" } else { "incident" },
            message.kind == MessageKind::Mirror,
            rank(about.level),
            about.incident.to_string(),
            Timestamp::now().to_string(),
            payload,
            file,
            sha256,
            bytes as i64,
        ])?;
    Ok(())
}

/// Id, kind and level of the message that gives way next.
fn first_to_go(change: &Transaction<'_>) -> rusqlite::Result<Option<(i64, MessageKind, i64)>> {
    change
        .prepare_cached("SELECT id, rank, level FROM outbox ORDER BY rank, level, id LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, kind(row.get(1)?), row.get(2)?)))
        .optional()
}

fn kind(rank: i64) -> MessageKind {
    match rank {
        0 => MessageKind::Evidence,
        1 => MessageKind::Mirror,
        _ => MessageKind::Incident,
    }
}

fn rank(level: Level) -> i64 {
    match level {
        Level::Blue => 0,
        Level::Yellow => 1,
        Level::Orange => 2,
        Level::Red => 3,
    }
}

/// The oldest messages, at most `rows_max` and about `bytes_max` bytes, but at least one if there is any.
pub(super) fn head(db: &Connection, rows_max: usize, bytes_max: u64) -> rusqlite::Result<Vec<OutboxRow>> {
    let mut query = db.prepare_cached(
        "SELECT id, topic, rank, incident, payload, file, sha256, bytes FROM outbox ORDER BY id LIMIT ?",
    )?;
    let mut rows = query.query([rows_max as i64])?;
    let mut head = Vec::new();
    let mut total = 0;
    while let Some(row) = rows.next()? {
        let size_bytes = row.get::<_, i64>(7)?.max(0) as u64;
        total += size_bytes;
        if total > bytes_max && !head.is_empty() {
            break;
        }
        let payload = match row.get::<_, Option<Vec<u8>>>(4)? {
            Some(bytes) => Payload::Bytes(bytes),
            None => Payload::File {
                path: PathBuf::from(row.get::<_, String>(5)?),
                sha256: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                size_bytes,
            },
        };
        head.push(OutboxRow {
            id: row.get(0)?,
            // An id that cannot be read does not hold back the message.
            incident: row.get::<_, String>(3)?.parse().unwrap_or_default(),
            message: Message { topic: row.get(1)?, kind: kind(row.get(2)?), payload },
        });
    }
    Ok(head)
}

/// Removes messages that the broker has acknowledged (or that can never be sent). They are not forced off the disk: what a
/// power cut brings back is sent once more under its old id, and a disk that forces 25 changes a second would set the pace.
pub(super) fn remove(db: &mut Connection, ids: &[i64]) -> rusqlite::Result<()> {
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let removed = remove_together(db, ids);
    // Also after an error: everything else that is answered is on the disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    removed
}

fn remove_together(db: &mut Connection, ids: &[i64]) -> rusqlite::Result<()> {
    let change = db.transaction()?;
    for id in ids {
        change.prepare_cached("DELETE FROM outbox WHERE id = ?")?.execute([id])?;
    }
    change.commit()
}
