//! `gridwatch adapt`, as an operator calls it, with a script in the place of Python: what it collects, what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gridwatch::camera::Clip;
use gridwatch::simulate::{self, Mount, Server, Source};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the verb; `fake` is what the script in Python's place is to do.
fn adapt(dir: &Path, fake: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(["adapt", "--training", "models/training", "--out"])
        .arg(dir.join("out"))
        .args(args)
        .current_dir(root())
        .env("FAKE", fake)
        .env("FAKE_DIR", dir)
        .output()
        .expect("gridwatch starts")
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn result(dir: &Path, before: f64, after: f64, others: f64, false_boxes: f64) {
    let figures = |mean: f64| json!({"mean": mean, "classes": {"person": [mean, 40]}});
    let result = json!({
        "camera": "quiet-street", "base": "street", "model": dir.join("street-quiet-street.onnx"), "pictures": 40,
        "composites": {"before": figures(before), "after": figures(after)},
        "renders": {"before": figures(0.4), "after": figures(others)},
        "false_boxes": {"before": 2.0, "after": false_boxes},
    });
    std::fs::write(dir.join("result.json"), format!("{result}\n")).expect("written");
}

const CLIP: &str = "config/demo/clips/quiet-street.mp4";
const QUIET: [&str; 6] =
    ["--camera", "quiet-street", "--config", "config/demo/gridwatch.toml", "--from", CLIP];
const FAKE: [&str; 2] = ["--python", "tests/adapt/python.sh"];

#[test]
fn what_is_missing_is_said_before_anything_is_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (
            "",
            &["--camera", "x", "--from", "none.mp4", "--python", "no-such-python"],
            &["no-such-python", "hint:"],
        ),
        (
            "lacking",
            &["--camera", "x", "--from", "none.mp4", "--python", "tests/adapt/python.sh"],
            &["No module named 'torch'", "./dev training", "--collect-only"],
        ),
        ("", &["--camera", "x", "--python", "tests/adapt/python.sh"], &["--config"]),
        (
            "",
            &["--camera", "x", "--config", "config/demo/gridwatch.toml", "--python", "tests/adapt/python.sh"],
            &["no camera `x`", "quiet-street"],
        ),
        (
            "",
            &[
                "--camera",
                "quiet-street",
                "--config",
                "config/demo/gridwatch.toml",
                "--python",
                "tests/adapt/python.sh",
                "--collected",
            ],
            &["nothing was collected"],
        ),
    ];
    for (fake, args, wanted) in cases {
        let (code, _, stderr) = said(&adapt(dir.path(), fake, args));
        assert!(code.is_some_and(|code| code != 0), "{args:?}");
        for word in wanted {
            assert!(stderr.contains(word), "{args:?}: {word:?} is not in {stderr}");
        }
        assert!(!dir.path().join("out").exists(), "{args:?}");
    }
}

#[test]
fn a_place_is_collected_and_the_result_told() {
    let dir = tempfile::tempdir().expect("a directory");
    result(dir.path(), 0.41, 0.55, 0.39, 0.5);
    let args: Vec<&str> = QUIET.into_iter().chain(FAKE).chain(["--", "--minutes", "2"]).collect();
    let (code, stdout, stderr) = said(&adapt(dir.path(), "", &args));
    assert_eq!(code, Some(0), "{stderr}");
    for wanted in
        ["0.410   0.550", "0.400   0.390", "person (40)", "2.00    0.50", "[models.street-quiet-street]"]
    {
        assert!(stdout.contains(wanted), "{wanted:?} is not in {stdout}");
    }
    assert!(stderr.contains("step 50"), "the script's progress is passed on: {stderr}");

    let site = dir.path().join("out/quiet-street");
    let arguments = std::fs::read_to_string(dir.path().join("arguments")).expect("the script was run");
    let arguments: Vec<&str> = arguments.lines().collect();
    assert_eq!(arguments[1..3], ["--site", &site.to_string_lossy()]);
    assert!(Path::new(arguments[4]).is_file() && arguments[5..] == ["--minutes", "2"], "{arguments:?}");

    let facts: Value =
        serde_json::from_slice(&std::fs::read(site.join("site.json")).expect("site.json")).expect("JSON");
    assert_eq!(facts["format"], "gridwatch-site/1");
    assert_eq!(facts["zones"][0]["on_ground"], true);
    let backgrounds = facts["backgrounds"].as_array().expect("backgrounds");
    assert!(!backgrounds.is_empty());
    for background in backgrounds {
        let picture =
            image::open(site.join(background["file"].as_str().expect("a name"))).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (640, 360));
        assert!(background["pictures"].as_u64() >= Some(8) && background["noise"].as_f64() > Some(0.1));
    }
    assert_eq!(facts["moving"].as_array().map(Vec::len), Some(18));
}

#[test]
fn no_gain_is_told_and_failures_are_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = dir.path().join("out/quiet-street");
    std::fs::create_dir_all(&site).expect("a folder");
    std::fs::write(site.join("site.json"), "{}").expect("written");
    // The place is there: nothing is looked at again.
    let args: Vec<&str> = QUIET[..4].iter().copied().chain(FAKE).chain(["--collected"]).collect();
    // No gain here; forgotten elsewhere; more false boxes.
    for (after, others, false_boxes) in [(0.40, 0.41, 0.0), (0.60, 0.30, 0.0), (0.60, 0.41, 3.0)] {
        result(dir.path(), 0.41, after, others, false_boxes);
        let (code, stdout, stderr) = said(&adapt(dir.path(), "", &args));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stdout.contains("keep the model you have") && !stdout.contains("[models."), "{stdout}");
    }
    let (code, stdout, stderr) = said(&adapt(dir.path(), "failing", &args));
    assert!(code == Some(1) && stdout.is_empty() && stderr.contains("adapt.py failed"), "{stdout}{stderr}");
    std::fs::write(dir.path().join("result.json"), "no JSON\n").expect("written");
    let (code, stdout, stderr) = said(&adapt(dir.path(), "", &args));
    assert!(code == Some(1) && stdout.is_empty() && stderr.contains("no result"), "{stdout}{stderr}");
}

#[test]
fn a_camera_is_looked_at_with_its_masks_on() {
    // The simulated camera lives on a runtime of its own, as it would on another machine.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _within = runtime.enter();
    let clip =
        Clip::open(root().join(CLIP)).expect("a clip").collect::<Result<Vec<_>, _>>().expect("access units");
    let mounts = vec![Mount::new("cam", Source::new(clip).expect("a source"))];
    let server = Server::start(simulate::Config { mounts, ..simulate::Config::default() }).expect("a server");
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("gridwatch.toml");
    let text = format!(
        "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n[[camera]]\nid = \"gate\"\nurl = \"{}\"\n\
         masks = [[[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]]\n",
        server.url("cam").expect("a URL")
    );
    std::fs::write(&config, text).expect("written");
    let config = config.to_string_lossy();
    let args = ["--camera", "gate", "--config", &config, "--minutes", "0.6", "--collect-only"];
    let (code, stdout, stderr) = said(&adapt(dir.path(), "lacking", &args));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("adapt.py --site"), "{stdout}");
    let site = dir.path().join("out/gate");
    let picture = image::open(site.join("background-0-day.png")).expect("a background").into_rgb8();
    let mean = |from: u32, to: u32| {
        let pixels = (from..to).flat_map(|x| (40..320).map(move |y| (x, y)));
        let values: Vec<f64> = pixels.map(|(x, y)| f64::from(picture.get_pixel(x, y).0[1])).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    assert!(mean(10, 300) < 3.0 && mean(340, 630) > 20.0, "{} {}", mean(10, 300), mean(340, 630));
}
