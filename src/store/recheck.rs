//! Places of incidents that somebody wants to be looked at again.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::StoreError;
use super::command::{self, Answered};
use super::record::parse;
use crate::event::Incident;

/// Re-checks that may wait: more than anybody goes through while a camera is away.
pub(super) const PENDING_MAX: i64 = 256;

/// Who asks for a re-check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecheckAsker {
    /// The platform's verdict `resolved`.
    Verdict {
        /// Its case number.
        case_id: Option<String>,
    },
    /// A command, with what is said of it if the re-check waits.
    Command(Answered),
}

/// What became of asking for a re-check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecheckAsked {
    /// It waits, perhaps since somebody else asked.
    Waits,
    /// So many wait that this one does not.
    Full,
    /// No such incident in this store.
    UnknownIncident,
}

/// A re-check that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingRecheck {
    /// Ascending in the order of asking, never used twice.
    pub number: i64,
    /// Whose place, as the incident stands now.
    pub incident: Incident,
    /// The platform's case number, if a verdict asked.
    pub case_id: Option<String>,
    /// The command's id, if one asked.
    pub command: Option<String>,
    /// When.
    pub asked: Timestamp,
}

/// Lets a re-check of a known incident wait; one that waits already gets what it lacks of the new asker's names.
pub(super) fn ask(
    change: &Transaction<'_>,
    incident: Uuid,
    asker: &RecheckAsker,
) -> rusqlite::Result<RecheckAsked> {
    let id = incident.to_string();
    let count = |sql: &str, of: &[&str]| {
        change.query_row(sql, rusqlite::params_from_iter(of), |row| row.get::<_, i64>(0))
    };
    if count("SELECT COUNT(*) FROM incident WHERE id = ?", &[&id])? == 0 {
        return Ok(RecheckAsked::UnknownIncident);
    }
    if count("SELECT COUNT(*) FROM recheck WHERE incident <> ?", &[&id])? >= PENDING_MAX {
        return Ok(RecheckAsked::Full);
    }
    let (case_id, command) = match asker {
        RecheckAsker::Verdict { case_id } => (case_id.as_deref(), None),
        RecheckAsker::Command(answered) => (None, Some(answered.id.as_str())),
    };
    change.execute(
        "INSERT INTO recheck (incident, command, case_id, asked) VALUES (?, ?, ?, ?)
         ON CONFLICT (incident) DO UPDATE
            SET command = COALESCE(excluded.command, command), case_id = COALESCE(excluded.case_id, case_id)",
        params![id, command, case_id, Timestamp::now().to_string()],
    )?;
    if let RecheckAsker::Command(answered) = asker {
        command::put(change, answered)?;
    }
    Ok(RecheckAsked::Waits)
}

/// Those that wait, oldest first; only that of one incident, if one is named.
pub(super) fn pending(db: &Connection, of: Option<Uuid>) -> Result<Vec<PendingRecheck>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT recheck.id, incident.json, recheck.case_id, recheck.command, recheck.asked
               FROM recheck JOIN incident ON incident.id = recheck.incident
              WHERE ?1 IS NULL OR recheck.incident = ?1 ORDER BY recheck.id",
    )?;
    let mut rows = query.query([of.map(|id| id.to_string())])?;
    let mut pending = Vec::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let (json, asked): (String, String) = (row.get(1)?, row.get(4)?);
        pending.push(PendingRecheck {
            number,
            incident: parse("incident", &format!("of re-check {number}"), &json)?,
            case_id: row.get(2)?,
            command: row.get(3)?,
            // A time that cannot be read does not hold back the look.
            asked: asked.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        });
    }
    Ok(pending)
}

/// Takes a re-check off the list; the incident it was about, `None` if it is not there (any more).
pub(super) fn take(change: &Transaction<'_>, number: i64) -> rusqlite::Result<Option<String>> {
    change
        .query_row("DELETE FROM recheck WHERE id = ? RETURNING incident", [number], |row| row.get(0))
        .optional()
}
