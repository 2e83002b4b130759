//! `gridwatch replay`, as an operator calls it: videos, traces, and files that are neither.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn gridwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

/// The incidents on stdout: (phase, kind, dwell rounded to seconds).
fn statements(output: &Output) -> Vec<(String, String, i64)> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).expect("stdout is JSON lines");
            let data = &event["data"];
            let text = |key: &str| data[key].as_str().unwrap().to_owned();
            (text("phase"), text("kind"), data["dwell_s"].as_f64().unwrap().round() as i64)
        })
        .collect()
}

fn shared_data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let dir = std::env::var_os("GRIDWATCH_DATA").map_or_else(beside, PathBuf::from);
    let found = dir.join("truth.json").is_file();
    if !found {
        println!("skipped: no truth.json in {}", dir.display());
    }
    found.then_some(dir)
}

#[test]
fn a_clip_and_its_trace_tell_the_same_story() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (trace, film, data) = (path("trace.jsonl"), path("film.mp4"), path("data"));
    let zone = ["--config", "config/demo/gridwatch.toml", "--camera", "fire-lane-day"];
    let mut args = vec!["replay", "config/demo/clips/fire-lane-day.mp4"];
    args.extend(zone);
    args.extend(["--record", &trace, "--annotate", &film, "--data-dir", &data]);
    let from_video = gridwatch(&args);
    let said = String::from_utf8_lossy(&from_video.stderr).into_owned();
    assert!(from_video.status.success(), "{said}");
    let story = statements(&from_video);
    let opened = story.iter().filter(|(phase, ..)| phase == "opened").count();
    let closed = story.iter().filter(|(phase, ..)| phase == "closed").count();
    assert_eq!((opened, closed), (1, 1), "{story:?}");
    assert!(story.iter().all(|(_, kind, _)| kind == "fire_lane"));
    assert!(std::fs::metadata(&film).unwrap().len() > 10_000, "the annotated video is empty");
    let kept = walk(Path::new(&data).join("evidence"));
    assert!(kept.iter().any(|file| Path::new(file).extension().is_some_and(|e| e == "jpg")), "{kept:?}");
    assert!(kept.iter().any(|file| Path::new(file).extension().is_some_and(|e| e == "mp4")), "{kept:?}");

    let mut args = vec!["replay", &trace];
    args.extend(zone);
    let from_trace = gridwatch(&args);
    assert!(from_trace.status.success(), "{}", String::from_utf8_lossy(&from_trace.stderr));
    // Without pixels there is no clip, so no update that brings one.
    let said = |story: &[(String, String, i64)]| -> Vec<(String, String, i64)> {
        story.iter().filter(|(phase, ..)| phase != "updated").cloned().collect()
    };
    assert_eq!(said(&statements(&from_trace)), said(&story));
}

fn walk(dir: PathBuf) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(path) } else { vec![path.to_string_lossy().into_owned()] }
        })
        .collect()
}

#[test]
fn a_quiet_street_stays_quiet() {
    let output = gridwatch(&[
        "replay",
        "config/demo/clips/quiet-street.mp4",
        "--config",
        "config/demo/gridwatch.toml",
        "--camera",
        "quiet-street",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(statements(&output), []);
}

#[test]
fn what_is_no_video_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let cases: &[(&str, &[u8])] = &[
        ("empty.mp4", b""),
        ("text.mp4", b"this is not a video"),
        ("trace.jsonl", b"{\"gridwatch_trace\": 1, \"source\": \"x\", \"model\": null}\nnonsense\n"),
        ("future.jsonl", b"{\"gridwatch_trace\":99,\"source\":\"x\",\"model\":null}\n"),
    ];
    for (name, bytes) in cases {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let output = gridwatch(&["replay", &path.to_string_lossy()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name} was taken");
        assert!(said.starts_with("error: ") || said.contains("\nerror: "), "{name}: {said}");
        assert!(said.contains(name), "{name} is not named: {said}");
    }
    let missing = gridwatch(&["replay", "no-such-file.mp4"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.mp4"));
}

/// A line of a trace: a car in the lane at this second of media time.
fn car(second: u64, wall: &str, change: (&str, &str)) -> String {
    let line = format!(
        r#"{{"captured":{{"wall":"{wall}","media":{{"secs":{second},"nanos":0}},"clock":"file"}},"size_px":[1920,1080],"objects":[{{"class":"car","score":0.9,"box":[0.3,0.45,0.6,0.66]}}]}}"#
    );
    line.replace(change.0, change.1) + "\n"
}

/// Traces in which time does what it cannot, and others that are none: an answer in words or none, never a panic. What is
/// said of the car is what the time of the trace makes of it.
#[test]
fn odd_traces_are_survived() {
    const NOON: &str = "2026-11-20T12:00:00Z";
    let lines = |seconds: &mut dyn Iterator<Item = u64>, change| {
        seconds.map(|second| car(second, NOON, change)).collect::<String>()
    };
    let same = ("", "");
    let objects = r#"{"class":"car","score":0.9,"box":[0.3,0.45,0.6,0.66]}"#;
    let many = vec![objects; 100_000].join(",");
    let years = [(1, NOON), (200, "9999-12-30T22:00:00Z"), (400, "-009998-01-02T00:00:00Z"), (800, NOON)];
    let cases: [(&str, String, Option<usize>); 13] = [
        ("a car that stays", lines(&mut (0..400), same), Some(1)),
        ("time that stands still", lines(&mut std::iter::repeat_n(7, 400), same), Some(0)),
        ("time that goes back", lines(&mut (0..400).rev(), same), Some(0)),
        ("time to the end of numbers", lines(&mut [1, u64::MAX, 3].into_iter(), same), Some(0)),
        ("years that jump", years.map(|(second, wall)| car(second, wall, same)).concat(), None),
        ("100,000 objects", lines(&mut (0..3), (objects, &many)), Some(0)),
        ("boxes outside of everything", lines(&mut (0..9), ("0.3,0.45", "-1e30,1e38")), Some(0)),
        ("pictures without a size", lines(&mut (0..9), ("1920,1080", "0,4294967295")), None),
        ("NaN", lines(&mut (0..9), ("0.9", "NaN")), None),
        ("a number beyond all numbers", lines(&mut (0..9), ("0.9", "1e999")), None),
        ("depth without end", "[".repeat(1_000_000), None),
        ("a line of 30 MB", " ".repeat(30_000_000), None),
        ("no text", "\0\0\u{fffd}\0".to_owned(), None),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (what, text, incidents) in cases {
        let trace = dir.path().join("odd.jsonl");
        std::fs::write(&trace, format!("{{\"gridwatch_trace\":1,\"source\":\"x\",\"model\":null}}\n{text}"))
            .unwrap();
        let trace = trace.to_string_lossy();
        let zone = ["--config", "config/demo/gridwatch.toml", "--camera", "fire-lane-day"];
        let output = gridwatch(&[&["replay", &trace][..], &zone].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code().is_some_and(|code| code < 2) && !said.contains("panicked"),
            "{what}: {said:.500}"
        );
        assert!(output.status.success() || said.contains("odd.jsonl:2"), "{what}: {said:.500}");
        if let Some(expected) = incidents {
            let opened = statements(&output).iter().filter(|(phase, ..)| phase == "opened").count();
            assert_eq!((output.status.success(), opened), (true, expected), "{what}: {said:.500}");
        }
    }
}

#[test]
fn every_real_clip_and_bitstream_ends_by_itself() {
    let Some(data) = shared_data() else { return };
    let mut files = walk(data.join("clips"));
    files.sort();
    assert!(files.len() >= 40, "{files:?}");
    for file in files {
        let output = gridwatch(&["replay", &file]);
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{}", said.trim_end());
        assert!(output.status.code().is_some(), "{file} ended by a signal: {said}");
        assert!(!said.contains("panicked"), "{file}: {said}");
    }
}

#[test]
fn real_negatives_stay_silent_with_a_public_detector() {
    let Some(data) = shared_data() else { return };
    let model = data.join("models/yolox_nano_416.onnx").to_string_lossy().into_owned();
    let truth: Value = serde_json::from_slice(&std::fs::read(data.join("truth.json")).unwrap()).unwrap();
    let mut tried = 0;
    for case in truth["cases"].as_array().unwrap() {
        let kind = case["kind"].as_str().unwrap();
        if !matches!(kind, "fire_lane" | "street_vending")
            || !case["incidents"].as_array().unwrap().is_empty()
        {
            continue;
        }
        let clip = data.join("clips").join(case["clip"].as_str().unwrap());
        let corner = |p: &Value| format!("{},{}", p[0], p[1]);
        let polygon: Vec<String> = case["zone"].as_array().unwrap().iter().map(corner).collect();
        let dwell = format!("dwell_s={}", case["dwell_s"]);
        let suspect = format!("suspect_s={}", case["dwell_s"].as_f64().unwrap().min(2.0));
        let output = gridwatch(&[
            "replay",
            &clip.to_string_lossy(),
            "--model",
            &model,
            "--scenario",
            kind,
            "--polygon",
            &polygon.join(" "),
            "--set",
            &suspect,
            "--set",
            &dwell,
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = statements(&output);
        println!("{} {kind}: {} statements", case["clip"], said.len());
        assert_eq!(said, [], "{} {kind}", case["clip"]);
        tried += 1;
    }
    assert!(tried >= 8, "only {tried} negatives in truth.json");
}
