//! Verbs whose reader has read enough, as in `gridwatch check | head -1`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{CAMERA, NODE, Site, ZONE};

/// The end of a pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn gridwatch(args: &[&str], site: &Site) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
    let place = |arg: &&str| match *arg {
        "CONFIG" => site.path("gridwatch.toml").into_os_string(),
        "SET" => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eval/set").into_os_string(),
        "FIGURES" => site.path("figures.json").into_os_string(),
        other => other.into(),
    };
    command.args(args.iter().map(place)).stdin(Stdio::null());
    command
}

/// Ends as a tool that SIGPIPE has ended, without a word; also when nobody reads its remarks either.
#[test]
fn who_has_read_enough_is_told_nothing_more() {
    let site = Site::new(&[
        ("gridwatch.toml", format!("{NODE}data_dir = \"data\"\n{CAMERA}{ZONE}").as_bytes()),
        ("data/status.json", b"{}"),
    ]);
    for args in [
        &["check", "CONFIG"][..],
        &["check", "--json", "CONFIG"],
        &["status", "--json", "--config", "CONFIG"],
        &["schema"],
        &["schema", "incident"],
        &["models", "list"],
        &["eval", "--rules-only", "--json", "FIGURES", "SET"],
    ] {
        let Output { status, stderr, .. } =
            gridwatch(args, &site).stdout(closed()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!((status.code(), &*said), (Some(141), ""), "{args:?}");
        let status = gridwatch(args, &site).stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(141), "{args:?}");
    }
    // What was to be written is written first.
    assert!(site.path("figures.json").is_file());
    // An error that nobody reads is one all the same, and none of the program's own (101).
    let status = gridwatch(&["check", "nowhere"], &site).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
