//! The tables, and how an older file becomes a newer one (`user_version`).

use rusqlite::Connection;

/// One entry per layout; entry `n` turns layout `n` into `n + 1`. Never edit one that was released: add one.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE incident (
        id      TEXT PRIMARY KEY,
        camera  TEXT NOT NULL,
        zone    TEXT NOT NULL,
        open    INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        json    TEXT NOT NULL
    ) STRICT;
    -- Never two open for one zone: the database itself refuses.
    CREATE UNIQUE INDEX incident_open ON incident (camera, zone) WHERE open = 1;
    CREATE UNIQUE INDEX incident_changed ON incident (changed);

    -- AUTOINCREMENT: an id is never used again, so an acknowledgement cannot hit a newer row.
    CREATE TABLE outbox (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        topic    TEXT NOT NULL,
        kind     TEXT NOT NULL CHECK (kind IN ('evidence', 'incident')),
        incident TEXT NOT NULL,
        created  TEXT NOT NULL,
        payload  BLOB,
        file     TEXT,
        sha256   TEXT,
        bytes    INTEGER NOT NULL,
        CHECK ((payload IS NULL) = (file IS NOT NULL))
    ) STRICT;
    CREATE INDEX outbox_kind ON outbox (kind, id);

    -- Kept by triggers, so that the bounds cost no scan.
    CREATE TABLE outbox_size (rows INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
    INSERT INTO outbox_size VALUES (0, 0);
    CREATE TRIGGER outbox_grew AFTER INSERT ON outbox BEGIN
        UPDATE outbox_size SET rows = rows + 1, bytes = bytes + NEW.bytes;
    END;
    CREATE TRIGGER outbox_shrank AFTER DELETE ON outbox BEGIN
        UPDATE outbox_size SET rows = rows - 1, bytes = bytes - OLD.bytes;
    END;

    CREATE TABLE verdict (
        id       INTEGER PRIMARY KEY,
        incident TEXT NOT NULL,
        received TEXT NOT NULL,
        json     TEXT NOT NULL
    ) STRICT;
    CREATE INDEX verdict_incident ON verdict (incident, id);

    -- What the scene of a camera must remember over a restart; opaque here.
    CREATE TABLE checkpoint (
        camera  TEXT PRIMARY KEY,
        written TEXT NOT NULL,
        json    TEXT NOT NULL
    ) STRICT;
",
    "
    -- For how often a zone had incidents of a kind, and what became of them.
    ALTER TABLE incident ADD COLUMN kind TEXT GENERATED ALWAYS AS (json ->> 'kind') VIRTUAL;
    ALTER TABLE incident ADD COLUMN first_seen TEXT GENERATED ALWAYS AS (json ->> 'first_seen') VIRTUAL;
    CREATE INDEX incident_place ON incident (camera, zone, kind, first_seen);
    ALTER TABLE verdict ADD COLUMN kind TEXT GENERATED ALWAYS AS (json ->> 'verdict') VIRTUAL;
    CREATE INDEX verdict_received ON verdict (received);
",
    "
    -- Places that somebody wants to be looked at again; a row goes with the statement about it.
    CREATE TABLE recheck (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        incident TEXT NOT NULL UNIQUE,
        command  TEXT,
        case_id  TEXT,
        asked    TEXT NOT NULL
    ) STRICT;

    -- Zones in which nothing opens; without `until`, until they are armed.
    CREATE TABLE disarmed (
        camera TEXT NOT NULL,
        zone   TEXT NOT NULL,
        until  TEXT,
        PRIMARY KEY (camera, zone)
    ) STRICT;
",
    "
    -- What is known of a camera's health; opaque here.
    CREATE TABLE health (
        camera  TEXT PRIMARY KEY,
        written TEXT NOT NULL,
        json    TEXT NOT NULL
    ) STRICT;

    -- What a camera's zones look like when they are empty, as far as it was learnt; opaque here.
    CREATE TABLE ground (
        camera  TEXT PRIMARY KEY,
        written TEXT NOT NULL,
        bytes   BLOB NOT NULL
    ) STRICT;
",
    "
    -- Which incidents cite a file, for how long it is kept.
    CREATE TABLE citation (
        path     TEXT NOT NULL,
        incident TEXT NOT NULL,
        PRIMARY KEY (path, incident)
    ) STRICT, WITHOUT ROWID;
    INSERT OR IGNORE INTO citation
        SELECT piece.value ->> 'path', incident.id FROM incident, json_each(incident.json, '$.evidence') AS piece;
",
    "
    -- Who gives way when the outbox is full: by rank, then by level, then by age. Columns are added, not the table written anew:
    -- that must work on a full disk too. A copy of a statement in another shape has the kind of a statement, and is marked.
    ALTER TABLE outbox ADD COLUMN mirror INTEGER NOT NULL DEFAULT 0;
    -- Blue is 0, red is 3; what was written before gives way as late as red.
    ALTER TABLE outbox ADD COLUMN level INTEGER NOT NULL DEFAULT 3;
    ALTER TABLE outbox ADD COLUMN rank INTEGER
        GENERATED ALWAYS AS (CASE WHEN kind = 'evidence' THEN 0 WHEN mirror THEN 1 ELSE 2 END) VIRTUAL;
    DROP INDEX outbox_kind;
    CREATE INDEX outbox_gives_way ON outbox (rank, level, id);
",
    "
    -- Commands that were carried out and what was said of them; AUTOINCREMENT: the newest have the highest numbers.
    CREATE TABLE command (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name   TEXT NOT NULL,
        id     TEXT NOT NULL,
        reply  TEXT NOT NULL,
        UNIQUE (name, id)
    ) STRICT;
",
];

/// The newest layout this program knows.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// The layout of an open file.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the file to the newest layout, each step in a transaction of its own.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let found = version(db)?.max(0);
    for (number, step) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let change = db.transaction()?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", number as i64 + 1)?;
        change.commit()?;
    }
    Ok(())
}
