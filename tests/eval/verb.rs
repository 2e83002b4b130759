//! The verb, as CI and integrators call it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn eval(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .arg("eval")
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_small_set_is_scored() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (result, report) = (path("result.json"), path("report.html"));
    let output = eval(&["tests/eval/set", "--jobs", "2", "--json", &result, "--report", &report]);
    assert!(output.status.success(), "{}", said(&output));
    let figures = json(Path::new(&result));
    let row = |kind: &str, stratum: Value| {
        let rows = figures["rows"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind && row["stratum"] == stratum).unwrap().clone()
    };
    let all = row("fire_lane", Value::Null);
    assert_eq!((&all["found"], &all["missed"], &all["false_incidents"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(all["precision"]["share"], 0.5);
    let night = row("fire_lane", serde_json::json!(["light", "night"]));
    assert_eq!((&night["found"], &night["false_per_hour"]), (&0.into(), &15.0.into()));
    let cars = row("fire_lane", serde_json::json!(["object", "car"]));
    assert_eq!((&cars["recall"]["count"], &cars["precision"]), (&1.into(), &Value::Null));
    let delay = all["opening_delay_s"]["median"].as_f64().unwrap();
    assert!((0.0..=6.0).contains(&delay), "opened {delay} s late");
    let stops = &figures["stops"][0];
    assert_eq!((&stops["recall"]["count"], &stops["precision"]["of"]), (&1.into(), &2.into()), "{stops}");

    let html = std::fs::read_to_string(&report).unwrap();
    for word in ["<svg", "night/missed", "night/false", "Recall with its Wilson"] {
        assert!(html.contains(word), "the report lacks {word}");
    }
    assert!(!html.contains("http"), "the report needs the network");

    let longer = eval(&["tests/eval/set", "--set", "fire_lane.dwell_s=200", "--compare", &result]);
    assert!(longer.status.success(), "{}", said(&longer));
    assert!(said(&longer).contains("found: fire_lane at 20.0 s was found, is optional"), "{}", said(&longer));

    let strict =
        eval(&["tests/eval/set", "--only", "light=night", "--fail-under", "precision=0.9,recall=0.9"]);
    assert!(!strict.status.success());
    assert!(said(&strict).contains("fire_lane: precision 0.000 is under 0.9"), "{}", said(&strict));
}

#[test]
fn a_broken_set_is_said_so() {
    let zone = r#""zones": [{"scenario": "fire_lane", "polygon": [[0, 0], [1, 0], [1, 1]]}]"#;
    let cases = [
        ("no case here", r#"{"format": "other"}"#.to_owned()),
        ("neither `clip` nor `trace`", r#"{"format": "gridwatch-eval/1"}"#.to_owned()),
        ("is not `gridwatch-eval/1`", r#"{"format": "gridwatch-eval/9"}"#.to_owned()),
        (
            "which the case does not have",
            r#"{"format": "gridwatch-eval/1", "clip": "a", "incidents":
            [{"zone": "b", "kind": "fire_lane", "from_s": 0, "to_s": 1}]}"#
                .to_owned(),
        ),
        (
            "ends before it begins",
            format!(
                r#"{{"format": "gridwatch-eval/1", "clip": "a", {zone}, "incidents":
            [{{"zone": "fire_lane", "kind": "fire_lane", "from_s": 2, "to_s": 1}}]}}"#
            ),
        ),
        ("could not be played", format!(r#"{{"format": "gridwatch-eval/1", "trace": "missing", {zone}}}"#)),
        (
            "unknown scenario `fire_line`",
            r#"{"format": "gridwatch-eval/1", "trace": "missing",
            "zones": [{"scenario": "fire_line", "polygon": [[0, 0], [1, 0], [1, 1]]}]}"#
                .to_owned(),
        ),
        ("not JSON", "{".to_owned()),
    ];
    for (words, text) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("case.json"), text).unwrap();
        let output = eval(&[&dir.path().to_string_lossy()]);
        let words = if words == "no case here" { "holds no case" } else { words };
        assert!(!output.status.success(), "{words}");
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
}

#[test]
fn roadtrack_becomes_a_set() {
    let dir = tempfile::tempdir().unwrap();
    let sequence = dir.path().join("src/P/04-12_09_K221_1953");
    std::fs::create_dir_all(&sequence).unwrap();
    std::fs::create_dir_all(dir.path().join("src/N")).unwrap();
    let lines: Vec<String> = (1..=100).map(|i| format!("{i},-1,300,300,60,50,0.9,2,-1,-1")).collect();
    std::fs::write(sequence.join("det.txt"), lines.join("\n")).unwrap();
    let lines: Vec<String> = (20..=100).map(|i| format!("{i},0,300,300,60,50,0.9,2")).collect();
    std::fs::write(sequence.join("gt.txt"), lines.join("\n")).unwrap();
    let (src, set) = (dir.path().join("src"), dir.path().join("set"));
    let output = eval(&["import-roadtrack", &src.to_string_lossy(), &set.to_string_lossy()]);
    assert!(output.status.success(), "{}", said(&output));
    let output = eval(&[&*set.to_string_lossy(), "--rules-only"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("1.000 [0.21, 1.00] 1/1"), "{}", said(&output));
}
