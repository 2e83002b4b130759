//! The `gridwatch` binary: parse, call the library, print the error with its hint, pick the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    gridwatch::cli::main()
}
