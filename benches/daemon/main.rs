//! `./dev bench`: what the daemon costs and finds, as ratios to floors of the same machine in the same run.
//!
//! Everything is a process of its own on loopback: simulated cameras, broker, daemon, ffmpeg; with `--peers` also the
//! Python script that a user would write instead. CPU time is read from the system, incidents are heard at the broker.

mod cases;
mod floors;
mod live;
mod material;
mod peers;
mod process;
mod report;
mod rig;
mod truth;

use std::path::PathBuf;

use clap::Parser;

use cases::CASES;
use floors::Floors;
use material::Material;
use peers::Script;
use report::Report;

/// Measures the daemon against floors of this machine, in one run.
#[derive(Debug, Parser)]
pub struct Options {
    /// Only this case; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = CASES.map(|case| case.name))]
    only: Vec<String>,
    /// Also measures a Python script of OpenCV and onnxruntime (installs them into .dev/peers).
    #[arg(long)]
    peers: bool,
    /// Seconds of each measurement instead of the case's own.
    #[arg(long)]
    seconds: Option<f64>,
    /// The fleet for ten minutes, patrol with full dwell.
    #[arg(long)]
    long: bool,
    /// Another daemon than this build's.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gridwatch"))]
    daemon: PathBuf,
    /// Makes all clips, if they are missing, and stops.
    #[arg(long)]
    material: bool,
    /// Says what the cases are.
    #[arg(long)]
    list: bool,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench/report.json")]
    json: PathBuf,
    /// `cargo bench` says this.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What all cases share.
pub struct Bench {
    options: Options,
    /// Where material, logs and data of the runs lie.
    dir: PathBuf,
    material: Material,
    floors: Floors,
    report: Report,
    /// What the script costs, if it was measured.
    script: Option<Script>,
    /// Cores per camera on the normal scene, once measured.
    normal_cores: Option<f64>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        CASES.iter().for_each(|case| println!("{:<10} {}", case.name, case.about));
        return Ok(());
    }
    raise_file_limit();
    // Cargo starts benches in the package's folder; config/demo and models are found from there.
    let dir = PathBuf::from("target/bench");
    let material = Material::open(&dir)?;
    if options.material {
        return material::NAMES.iter().try_for_each(|name| material.scene(name).map(drop));
    }
    let (floors, report) = (Floors::default(), Report::new());
    let mut bench = Bench { dir, material, floors, report, script: None, normal_cores: None, options };
    if bench.options.peers
        && let Err(error) = peers::measure(&mut bench)
    {
        bench.report.failed.push(("peers".into(), format!("{error:#}")));
    }
    for case in &CASES {
        if bench.options.only.is_empty() || bench.options.only.iter().any(|name| name == case.name) {
            eprintln!("\n{}: {}", case.name, case.about);
            if let Err(error) = (case.run)(&mut bench) {
                eprintln!("{}: {error:#}", case.name);
                bench.report.failed.push((case.name.into(), format!("{error:#}")));
            }
        }
    }
    let Bench { report, floors, options, .. } = bench;
    report.finish(&floors, &options.json)
}

/// A thousand cameras are more sockets than a shell usually allows; children inherit the limit.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls take a pointer to a variable of this frame. If they fail, connecting says so later.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
