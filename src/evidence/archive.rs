//! Where evidence files live: named by their content, written whole or not at all, deleted by age and by size.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::EvidenceError;
use crate::event::{EvidenceKind, EvidenceRef};

/// Keeps evidence under `<data_dir>/evidence/YYYY-MM-DD/<sha256>.<jpg|mp4>` (days in UTC), and what merely was asked for
/// under `<data_dir>/evidence/asked-YYYY-MM-DD/`.
#[derive(Debug, Clone)]
pub struct Archive {
    data_dir: PathBuf,
}

/// What a piece is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An incident cites it.
    Incident,
    /// Somebody asked how it looks there; no incident does.
    Asked,
}

/// What [`Archive::sweep`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files deleted because they were past their time, as [`EvidenceRef::path`].
    pub expired: Vec<String>,
    /// Files deleted because there were too many bytes, as [`EvidenceRef::path`].
    pub displaced: Vec<String>,
    /// Bytes of all these.
    pub deleted_bytes: u64,
    /// Bytes of the files that stay.
    pub kept_bytes: u64,
    /// Files that could not be deleted; they are tried again next time.
    pub failed: usize,
}

/// The folder, and in it the one for files that are being written; a crash leaves files only there.
const FOLDER: &str = "evidence";
const ASKED: &str = "asked-";
const UNFINISHED: &str = ".unfinished";

impl Archive {
    /// Opens the archive in `data_dir`, makes its folders, and removes what a crash left half-written.
    pub fn open(data_dir: impl Into<PathBuf>) -> Result<Self, EvidenceError> {
        let archive = Self { data_dir: data_dir.into() };
        let unfinished = archive.unfinished();
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(trouble("clear", &unfinished))?;
        }
        fs::create_dir_all(&unfinished).map_err(trouble("create", &unfinished))?;
        Ok(archive)
    }

    fn unfinished(&self) -> PathBuf {
        self.data_dir.join(FOLDER).join(UNFINISHED)
    }

    /// Keeps bytes, such as a snapshot, captured at `at`.
    pub fn keep(
        &self,
        class: Class,
        kind: EvidenceKind,
        at: Timestamp,
        bytes: &[u8],
    ) -> Result<EvidenceRef, EvidenceError> {
        self.keep_written(class, kind, at, |path| {
            let write = || File::create(path)?.write_all(bytes);
            write().map_err(trouble("write", path))
        })
        .map(|(reference, ())| EvidenceRef { size_px: picture_size(bytes), ..reference })
    }

    /// Keeps what `write` puts into the file at the path it is given, such as a clip; also returns what `write` returned.
    ///
    /// The file appears under its final name only when it is complete and on disk; on any error nothing is left.
    pub fn keep_written<T>(
        &self,
        class: Class,
        kind: EvidenceKind,
        at: Timestamp,
        write: impl FnOnce(&Path) -> Result<T, EvidenceError>,
    ) -> Result<(EvidenceRef, T), EvidenceError> {
        let (extension, media_type) = match kind {
            EvidenceKind::Snapshot | EvidenceKind::Reference => ("jpg", "image/jpeg"),
            EvidenceKind::Clip => ("mp4", "video/mp4"),
        };
        let unfinished = Unfinished(self.unfinished().join(format!("{}.{extension}", uuid::Uuid::now_v7())));
        let path = &unfinished.0;
        let written = write(path)?;
        let (sha256, size_bytes) = digest(path).map_err(trouble("read back", path))?;
        let asked = if class == Class::Asked { ASKED } else { "" };
        let day = format!("{asked}{}", at.to_zoned(TimeZone::UTC).date());
        let relative = format!("{FOLDER}/{day}/{sha256}.{extension}");
        let target = self.data_dir.join(&relative);
        let folder = self.data_dir.join(FOLDER).join(day);
        fs::create_dir_all(&folder).map_err(trouble("create", &folder))?;
        let settle = || {
            File::open(path)?.sync_all()?;
            fs::rename(path, &target)?;
            // The name itself is on disk only when the folder is.
            File::open(&folder)?.sync_all()
        };
        settle().map_err(trouble("keep", &target))?;
        let media_type = media_type.to_owned();
        Ok((
            EvidenceRef { kind, sha256, size_bytes, media_type, size_px: None, path: relative, topic: None },
            written,
        ))
    }

    /// Deletes the files that `expired` picks, then the oldest until at most `bytes_max` are left; never a file whose
    /// [`EvidenceRef::path`] is in `protected` (evidence of open incidents).
    ///
    /// `expired` is given paths, what they are kept for and their ages, counted from when they were kept, oldest first, and
    /// says of each whether its time is over.
    pub fn sweep(
        &self,
        now: SystemTime,
        bytes_max: u64,
        protected: &HashSet<String>,
        expired: impl FnOnce(&[(&str, Class, Duration)]) -> Vec<bool>,
    ) -> Result<Swept, EvidenceError> {
        let mut files = self.files()?;
        files.retain(|file| !protected.contains(&file.relative));
        files.sort();
        let protected_bytes: u64 = protected.iter().map(|path| self.size_bytes(path)).sum();
        let bytes: u64 = files.iter().map(|f| f.bytes).sum();
        let mut swept = Swept { kept_bytes: bytes + protected_bytes, ..Swept::default() };
        let ages = files.iter().map(|file| {
            // A file of the future, after the clock was set back, is new.
            let age = now.duration_since(file.since).unwrap_or_default();
            (&*file.relative, file.class(), age)
        });
        let expired = expired(&ages.collect::<Vec<_>>());
        let is_expired: Vec<bool> =
            expired.into_iter().chain(std::iter::repeat(false)).take(files.len()).collect();
        let (over, rest): (Vec<_>, Vec<_>) = files.into_iter().zip(is_expired).partition(|(_, over)| *over);
        for (file, over) in over.into_iter().chain(rest) {
            if !over && swept.kept_bytes <= bytes_max {
                break;
            }
            let path = self.data_dir.join(&file.relative);
            match fs::remove_file(&path) {
                Ok(()) => {
                    if over { &mut swept.expired } else { &mut swept.displaced }.push(file.relative);
                    swept.deleted_bytes += file.bytes;
                    swept.kept_bytes -= file.bytes;
                    // A day's folder goes with its last file; as long as it is not empty this fails, rightly.
                    let _ = path.parent().map(fs::remove_dir);
                }
                Err(_) => swept.failed += 1,
            }
        }
        Ok(swept)
    }

    fn size_bytes(&self, relative: &str) -> u64 {
        fs::metadata(self.data_dir.join(relative)).map_or(0, |about| about.len())
    }

    /// Where the piece of this SHA-256 (or the beginning of one) lies, as [`EvidenceRef::path`]; none if several do.
    pub fn find(data_dir: &Path, sha256: &str) -> Result<Option<String>, EvidenceError> {
        let archive = Self { data_dir: data_dir.to_owned() };
        let files = archive.files()?;
        let mut found = files.into_iter().filter(|file| {
            let name = file.relative.rsplit('/').next().unwrap_or_default();
            name.starts_with(sha256)
        });
        let first = found.next().map(|file| file.relative);
        Ok(first.filter(|_| found.next().is_none()))
    }

    fn files(&self) -> Result<Vec<Kept>, EvidenceError> {
        let root = self.data_dir.join(FOLDER);
        let mut files = Vec::new();
        for day in fs::read_dir(&root).map_err(trouble("list", &root))?.flatten() {
            let name = day.file_name();
            let Some(name) = name.to_str().filter(|name| *name != UNFINISHED) else { continue };
            let Ok(entries) = fs::read_dir(day.path()) else { continue };
            for entry in entries.flatten() {
                let (Ok(about), Some(file)) = (entry.metadata(), entry.file_name().into_string().ok()) else {
                    continue;
                };
                if about.is_file() {
                    let since = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    files.push(Kept {
                        since,
                        relative: format!("{FOLDER}/{name}/{file}"),
                        bytes: about.len(),
                    });
                }
            }
        }
        Ok(files)
    }
}

/// A file of the archive; sorts by age, oldest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    since: SystemTime,
    relative: String,
    bytes: u64,
}

impl Kept {
    fn class(&self) -> Class {
        let asked = self.relative[FOLDER.len()..].trim_start_matches('/').starts_with(ASKED);
        if asked { Class::Asked } else { Class::Incident }
    }
}

/// A file that vanishes with this value unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(super) fn trouble(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EvidenceError {
    let path = path.to_owned();
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => EvidenceError::DiskFull { path },
        _ => EvidenceError::File { doing, path, source },
    }
}

/// SHA-256 in lower-case hex and size of a file.
fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut sha = Sha256::new();
    let mut size = 0;
    let mut part = vec![0; 64 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => return Ok((hex::encode(sha.finalize()), size)),
            n => {
                sha.update(&part[..n]);
                size += n as u64;
            }
        }
    }
}

/// Width and height of a picture; `None` for what is none.
fn picture_size(bytes: &[u8]) -> Option<[u32; 2]> {
    let reader = image::ImageReader::new(io::Cursor::new(bytes)).with_guessed_format().ok()?;
    reader.into_dimensions().ok().map(|(width, height)| [width, height])
}
