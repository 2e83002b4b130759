//! What the platform decided about incidents.

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};
use uuid::Uuid;

use super::recheck::{self, RecheckAsked, RecheckAsker};
use super::record::parse;
use super::{Limits, StoreError};
use crate::event::{Incident, Verdict, VerdictKind, VerdictOutcome};
use crate::frame::CameraId;
use crate::observation::ZoneId;

/// A verdict with the time it came.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVerdict {
    /// When it came.
    pub received: Timestamp,
    /// What the platform decided.
    pub verdict: Verdict,
}

/// A verdict with the incident it is about, as that stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Ascending in the order in which verdicts came.
    pub number: i64,
    /// What was decided.
    pub verdict: StoredVerdict,
    /// About what.
    pub incident: Incident,
}

/// What became of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether it was kept.
    pub outcome: VerdictOutcome,
    /// What became of the re-check that it asks for; `None` if it asks for none.
    pub recheck: Option<RecheckAsked>,
}

/// Keeps a verdict, once, and with it the re-check that it asks for.
pub(super) fn add(
    change: &Transaction<'_>,
    limits: &Limits,
    incident: Uuid,
    verdict: &Verdict,
    retained: bool,
) -> Result<Taken, StoreError> {
    let id = incident.to_string();
    let json = serde_json::to_string(verdict).map_err(|e| StoreError::Row {
        table: "verdict",
        row: id.clone(),
        detail: e.to_string(),
    })?;
    let known: i64 =
        change.query_row("SELECT COUNT(*) FROM incident WHERE id = ?", [&id], |row| row.get(0))?;
    if known == 0 {
        return Ok(Taken { outcome: VerdictOutcome::UnknownIncident, recheck: None });
    }
    // A retained verdict comes again on every connection, also after others have followed it.
    let repeated: i64 = change.query_row(
        "SELECT COUNT(*) FROM verdict WHERE incident = ?1 AND json = ?2
           AND (?3 OR id = (SELECT MAX(id) FROM verdict WHERE incident = ?1))",
        params![id, json, retained],
        |row| row.get(0),
    )?;
    if repeated > 0 {
        return Ok(Taken { outcome: VerdictOutcome::Repeated, recheck: None });
    }
    change.execute(
        "INSERT INTO verdict (incident, received, json) VALUES (?, ?, ?)",
        params![id, Timestamp::now().to_string(), json],
    )?;
    change.execute(
        "DELETE FROM verdict WHERE incident = ?1 AND id <=
           (SELECT id FROM verdict WHERE incident = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![id, limits.verdicts_per_incident_max as i64],
    )?;
    let asker = RecheckAsker::Verdict { case_id: verdict.case_id.clone() };
    let resolved = verdict.verdict == VerdictKind::Resolved;
    let recheck = resolved.then(|| recheck::ask(change, incident, &asker)).transpose()?;
    Ok(Taken { outcome: VerdictOutcome::Stored, recheck })
}

/// The verdicts about an incident, oldest first.
pub(super) fn of_incident(db: &Connection, incident: Uuid) -> Result<Vec<StoredVerdict>, StoreError> {
    let id = incident.to_string();
    let mut query = db.prepare_cached("SELECT received, json FROM verdict WHERE incident = ? ORDER BY id")?;
    let rows = query.query_map([&id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (received, json) = row?;
        stored(&id, &received, &json)
    })
    .collect()
}

/// Verdicts after the one of this number, oldest first.
pub(super) fn after(db: &Connection, number: i64) -> rusqlite::Result<Vec<Decided>> {
    let mut query = db.prepare_cached(
        "SELECT verdict.id, verdict.received, verdict.json, incident.json
           FROM verdict JOIN incident ON incident.id = verdict.incident
          WHERE verdict.id > ? ORDER BY verdict.id LIMIT 1000",
    )?;
    let rows = query.query_map([number], |row| Ok(decided(row)))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().filter_map(passed_over).collect())
}

/// The last verdict of each incident, of those that still mean something after a restart.
pub(super) fn standing(db: &mut Connection, since: Timestamp) -> rusqlite::Result<(i64, Vec<Decided>)> {
    let read = db.transaction()?;
    let newest = read.query_row("SELECT COALESCE(MAX(id), 0) FROM verdict", [], |row| row.get(0))?;
    let decided = {
        let mut query = read.prepare(
            "SELECT verdict.id, verdict.received, verdict.json, incident.json
               FROM verdict JOIN incident ON incident.id = verdict.incident
              WHERE verdict.id = (SELECT MAX(id) FROM verdict AS other WHERE other.incident = verdict.incident)
                AND (incident.open OR (verdict.kind = 'false_alarm' AND verdict.received > ?))
              ORDER BY verdict.id",
        )?;
        let rows = query.query_map([since.to_string()], |row| Ok(decided(row)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    Ok((newest, decided.into_iter().filter_map(passed_over).collect()))
}

/// How a zone's incidents of a kind were judged.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Precision {
    /// The camera.
    pub camera: CameraId,
    /// The zone.
    pub zone: ZoneId,
    /// The scenario's id.
    pub kind: String,
    /// Incidents that were accepted, resolved or ignored at last.
    pub right: u64,
    /// Incidents that were called a false alarm at last.
    pub wrong: u64,
}

impl Precision {
    /// Share of the judged incidents that were right, 0..1.
    pub fn ratio(&self) -> f64 {
        self.right as f64 / (self.right + self.wrong).max(1) as f64
    }
}

/// How incidents were judged whose last verdict came after `since`, by camera, zone and kind.
pub(super) fn precision(db: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Precision>> {
    let mut query = db.prepare_cached(
        "SELECT incident.camera, incident.zone, incident.kind,
                SUM(verdict.kind <> 'false_alarm'), SUM(verdict.kind = 'false_alarm')
           FROM verdict JOIN incident ON incident.id = verdict.incident
          WHERE verdict.received > ?
            AND verdict.id = (SELECT MAX(id) FROM verdict AS other WHERE other.incident = verdict.incident)
          GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )?;
    let rows = query.query_map([since.to_string()], |row| {
        let text = |column| row.get::<_, String>(column);
        Ok(Precision {
            camera: text(0)?.as_str().into(),
            zone: text(1)?.as_str().into(),
            kind: text(2)?,
            right: row.get::<_, i64>(3)?.max(0) as u64,
            wrong: row.get::<_, i64>(4)?.max(0) as u64,
        })
    })?;
    rows.collect()
}

fn decided(row: &Row<'_>) -> Result<Decided, StoreError> {
    let text = |column| row.get::<_, String>(column);
    let number: i64 = row.get(0)?;
    let name = number.to_string();
    Ok(Decided {
        number,
        verdict: stored(&name, &text(1)?, &text(2)?)?,
        incident: parse("incident", &name, &text(3)?)?,
    })
}

fn stored(row: &str, received: &str, json: &str) -> Result<StoredVerdict, StoreError> {
    let received = received.parse().map_err(|e: jiff::Error| StoreError::Row {
        table: "verdict",
        row: row.to_owned(),
        detail: e.to_string(),
    })?;
    Ok(StoredVerdict { received, verdict: parse("verdict", row, json)? })
}

/// One row that cannot be read must not keep all others from being heard.
fn passed_over(row: Result<Decided, StoreError>) -> Option<Decided> {
    row.map_err(|error| tracing::error!("a verdict is passed over: {error}")).ok()
}
