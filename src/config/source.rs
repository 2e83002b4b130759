//! A file of the operator's: its text, and the line and column of each byte of it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::problem::{Problem, Scope, Severity};

/// Largest file that is read: 10,000 cameras with zones are 10 MB; more is a wrong path.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A file of the operator's with its text decoded.
#[derive(Debug)]
pub(super) struct Source {
    pub path: PathBuf,
    pub text: String,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
}

impl Source {
    /// Takes the text as the file's content.
    pub fn new(path: impl Into<PathBuf>, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.into(), text, lines }
    }

    /// The line and the column (in characters) of a byte, both from 1.
    pub fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&start| start <= byte).max(1);
        let before = self.text.get(self.lines[line - 1]..byte).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// A problem at this place; its scope is set by whoever knows whose it is.
    pub fn problem(
        &self,
        at: &Range<usize>,
        severity: Severity,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        let (line, column) = self.line_and_column(at.start);
        let file = self.path.clone();
        Problem { file, line, column, severity, scope: Scope::Setting, message: message.into(), hint }
    }
}

/// The bytes of a file, if it is not absurdly large.
pub(super) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

/// The text of UTF-8 bytes without a byte order mark; otherwise the offset of the first bad byte.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, usize> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|e| e.valid_up_to())
}

/// What the system says about a file, in the operator's words.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "gridwatch may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}
