//! Fetching a catalogued model: resumed where it broke off, checked by hash before it counts as there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalogue::Entry;
use super::hash;

/// Why a model was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The server does not have it.
    #[error("`{url}` answers {status}; hint: {}", status_hint(*.status))]
    Status {
        /// The address.
        url: String,
        /// HTTP status code.
        status: u16,
    },
    /// The server cannot be reached, or the connection fails before the body.
    #[error("cannot reach `{url}`: {reason}; hint: is a proxy needed (HTTPS_PROXY), or a mirror?")]
    Connection {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The connection ended early, several times.
    #[error(
        "`{url}` broke off after {got} of {wanted} bytes; hint: run the same command again, it goes on from there"
    )]
    Short {
        /// The address.
        url: String,
        /// Bytes on disk.
        got: u64,
        /// Bytes that the catalogue knows.
        wanted: u64,
    },
    /// The server sends more than the model.
    #[error("`{url}` sends more than the {wanted} bytes of the model: it is another file")]
    Long {
        /// The address.
        url: String,
        /// Bytes that the catalogue knows.
        wanted: u64,
    },
    /// The bytes are not the model's.
    #[error(
        "`{url}` gave another file: its sha256 is {found}, the catalogue says {expected}; it was not kept"
    )]
    WrongHash {
        /// The address.
        url: String,
        /// Hash of what came.
        found: String,
        /// Hash in the catalogue.
        expected: String,
    },
    /// A file of that name is there and is not the model.
    #[error("`{0}` is there already and is another file; hint: move it away, or choose another `--dir`")]
    InTheWay(PathBuf),
    /// The disk is full.
    #[error("no room for `{file}`, which takes {} MB: {reason}; hint: free some, or choose another `--dir`", .wanted.div_ceil(1_000_000))]
    DiskFull {
        /// The file being written.
        file: PathBuf,
        /// Bytes that the model takes.
        wanted: u64,
        /// What the system says.
        reason: io::Error,
    },
    /// The directory or a file cannot be written.
    #[error("cannot write `{file}`: {reason}")]
    Write {
        /// The file or directory.
        file: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

fn status_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "the server wants a login, or does not serve this region; try from another network",
        404 | 410 => "the file has moved; look for a newer gridwatch",
        _ => "try again later",
    }
}

/// Connections per address: each goes on where the last broke off, so only a dead link uses them up.
const TRIES_MAX: usize = 5;

/// A server that says nothing for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Fetches `entry` into `dir`, with its card beside it; `progress` hears bytes done as they come. Returns the model's path.
pub fn pull(entry: &Entry, dir: &Path, mut progress: impl FnMut(u64)) -> Result<PathBuf, PullError> {
    let file = dir.join(entry.file());
    std::fs::create_dir_all(dir).map_err(|e| write_error(dir, entry, e))?;
    if file.exists() {
        if hash(&file).ok().as_deref() != Some(entry.sha256.as_str()) {
            return Err(PullError::InTheWay(file));
        }
    } else {
        let part = dir.join(format!("{}.part", entry.file()));
        let mut result = Ok(());
        for url in &entry.urls {
            result = fetch(entry, url, &part, &mut progress);
            match &result {
                // Another address does not help a disk.
                Ok(()) | Err(PullError::DiskFull { .. } | PullError::Write { .. }) => break,
                Err(e) => tracing::debug!("{e}"),
            }
        }
        result?;
        std::fs::rename(&part, &file).map_err(|e| write_error(&file, entry, e))?;
    }
    write_card(entry, &file)?;
    Ok(file)
}

/// Completes `part` from one address and checks it.
fn fetch(entry: &Entry, url: &str, part: &Path, progress: &mut impl FnMut(u64)) -> Result<(), PullError> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(SILENCE_MAX))
        .timeout_recv_response(Some(SILENCE_MAX))
        .timeout_per_read(Some(SILENCE_MAX))
        .user_agent(concat!("gridwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut resumed = length(part) > 0;
    let mut tries = 0;
    loop {
        while length(part) != entry.bytes {
            tries += 1;
            match fetch_once(&agent, entry, url, part, progress) {
                Err(PullError::Short { .. } | PullError::Connection { .. }) if tries < TRIES_MAX => {}
                other => other?,
            }
        }
        let found = hash(part).map_err(|e| write_error(part, entry, e))?;
        if found == entry.sha256 {
            return Ok(());
        }
        std::fs::remove_file(part).map_err(|e| write_error(part, entry, e))?;
        if !resumed {
            return Err(PullError::WrongHash { url: url.to_owned(), found, expected: entry.sha256.clone() });
        }
        // What an earlier run left may have been the fault; once more from the start.
        resumed = false;
        tries = 0;
    }
}

/// One connection: goes on where `part` ends if the server can, else from the start.
fn fetch_once(
    agent: &ureq::Agent,
    entry: &Entry,
    url: &str,
    part: &Path,
    progress: &mut impl FnMut(u64),
) -> Result<(), PullError> {
    let writing = |e: io::Error| write_error(part, entry, e);
    let connection =
        |e: &dyn std::fmt::Display| PullError::Connection { url: url.to_owned(), reason: e.to_string() };
    let mut out = OpenOptions::new().create(true).append(true).open(part).map_err(writing)?;
    let mut got = length(part);
    if got > entry.bytes {
        out.set_len(0).map_err(writing)?;
        got = 0;
    }
    let mut request = agent.get(url);
    if got > 0 {
        request = request.header("range", format!("bytes={got}-"));
    }
    let mut response = request.call().map_err(|e| connection(&e))?;
    let start = response.headers().get("content-range").and_then(|v| v.to_str().ok()).and_then(range_start);
    match response.status().as_u16() {
        206 if start == Some(got) => {}
        // 206: another range than asked for. 416: it has fewer bytes than lie here. Both: from the start, next time.
        206 | 416 if got > 0 => {
            out.set_len(0).map_err(writing)?;
            return Err(PullError::Short { url: url.to_owned(), got: 0, wanted: entry.bytes });
        }
        200 if got > 0 => {
            out.set_len(0).map_err(writing)?;
            got = 0;
        }
        200 => {}
        status => return Err(PullError::Status { url: url.to_owned(), status }),
    }
    // The limit on foreign bytes is the catalogue's size, kept below.
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 64 * 1024];
    progress(got);
    loop {
        let read = match body.read(&mut buffer) {
            Ok(read) => read,
            Err(e) => {
                tracing::debug!("{url}: {e}");
                0
            }
        };
        if read == 0 {
            break;
        }
        if got + read as u64 > entry.bytes {
            drop(out);
            std::fs::remove_file(part).map_err(writing)?;
            return Err(PullError::Long { url: url.to_owned(), wanted: entry.bytes });
        }
        out.write_all(&buffer[..read]).map_err(writing)?;
        got += read as u64;
        progress(got);
    }
    out.sync_all().map_err(writing)?;
    if got == entry.bytes {
        Ok(())
    } else {
        Err(PullError::Short { url: url.to_owned(), got, wanted: entry.bytes })
    }
}

/// The first byte of `bytes 100-199/200` (RFC 9110 section 14.4).
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |m| m.len())
}

/// Writes the card beside the model, unless one is there: the operator may have changed it.
fn write_card(entry: &Entry, model: &Path) -> Result<(), PullError> {
    let path = super::card::Card::path_for(model);
    if path.exists() {
        return Ok(());
    }
    let text = toml::to_string(&entry.card())
        .map_err(|e| write_error(&path, entry, io::Error::other(e.to_string())))?;
    File::create(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| write_error(&path, entry, e))
}

fn write_error(file: &Path, entry: &Entry, reason: io::Error) -> PullError {
    let file = file.to_owned();
    match reason.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            PullError::DiskFull { file, wanted: entry.bytes, reason }
        }
        _ => PullError::Write { file, reason },
    }
}
