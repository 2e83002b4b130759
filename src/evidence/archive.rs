//! Where evidence files live: named by their content, written whole or not at all, deleted by age and by size.

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

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn archive() -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(folder.path()).expect("an archive");
        (folder, archive)
    }

    fn captured_at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    /// Every file under the archive's folder, by relative path.
    fn listing(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(root).expect("below").display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_picture_says_how_large_it_is() {
        let (_dir, archive) = archive();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        encoder.encode(&[0; 40 * 30], 40, 30, image::ExtendedColorType::L8).unwrap();
        let at = captured_at("2026-11-22T00:00:00Z");
        let size =
            |bytes: &[u8]| archive.keep(Class::Incident, EvidenceKind::Snapshot, at, bytes).unwrap().size_px;
        assert_eq!(size(&bytes), Some([40, 30]));
        assert_eq!(size(b"abc"), None);
        assert_eq!(size(&bytes[..20]), None);
    }

    #[test]
    fn what_is_kept_is_what_the_reference_says() {
        let (folder, archive) = archive();
        let kept = archive
            .keep(Class::Incident, EvidenceKind::Snapshot, captured_at("2026-11-21T23:59:59Z"), b"abc")
            .unwrap();
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(kept.sha256, sha);
        assert_eq!(kept.path, format!("evidence/2026-11-21/{sha}.jpg"));
        assert_eq!((kept.size_bytes, kept.media_type.as_str()), (3, "image/jpeg"));
        assert_eq!(fs::read(folder.path().join(&kept.path)).unwrap(), b"abc");
        let (clip, seconds) = archive
            .keep_written(Class::Incident, EvidenceKind::Clip, captured_at("2026-11-22T00:00:00Z"), |path| {
                fs::write(path, b"video").unwrap();
                Ok(7.5)
            })
            .unwrap();
        assert_eq!(clip.path, format!("evidence/2026-11-22/{}.mp4", clip.sha256));
        assert_eq!((clip.media_type.as_str(), seconds), ("video/mp4", 7.5));
        // The same bytes again are the same file.
        let again = archive
            .keep(Class::Incident, EvidenceKind::Snapshot, captured_at("2026-11-21T12:00:00Z"), b"abc")
            .unwrap();
        assert_eq!(again, kept);
        assert_eq!(listing(folder.path()), [kept.path, clip.path]);
    }

    #[test]
    fn nothing_half_written_stays() {
        let (folder, archive) = archive();
        let refused = archive.keep_written(
            Class::Incident,
            EvidenceKind::Clip,
            captured_at("2026-11-22T00:00:00Z"),
            |path| {
                fs::write(path, b"half").unwrap();
                Err::<(), _>(EvidenceError::NoEncoder)
            },
        );
        assert!(matches!(refused, Err(EvidenceError::NoEncoder)));
        assert!(listing(folder.path()).is_empty());
        // A process that was killed while it wrote.
        fs::write(archive.unfinished().join("left.mp4"), b"half").unwrap();
        Archive::open(folder.path()).unwrap();
        assert!(listing(folder.path()).is_empty());
    }

    #[test]
    fn a_full_disk_is_said_and_leaves_nothing() {
        // The device that is always full stands for a full disk: a link to it where the file would be written.
        let (folder, archive) = archive();
        let kept = archive.keep_written(
            Class::Incident,
            EvidenceKind::Snapshot,
            captured_at("2026-11-22T00:00:00Z"),
            |path| {
                std::os::unix::fs::symlink("/dev/full", path).map_err(trouble("link", path))?;
                File::options()
                    .write(true)
                    .open(path)
                    .and_then(|mut f| f.write_all(b"abc"))
                    .map_err(trouble("write", path))
            },
        );
        let error = kept.expect_err("no room");
        assert!(matches!(error, EvidenceError::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().contains("evidence.bytes_max"), "{error}");
        assert!(listing(folder.path()).is_empty());
    }

    #[test]
    fn clips_on_a_full_disk_fail_as_well() {
        let (folder, archive) = archive();
        let mut data = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut data)
            .encode(&[90; 64 * 48 * 3], 64, 48, image::ExtendedColorType::Rgb8)
            .unwrap();
        let unit = crate::frame::AccessUnit {
            captured: crate::evidence::snapshot::tests::captured(0.0),
            codec: crate::frame::Codec::Mjpeg,
            key: true,
            after_loss: false,
            data: data.into(),
            pts_90k: 0,
        };
        let kept = archive.keep_written(
            Class::Incident,
            EvidenceKind::Clip,
            captured_at("2026-11-22T00:00:00Z"),
            |path| {
                std::os::unix::fs::symlink("/dev/full", path).map_err(trouble("link", path))?;
                crate::evidence::remux(&[unit], path)
            },
        );
        assert!(kept.is_err());
        assert!(listing(folder.path()).is_empty());
    }

    /// A real small disk, where this process may mount one.
    #[test]
    fn a_small_disk_fills_up_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = |tool: &str, args: &[&str]| std::process::Command::new(tool).args(args).output();
        let place = folder.path().to_str().expect("UTF-8");
        if !mount("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", place])
            .is_ok_and(|o| o.status.success())
        {
            println!("skipped: this process may not mount a tmpfs");
            return;
        }
        let archive = Archive::open(folder.path()).expect("an archive");
        let at = captured_at("2026-11-22T00:00:00Z");
        let (small, large) = (vec![1; 100_000], vec![2; 200_000]);
        let fits = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, &small);
        let does_not = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, &large);
        let left = listing(folder.path());
        let after =
            archive.sweep(SystemTime::now(), 50_000, &HashSet::new(), |files| vec![false; files.len()]);
        let fits_now = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, &large);
        mount("umount", &[place]).expect("unmounted");
        assert_eq!(left, [fits.expect("room").path]);
        assert!(matches!(does_not, Err(EvidenceError::DiskFull { .. })), "{does_not:?}");
        assert_eq!(after.expect("swept").displaced.len(), 1);
        assert!(fits_now.is_ok());
    }

    #[test]
    fn what_was_asked_for_is_told_from_what_an_incident_cites() {
        let (folder, archive) = archive();
        let at = captured_at("2026-11-22T00:00:00Z");
        let asked = archive.keep(Class::Asked, EvidenceKind::Snapshot, at, b"asked").unwrap();
        let cited = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, b"cited").unwrap();
        assert!(asked.path.starts_with("evidence/asked-2026-11-22/"), "{}", asked.path);
        let find = |sha: &str| Archive::find(folder.path(), sha).unwrap();
        assert_eq!(find(&asked.sha256), Some(asked.path.clone()));
        assert_eq!(find(&cited.sha256[..12]), Some(cited.path));
        assert_eq!((find("0123"), find("")), (None, None));
        let only_asked = |files: &[(&str, Class, Duration)]| {
            files.iter().map(|(_, class, _)| *class == Class::Asked).collect()
        };
        let swept = archive.sweep(SystemTime::now(), u64::MAX, &HashSet::new(), only_asked).unwrap();
        assert_eq!((swept.expired, swept.displaced), (vec![asked.path], vec![]));
        assert_eq!(swept.kept_bytes, 5);
    }

    #[test]
    fn old_files_go_then_the_oldest_and_never_those_of_open_incidents() {
        // (age in days, bytes, protected), retention, most bytes, and which stay.
        type File_ = (u64, usize, bool);
        let cases: &[(&[File_], u64, u64, &[usize])] = &[
            (&[(40, 10, false), (29, 10, false), (0, 10, false)], 30, 1000, &[1, 2]),
            (&[(40, 10, true), (29, 10, false)], 30, 1000, &[0, 1]),
            (&[(3, 10, false), (2, 10, false), (1, 10, false)], 30, 20, &[1, 2]),
            (&[(3, 10, true), (2, 10, false), (1, 10, false)], 30, 20, &[0, 2]),
            (&[(3, 10, true), (2, 10, true)], 30, 5, &[0, 1]),
            (&[], 30, 0, &[]),
        ];
        for (files, days, bytes_max, stay) in cases {
            let (folder, archive) = archive();
            let now = SystemTime::now();
            let mut paths = Vec::new();
            let mut protected = HashSet::new();
            for (i, &(age, bytes, open)) in files.iter().enumerate() {
                let content = vec![i as u8; bytes];
                let kept = archive
                    .keep(
                        Class::Incident,
                        EvidenceKind::Snapshot,
                        captured_at("2026-11-22T00:00:00Z"),
                        &content,
                    )
                    .unwrap();
                let file = File::options().write(true).open(folder.path().join(&kept.path)).unwrap();
                file.set_modified(now - DAY * age as u32).unwrap();
                if open {
                    protected.insert(kept.path.clone());
                }
                paths.push(kept.path);
            }
            let too_old = |files: &[(&str, Class, Duration)]| {
                files.iter().map(|(_, _, age)| *age > DAY * *days as u32).collect()
            };
            let swept = archive.sweep(now, *bytes_max, &protected, too_old).unwrap();
            let mut wanted: Vec<String> = stay.iter().map(|&i| paths[i].clone()).collect();
            wanted.sort();
            assert_eq!(listing(folder.path()), wanted, "{files:?}");
            assert_eq!(swept.expired.len() + swept.displaced.len(), files.len() - stay.len());
            assert_eq!(swept.kept_bytes, stay.iter().map(|&i| files[i].1 as u64).sum::<u64>());
        }
    }
}
