//! Incidents as they stand, and what scenes must remember.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::{Limits, StoreError};
use crate::event::{Incident, Phase};
use crate::frame::CameraId;
use crate::observation::ZoneId;

/// Writes an incident's newest state over its older one.
pub(super) fn put(change: &Transaction<'_>, incident: &Incident) -> Result<(), StoreError> {
    let json = serde_json::to_string(incident).map_err(|e| StoreError::Row {
        table: "incident",
        row: incident.incident.to_string(),
        detail: e.to_string(),
    })?;
    change
        .prepare_cached(
            "INSERT INTO incident (id, camera, zone, open, changed, json)
             VALUES (?1, ?2, ?3, ?4, (SELECT COALESCE(MAX(changed), 0) + 1 FROM incident), ?5)
             ON CONFLICT (id) DO UPDATE SET open = excluded.open, changed = excluded.changed, json = excluded.json",
        )
        .and_then(|mut put| {
            put.execute(params![
                incident.incident.to_string(),
                incident.camera.id.as_str(),
                &*incident.zone.id.0,
                incident.phase != Phase::Closed,
                json,
            ])
        })?;
    for piece in &incident.evidence {
        change
            .prepare_cached("INSERT OR IGNORE INTO citation (path, incident) VALUES (?, ?)")
            .and_then(|mut cite| cite.execute(params![piece.path, incident.incident.to_string()]))?;
    }
    Ok(())
}

/// An incident that cites a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// The scenario's id.
    pub kind: String,
    /// Whether the platform called it a false alarm at last.
    pub false_alarm: bool,
}

/// The incidents that cite each of these files.
pub(super) fn citations(db: &Connection, paths: &[String]) -> rusqlite::Result<Vec<Vec<Citation>>> {
    let mut query = db.prepare_cached(
        "SELECT incident.kind,
                (SELECT kind FROM verdict WHERE incident = incident.id ORDER BY id DESC LIMIT 1) IS 'false_alarm'
           FROM citation JOIN incident ON incident.id = citation.incident WHERE citation.path = ?",
    )?;
    let mut of = |path: &String| {
        let cited = |row: &rusqlite::Row<'_>| Ok(Citation { kind: row.get(0)?, false_alarm: row.get(1)? });
        query.query_map([path], cited)?.collect()
    };
    paths.iter().map(&mut of).collect()
}

/// Forgets the oldest closed incidents beyond the limit, with their verdicts.
pub(super) fn prune(change: &Transaction<'_>, limits: &Limits) -> rusqlite::Result<()> {
    let forgotten = change.execute(
        "DELETE FROM incident WHERE open = 0 AND changed <=
           (SELECT changed FROM incident WHERE open = 0 ORDER BY changed DESC LIMIT 1 OFFSET ?)",
        [limits.closed_incidents_max as i64],
    )?;
    if forgotten > 0 {
        change.execute("DELETE FROM verdict WHERE incident NOT IN (SELECT id FROM incident)", [])?;
        change.execute("DELETE FROM recheck WHERE incident NOT IN (SELECT id FROM incident)", [])?;
        change.execute("DELETE FROM citation WHERE incident NOT IN (SELECT id FROM incident)", [])?;
    }
    Ok(())
}

pub(super) fn open_count(db: &Connection) -> rusqlite::Result<usize> {
    db.query_row("SELECT COUNT(*) FROM incident WHERE open = 1", [], |row| row.get::<_, i64>(0))
        .map(|count| count.max(0) as usize)
}

pub(super) fn open(db: &Connection) -> Result<Vec<Incident>, StoreError> {
    Ok(read(db, "SELECT changed, json FROM incident WHERE open = ? ORDER BY changed", 1)?.1)
}

/// The incidents that changed last, newest change first.
pub(super) fn latest(db: &Connection, count_max: usize) -> Result<Vec<Incident>, StoreError> {
    Ok(read(db, "SELECT changed, json FROM incident ORDER BY changed DESC LIMIT ?", count_max as i64)?.1)
}

/// Incidents that changed after the change `changed`, oldest change first, and the newest change among them.
pub(super) fn changed_after(db: &Connection, changed: i64) -> Result<(i64, Vec<Incident>), StoreError> {
    let sql = "SELECT changed, json FROM incident WHERE changed > ? ORDER BY changed LIMIT 1000";
    let (newest, incidents) = read(db, sql, changed)?;
    Ok((newest.max(changed), incidents))
}

/// The newest change of all.
pub(super) fn newest_change(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT COALESCE(MAX(changed), 0) FROM incident", [], |row| row.get(0))
}

pub(super) fn one(db: &Connection, id: Uuid) -> Result<Option<Incident>, StoreError> {
    let json: Option<String> = db
        .query_row("SELECT json FROM incident WHERE id = ?", [id.to_string()], |row| row.get(0))
        .optional()?;
    json.map(|json| parse("incident", &id.to_string(), &json)).transpose()
}

fn read(db: &Connection, sql: &str, argument: i64) -> Result<(i64, Vec<Incident>), StoreError> {
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query([argument])?;
    let mut newest = 0;
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        let changed: i64 = row.get(0)?;
        let json: String = row.get(1)?;
        newest = newest.max(changed);
        incidents.push(parse("incident", &format!("changed = {changed}"), &json)?);
    }
    Ok((newest, incidents))
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(
    table: &'static str,
    row: &str,
    json: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|e| StoreError::Row {
        table,
        row: row.to_owned(),
        detail: e.to_string(),
    })
}

/// How many incidents of a kind a zone had since then; their last verdict decides whether they count.
pub(super) fn count_since(
    db: &Connection,
    camera: &CameraId,
    zone: &ZoneId,
    kind: &str,
    since: Timestamp,
) -> rusqlite::Result<u32> {
    // Times are RFC 3339 in UTC: as text they sort as times, but for fractions of the same second.
    db.prepare_cached(
        "SELECT COUNT(*) FROM incident WHERE camera = ? AND zone = ? AND kind = ? AND first_seen > ?
           AND COALESCE((SELECT kind FROM verdict WHERE incident = incident.id ORDER BY id DESC LIMIT 1), '')
               <> 'false_alarm'",
    )?
    .query_row(params![camera.as_str(), &*zone.0, kind, since.to_string()], |row| row.get(0))
}

/// Keeps what scenes must remember.
pub(super) fn put_checkpoints(
    change: &Transaction<'_>,
    checkpoints: &[(CameraId, Option<String>)],
) -> rusqlite::Result<()> {
    for (camera, json) in checkpoints {
        match json {
            Some(json) => change
                .prepare_cached("INSERT OR REPLACE INTO checkpoint (camera, written, json) VALUES (?, ?, ?)")?
                .execute(params![camera.as_str(), Timestamp::now().to_string(), json])?,
            None => change
                .prepare_cached("DELETE FROM checkpoint WHERE camera = ?")?
                .execute([camera.as_str()])?,
        };
    }
    Ok(())
}

/// What a scene must remember.
pub(super) fn checkpoint(db: &Connection, camera: &CameraId) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT json FROM checkpoint WHERE camera = ?")?
        .query_row([camera.as_str()], |row| row.get(0))
        .optional()
}

/// Keeps what is known of cameras' health.
pub(super) fn put_health(change: &Transaction<'_>, known: &[(CameraId, String)]) -> rusqlite::Result<()> {
    for (camera, json) in known {
        change
            .prepare_cached("INSERT OR REPLACE INTO health (camera, written, json) VALUES (?, ?, ?)")?
            .execute(params![camera.as_str(), Timestamp::now().to_string(), json])?;
    }
    Ok(())
}

/// What is known of a camera's health.
pub(super) fn health(db: &Connection, camera: &CameraId) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT json FROM health WHERE camera = ?")?
        .query_row([camera.as_str()], |row| row.get(0))
        .optional()
}

/// Keeps what was learnt of a camera's empty zones.
pub(super) fn put_ground(db: &Connection, camera: &CameraId, bytes: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO ground (camera, written, bytes) VALUES (?, ?, ?)")?
        .execute(params![camera.as_str(), Timestamp::now().to_string(), bytes])?;
    Ok(())
}

/// What was learnt of a camera's empty zones.
pub(super) fn ground(db: &Connection, camera: &CameraId) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT bytes FROM ground WHERE camera = ?")?
        .query_row([camera.as_str()], |row| row.get(0))
        .optional()
}
