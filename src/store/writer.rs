//! The one thread that works on the store's file, and how everybody else waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{FILE, StoreError, layout};

/// Jobs that may wait for the writer: more callers than that have no business at once, they wait their turn.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The file, in the hands of one thread; it ends with this value, after what it was given to do.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Mutex<Option<crossbeam_channel::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join(); // A panic in there has been reported by the panic hook already.
        }
    }
}

impl Writer {
    /// Opens or creates the file in the data directory, for this process alone.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        let unopened = |e: std::io::Error| StoreError::Open { path: path.clone(), detail: e.to_string() };
        std::fs::create_dir_all(data_dir).map_err(unopened)?;
        let lock = claim(&path)?;
        let mut db = Connection::open(&path).map_err(|e| StoreError::of(path.clone(), e))?;
        prepare(&mut db, &path).map_err(|e| e.at(&path))?;
        let (jobs, work) = crossbeam_channel::bounded::<Job>(QUEUE);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            let _lock = lock;
            for job in work {
                job(&mut db);
            }
        });
        let thread = thread.map_err(unopened)?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)), path })
    }

    /// Has this done, and waits for the answer.
    pub fn call<T: Send + 'static, E: Into<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = crossbeam_channel::bounded(1);
        jobs.ok_or(StoreError::Stopped)?
            .send(Box::new(move |db| {
                let _ = answer.send(work(db));
            }))
            .map_err(|_| StoreError::Stopped)?;
        let answer = answered.recv().map_err(|_| StoreError::Stopped)?;
        answer.map_err(|error| error.into().at(&self.path))
    }
}

/// Holds a lock that the system releases when this process ends, however it ends: an open exclusive transaction on an
/// empty database beside the store. (The store itself stays readable for `gridwatch watch`.)
fn claim(path: &Path) -> Result<Connection, StoreError> {
    let lock_path = path.with_extension("lock");
    let failed = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => StoreError::InUse { path: path.to_owned() },
        _ => StoreError::of(lock_path.clone(), e),
    };
    let lock = Connection::open(&lock_path).map_err(failed)?;
    lock.busy_timeout(Duration::ZERO).map_err(failed)?;
    lock.execute_batch("BEGIN EXCLUSIVE").map_err(failed)?;
    Ok(lock)
}

fn prepare(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // `watch` may hold a read lock for a moment.
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(32);
    let found = layout::version(db)?;
    if found > layout::NEWEST {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: layout::NEWEST });
    }
    let check: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(StoreError::Corrupt { path: path.to_owned(), detail: check });
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // Bounds the WAL file after a burst; SQLite's own default never shrinks it.
    db.pragma_update(None, "journal_size_limit", 16 << 20)?;
    Ok(layout::migrate(db)?)
}

/// Opens the file for reading, beside whoever writes.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|e| StoreError::of(path.to_owned(), e))?;
    db.busy_timeout(Duration::from_secs(5)).map_err(|e| StoreError::of(path.to_owned(), e))?;
    Ok(db)
}
