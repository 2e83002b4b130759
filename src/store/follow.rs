//! Reading a store that another process writes.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use super::writer::open_to_read;
use super::{FILE, StoreError, layout, record};
use crate::event::{Incident, Phase};

/// Changes of the past that a new follower sees first: about a page.
const LOOK_BACK: i64 = 50;

/// Follows the incidents of a store without writing to it, also while the daemon runs.
pub struct Follower {
    db: Connection,
    changed: i64,
    /// Last `seq` given out per open incident: what changed without a statement is not told.
    told: HashMap<Uuid, u32>,
}

impl Follower {
    /// Opens the store of a data directory for reading; it must exist.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        let db = open_to_read(&path)?;
        let found = layout::version(&db).map_err(|e| StoreError::of(path.clone(), e))?;
        if found != layout::NEWEST {
            return Err(StoreError::Newer { path, found, known: layout::NEWEST });
        }
        let newest = record::newest_change(&db).map_err(|e| StoreError::of(path, e))?;
        Ok(Self { db, changed: (newest - LOOK_BACK).max(0), told: HashMap::new() })
    }

    /// One incident, open or closed.
    pub fn incident(&self, id: Uuid) -> Result<Option<Incident>, StoreError> {
        record::one(&self.db, id)
    }

    /// Incidents with a new statement since the last call (at first: the last 50 changes), oldest change first, at most 1000.
    /// Of several changes of one incident between two calls only the newest is seen.
    pub fn changes(&mut self) -> Result<Vec<Incident>, StoreError> {
        let (newest, mut incidents) = record::changed_after(&self.db, self.changed)?;
        self.changed = newest;
        incidents.retain(|incident| match incident.phase {
            Phase::Closed => {
                self.told.remove(&incident.incident);
                true
            }
            _ => self.told.insert(incident.incident, incident.seq) != Some(incident.seq),
        });
        Ok(incidents)
    }
}
