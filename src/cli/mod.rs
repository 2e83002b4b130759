//! The command line, one file per verb.

pub mod check;
pub mod models;
pub mod schema;
pub mod simulate;
pub mod watch;
