//! The outbox: what must be delivered, in the order in which it must arrive.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::Limits;

/// What a message is for; decides who gives way when the outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// A picture that an incident cites. Gives way first.
    Evidence,
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
    /// Statements about incidents.
    pub incident: u64,
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

/// Appends a message after making room for it by the declared policy: the oldest picture gives way first, then (if
/// the message is a statement) the oldest statement; a picture never displaces a statement.
pub(super) fn append(
    change: &Transaction<'_>,
    limits: &Limits,
    incident: Uuid,
    message: &Message,
    gave_way: &mut GaveWay,
) -> rusqlite::Result<()> {
    let bytes = message.payload.size_bytes();
    loop {
        let now = size(change)?;
        if now.rows < limits.outbox_rows_max && now.bytes.saturating_add(bytes) <= limits.outbox_bytes_max {
            break;
        }
        if drop_oldest(change, "evidence")? {
            gave_way.evidence += 1;
        } else if message.kind == MessageKind::Evidence {
            gave_way.evidence += 1;
            return Ok(());
        } else if drop_oldest(change, "incident")? {
            gave_way.incident += 1;
        } else {
            break; // A single statement beyond the byte limit: it goes in, the limit is against floods.
        }
    }
    let (payload, file, sha256) = match &message.payload {
        Payload::Bytes(bytes) => (Some(bytes), None, None),
        Payload::File { path, sha256, .. } => (None, Some(path.to_string_lossy()), Some(sha256)),
    };
    change
        .prepare_cached(
            "INSERT INTO outbox (topic, kind, incident, created, payload, file, sha256, bytes)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            message.topic,
            match message.kind {
                MessageKind::Evidence => "evidence",
                MessageKind::Incident => "incident",
            },
            incident.to_string(),
            Timestamp::now().to_string(),
            payload,
            file,
            sha256,
            bytes as i64,
        ])?;
    Ok(())
}

fn drop_oldest(change: &Transaction<'_>, kind: &str) -> rusqlite::Result<bool> {
    let oldest: Option<i64> = change
        .prepare_cached("SELECT id FROM outbox WHERE kind = ? ORDER BY id LIMIT 1")?
        .query_row([kind], |row| row.get(0))
        .optional()?;
    let Some(oldest) = oldest else { return Ok(false) };
    change.execute("DELETE FROM outbox WHERE id = ?", [oldest])?;
    Ok(true)
}

/// The oldest messages, at most `rows_max` and about `bytes_max` bytes, but at least one if there is any.
pub(super) fn head(db: &Connection, rows_max: usize, bytes_max: u64) -> rusqlite::Result<Vec<OutboxRow>> {
    let mut query = db.prepare_cached(
        "SELECT id, topic, kind, incident, payload, file, sha256, bytes FROM outbox ORDER BY id LIMIT ?",
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
        let kind = if row.get::<_, String>(2)? == "evidence" {
            MessageKind::Evidence
        } else {
            MessageKind::Incident
        };
        head.push(OutboxRow {
            id: row.get(0)?,
            // An id that cannot be read does not hold back the message.
            incident: row.get::<_, String>(3)?.parse().unwrap_or_default(),
            message: Message { topic: row.get(1)?, kind, payload },
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
