//! The service unit: systemd itself says whether it is well-formed and how exposed the process would be.

use std::path::Path;
use std::process::{Command, Output};

const UNIT: &str = include_str!("../systemd/gridwatch.service");

/// Highest exposure that is accepted, 0 (nothing) to 10 (everything); `systemd-analyze security` calls up to 2.0 "OK".
const EXPOSURE_MAX: f64 = 2.0;

/// Runs `systemd-analyze` on the unit; `None`, with a printed reason, where it cannot.
///
/// The command of the unit need not be installed here, so it is replaced by one that surely is.
fn analyze(args: &[&str]) -> Option<Output> {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("gridwatch.service");
    let here = std::env::current_exe().expect("this test's path");
    std::fs::write(&unit, UNIT.replace("/usr/bin/gridwatch", here.to_str().expect("UTF-8")))
        .expect("written");
    let run = |args: &[&str]| Command::new("systemd-analyze").args(args).output();
    match run(&["--version"]) {
        Ok(version) => {
            // `security --offline` came with version 250.
            let text = String::from_utf8_lossy(&version.stdout).into_owned();
            let number = text.split_whitespace().nth(1).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
            if number < 250 {
                println!("skipped: systemd {number} is older than 250");
                return None;
            }
        }
        Err(error) => {
            println!("skipped: cannot run systemd-analyze: {error}");
            return None;
        }
    }
    let path = unit.to_str().expect("UTF-8");
    Some(run(&[args, &[path]].concat()).expect("runs"))
}

#[test]
fn the_unit_is_well_formed() {
    let Some(out) = analyze(&["verify", "--man=no"]) else { return };
    let said = String::from_utf8_lossy(&out.stderr);
    // Complaints about other units of the machine are not ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("gridwatch")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
fn the_process_can_do_little_else() {
    let Some(out) = analyze(&["security", "--offline=true", "--no-pager"]) else { return };
    let said = String::from_utf8_lossy(&out.stdout);
    let line = said.lines().find(|line| line.contains("Overall exposure level")).expect("a verdict");
    let exposure = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).expect("a number");
    println!("exposure {exposure}");
    assert!(exposure <= EXPOSURE_MAX, "{said}");
}

#[test]
fn the_unit_says_what_the_daemon_relies_on() {
    for key in ["Type=notify", "WatchdogSec=", "Restart=always", "ExecReload=", "StateDirectory=gridwatch"] {
        assert!(UNIT.lines().any(|line| line.starts_with(key)), "{key} is missing");
    }
    // The config check and the package know the same paths.
    assert!(UNIT.contains("ExecStart=/usr/bin/gridwatch run --config /etc/gridwatch/gridwatch.toml"));
    assert!(UNIT.contains("/usr/bin/gridwatch check"), "a broken config must not stop what runs");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/package.sh").exists());
}
