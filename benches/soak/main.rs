//! `./dev soak`: breaks everything around the daemon, and the daemon, for as long as asked; then an auditor compares what the
//! simulated cameras staged with what a real mosquitto received.
//!
//! The cameras are simulated in this process; mosquitto and the daemon are processes of their own. Between the two lies a
//! way that can be cut, so that the auditor always listens before the daemon speaks: what the broker has acknowledged it
//! has then also heard, whatever the broker forgets.

mod audit;
mod chaos;
mod judge;
mod outage;
mod plan;
#[path = "../daemon/process.rs"]
#[allow(dead_code)] // Its clocks serve the bench.
mod process;
mod recovery;
mod rig;
mod scenes;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Which part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// Cameras, broker and daemon fail at random.
    Chaos,
    /// The same time without a fault: what the daemon finds when nothing fails.
    Calm,
    /// A day without the broker, by volume.
    Outage,
    /// Cameras go and come back: how soon it is noticed.
    Recovery,
}

/// Breaks everything around the daemon and the daemon itself, then audits what the broker received.
#[derive(Debug, Parser)]
pub struct Options {
    /// How long, in minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Where all randomness comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cameras are simulated.
    #[arg(long, default_value_t = 30)]
    cameras: usize,
    /// What is done.
    #[arg(long, value_enum, default_value_t = Case::Chaos)]
    case: Case,
    /// The daemon is never killed: the longest life, for its memory.
    #[arg(long)]
    no_kill: bool,
    /// No reloads of the config.
    #[arg(long)]
    no_reload: bool,
    /// Cameras that are lost and come back, with `--case recovery`.
    #[arg(long, default_value_t = 100)]
    trials: usize,
    /// Incidents that wait for the broker, with `--case outage`.
    #[arg(long, default_value_t = 50_000)]
    incidents: usize,
    /// Another daemon than this build's.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gridwatch"))]
    daemon: PathBuf,
    /// Where logs, data and figures go.
    #[arg(long, default_value = "target/soak")]
    dir: PathBuf,
    /// `cargo bench` says this.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let table = match options.case {
        Case::Chaos => chaos::run(&options, true)?,
        Case::Calm => chaos::run(&options, false)?,
        Case::Outage => outage::run(&options)?,
        Case::Recovery => recovery::run(&options)?,
    };
    table.print();
    table.write(&options.dir)?;
    Ok(if table.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
