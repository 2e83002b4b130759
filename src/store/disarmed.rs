//! Zones that the platform has disarmed.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use crate::frame::CameraId;
use crate::observation::ZoneId;

/// A zone in which nothing opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disarmed {
    /// Its camera.
    pub camera: CameraId,
    /// Its id.
    pub zone: ZoneId,
    /// When it is armed again by itself; `None`: when somebody says so.
    pub until: Option<Timestamp>,
}

/// Disarms zones, over what was said of them before.
pub(super) fn disarm(change: &Transaction<'_>, zones: &[Disarmed]) -> rusqlite::Result<()> {
    for Disarmed { camera, zone, until } in zones {
        change.execute(
            "INSERT OR REPLACE INTO disarmed (camera, zone, until) VALUES (?, ?, ?)",
            params![camera.as_str(), &*zone.0, until.map(|until| until.to_string())],
        )?;
    }
    Ok(())
}

/// Arms zones; how many of them were disarmed.
pub(super) fn arm(change: &Transaction<'_>, camera: &CameraId, zones: &[ZoneId]) -> rusqlite::Result<usize> {
    let mut armed = 0;
    for zone in zones {
        armed += change.execute(
            "DELETE FROM disarmed WHERE camera = ? AND zone = ?",
            params![camera.as_str(), &*zone.0],
        )?;
    }
    Ok(armed)
}

/// All of them, also those whose time is over.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<Disarmed>> {
    let mut query = db.prepare_cached("SELECT camera, zone, until FROM disarmed ORDER BY camera, zone")?;
    let rows = query.query_map([], |row| {
        let (camera, zone): (String, String) = (row.get(0)?, row.get(1)?);
        // A time that cannot be read is over: a zone that nobody watches is the worse mistake.
        let until =
            row.get::<_, Option<String>>(2)?.map(|until| until.parse().unwrap_or(Timestamp::UNIX_EPOCH));
        Ok(Disarmed { camera: camera.as_str().into(), zone: zone.as_str().into(), until })
    })?;
    rows.collect()
}
