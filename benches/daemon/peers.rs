//! What a user would run instead: forty lines of Python with OpenCV and onnxruntime, see `peer.py`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Bench;
use super::process::Process;
use super::report::Bar;
use super::rig::{self, Cameras};

/// What the script costs on the normal street.
pub struct Script {
    pub cores: f64,
}

/// Pinned versions of what it needs.
const REQUIREMENTS: &str = "benches/daemon/requirements.txt";
/// Where they are installed.
const VENV: &str = ".dev/peers";

/// Installs what is missing and measures the script on one camera.
pub fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let python = python()?;
    let scene = bench.material.scene("lane")?;
    let dir = rig::folder(&bench.dir, "peers")?;
    let simulator = PathBuf::from(env!("CARGO_BIN_EXE_gridwatch"));
    let cameras = Cameras::start(&simulator, &[&scene.file], 1, &dir)?;
    let zone = scene.zones.first().context("the scene has no zone")?;
    let corners = serde_json::to_string(&zone.polygon)?;
    let mut command = Command::new(&python);
    command.args(["benches/daemon/peer.py", &cameras.url(0), "models/street-v2.onnx", &corners]);
    command.env("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let mut script = Process::start(&mut command, &dir.join("peer.log"))?;
    std::thread::sleep(Duration::from_secs(10));
    script.check_alive()?;
    let (before, began) = (script.cpu()?, Instant::now());
    std::thread::sleep(Duration::from_secs_f64(bench.seconds(scene.period_s)));
    script.check_alive()?;
    let cores = script.cpu()?.saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64();
    let held = script.held()?;
    let log = script.said();
    let pictures: f64 =
        log.lines().rev().find_map(|l| l.strip_suffix(" pictures")?.parse().ok()).unwrap_or(0.0);
    let sent = 25.0 * started.elapsed().as_secs_f64();
    // It says every 250th, and takes some seconds to begin.
    let kept_up = pictures >= 0.9 * sent - 400.0;
    let how = if kept_up { "" } else { "; the machine is too busy for it, nothing is held against it" };
    let (megabytes, threads) = (held.rss_bytes as f64 / 1e6, held.threads);
    let note = format!("{megabytes:.0} MB, {threads} threads; {pictures:.0} of {sent:.0} pictures{how}");
    bench.report.row(
        "peers",
        "the Python script at 5 pictures/s, one camera",
        (cores, "core"),
        None,
        Bar::None,
        &note,
    );
    // A script that is kept from reading costs less than one that keeps up, and would be no floor.
    bench.script = kept_up.then_some(Script { cores });

    let ours = bench.floors.inference_s(Path::new("models/street-v2.onnx"))?.value;
    let said =
        Command::new(&python).args(["benches/daemon/peer.py", "--time", "models/street-v2.onnx"]).output()?;
    let seconds: f64 =
        String::from_utf8_lossy(&said.stdout).trim().parse().context("the script says no time")?;
    bench.report.row(
        "peers",
        "inference in Python, against that in Rust",
        (seconds * 1e3, "ms"),
        Some(ours * 1e3),
        Bar::None,
        "",
    );
    Ok(())
}

/// The Python of an environment that has what the script needs.
fn python() -> anyhow::Result<PathBuf> {
    let python = PathBuf::from(VENV).join("bin/python");
    let wanted = std::fs::read_to_string(REQUIREMENTS).context(REQUIREMENTS)?;
    let installed = PathBuf::from(VENV).join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    eprintln!("peers: installing OpenCV and onnxruntime into {VENV}");
    let steps: [(&Path, &[&str]); 2] = [
        (Path::new("python3"), &["-m", "venv", VENV]),
        (&python, &["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", REQUIREMENTS]),
    ];
    for (program, args) in steps {
        let status = Command::new(program)
            .args(args)
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !status.success() {
            bail!("`{} {}` failed\nhint: apt-get install python3-venv", program.display(), args.join(" "));
        }
    }
    std::fs::write(installed, wanted)?;
    Ok(python)
}
