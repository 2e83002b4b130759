//! Commands that were carried out, so that one that comes twice (QoS 1, a platform that did not hear) is answered as before.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use crate::event::command::CommandName;

/// Commands that are remembered, the newest: nine minutes' of a platform that sends as many of each name as are taken, a day's of
/// a busy one.
const KEPT_MAX: i64 = 4_000;

/// A command that was carried out, with what was said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What was asked for.
    pub name: CommandName,
    /// The command's id, of its own among those of its name.
    pub id: String,
    /// The reply, JSON as it is published.
    pub reply: String,
}

impl Answered {
    /// A command with its reply.
    pub fn new(name: CommandName, id: &str, reply: &impl Serialize) -> Self {
        // Replies have no maps with odd keys.
        Self { name, id: id.to_owned(), reply: serde_json::to_string(reply).unwrap_or_default() }
    }
}

/// Remembers an answer; of one command the newest.
pub(super) fn put(change: &Transaction<'_>, Answered { name, id, reply }: &Answered) -> rusqlite::Result<()> {
    let name = name.as_str();
    change.execute(
        "INSERT OR REPLACE INTO command (name, id, reply) VALUES (?, ?, ?)",
        params![name, id, reply],
    )?;
    let first = change.last_insert_rowid() - KEPT_MAX;
    change.execute("DELETE FROM command WHERE number <= ?", [first])?;
    Ok(())
}

/// What was said of a command.
pub(super) fn reply(db: &Connection, name: CommandName, id: &str) -> rusqlite::Result<Option<String>> {
    let mut query = db.prepare_cached("SELECT reply FROM command WHERE name = ? AND id = ?")?;
    query.query_row(params![name.as_str(), id], |row| row.get(0)).optional()
}
