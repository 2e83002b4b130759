//! What can go wrong with the store, in words that help on site.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another gridwatch works on the same data directory.
    #[error("`{}` is in use by another gridwatch; two must not share a data directory", path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is damaged or is no database.
    #[error(
        "`{}` is damaged ({detail}); move it and its `-wal` and `-shm` files away and start again: \
         undelivered messages in it are then only in the moved file",
        path.display()
    )]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// No room on the disk; nothing was changed.
    #[error("no room left on the disk of `{}`; nothing was changed", path.display())]
    DiskFull {
        /// The store's file.
        path: PathBuf,
    },
    /// The file was written by a newer gridwatch.
    #[error("`{}` has layout {found}, this gridwatch knows {known}; it was written by a newer version", path.display())]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Layout in the file.
        found: i64,
        /// Newest layout of this program.
        known: i64,
    },
    /// The file or its directory cannot be opened.
    #[error("`{}` cannot be opened: {detail}", path.display())]
    Open {
        /// The store's file.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// SQLite refused a statement.
    #[error("store: {0}")]
    Sql(rusqlite::Error),
    /// A row holds something that is no incident, verdict or id.
    #[error("store: row {row} of `{table}` cannot be read: {detail}")]
    Row {
        /// Which table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong.
        detail: String,
    },
    /// The writer thread has ended.
    #[error("store: the writer has stopped")]
    Stopped,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl StoreError {
    /// Gives what SQLite refused its meaning for the file at `path`.
    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::Sql(error) => Self::of(path.to_owned(), error),
            other => other,
        }
    }

    /// Gives an SQLite error its meaning for the file at `path`.
    pub(super) fn of(path: PathBuf, error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { path, detail },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Open { path, detail }
            }
            _ => Self::Sql(error),
        }
    }
}
