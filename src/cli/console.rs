//! What a verb says: results to standard output (`say!`), remarks to standard error (`note!`).
//!
//! Whoever reads either may have read enough (`gridwatch check | head -1`). `println!` and `eprintln!` answer that with a panic.

use std::fmt::Arguments;
use std::io::{self, Write};

use anyhow::Context;

/// Nobody reads standard output any more; no fault of anybody's.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct Closed;

/// Exit code of a verb whose reader has gone: what a shell tells of any tool that SIGPIPE has ended.
pub(super) const CLOSED: u8 = 128 + libc::SIGPIPE as u8;

/// Writes to standard output, to the end of a line; [`Closed`] if nobody reads it.
pub(super) fn print(text: Arguments<'_>) -> anyhow::Result<()> {
    match io::stdout().lock().write_fmt(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes to standard error; a remark that nobody reads is none.
pub(super) fn remark(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// A line to standard output: `say!("{count} cameras")?`.
macro_rules! say {
    ($($line:tt)*) => { $crate::cli::console::print(format_args!("{}\n", format_args!($($line)*))) };
}

/// A line to standard error.
macro_rules! note {
    ($($line:tt)*) => { $crate::cli::console::remark(format_args!("{}\n", format_args!($($line)*))) };
}
