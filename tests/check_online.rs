//! `gridwatch check --online` against cameras, a model and a broker, right and wrong ones side by side.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use gridwatch::camera::Clip;
use gridwatch::config::{Credentials, Secret};
use gridwatch::simulate::{self, Mount, Server, Source};

fn server(password: Option<&str>) -> Server {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/decode/b_frames.h264");
    let clip = Clip::open(path).expect("a clip").collect::<Result<Vec<_>, _>>().expect("access units");
    let mounts = vec![Mount::new("cam", Source::new(clip).expect("a source"))];
    let credentials =
        password.map(|password| Credentials { username: "admin".into(), password: Secret::new(password) });
    Server::start(simulate::Config { mounts, credentials, ..simulate::Config::default() }).expect("a server")
}

/// Runs the check on a config with these cameras; its exit code, and what it prints, by line.
fn check(dir: &Path, cameras: &[(&str, String, Option<&str>)], mqtt: &str) -> (Option<i32>, Vec<String>) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let model = std::fs::read_dir(model)
        .expect("models")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("street") && name.ends_with(".onnx") && !name.contains("int8")
        })
        .expect("the project's own model");
    let mut config = format!(
        "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n{mqtt}\n[models.street]\nfile = \"{}\"\n",
        model.display()
    );
    for (id, url, password) in cameras {
        let _ = write!(config, "[[camera]]\nid = \"{id}\"\nurl = \"{url}\"\n");
        if let Some(password) = password {
            let _ = write!(config, "username = \"admin\"\npassword = \"{password}\"\n");
        }
        let _ = write!(
            config,
            "[[zone]]\ncamera = \"{id}\"\nid = \"lane\"\nscenario = \"fire_lane\"\n\
             polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n"
        );
    }
    let path = dir.join("gridwatch.toml");
    std::fs::write(&path, config).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(["check", "--online"])
        .arg(&path)
        .output()
        .expect("gridwatch starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("open-sesame"), "a password is printed: {text}");
    print!("{text}");
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

#[test]
fn every_part_is_tried_and_named() {
    // The simulated cameras live on a runtime of their own, as they would on another machine.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _within = runtime.enter();
    let dir = tempfile::tempdir().expect("a directory");
    let (open, guarded) = (server(None), server(Some("right")));
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let url = |server: &Server| server.url("cam").expect("a URL").to_string();
    let broker = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {closed}\n");
    let cameras = [
        ("good", url(&open), None),
        ("locked", url(&guarded), Some("open-sesame")),
        ("gone", format!("rtsp://127.0.0.1:{closed}/cam"), None),
    ];
    let (code, lines) = check(dir.path(), &cameras, &broker);
    assert_eq!(code, Some(1));
    let said = |words: &str| lines.iter().find(|line| line.contains(words)).expect(words);
    assert!(said("camera good").starts_with('✓') && said("camera good").contains("first key picture after"));
    assert!(said("camera locked").starts_with('✗'), "{}", said("camera locked"));
    assert!(said("camera gone").starts_with('✗') && said("camera gone").contains("no picture within"));
    assert!(said("broker").starts_with('✗'));
    assert!(said("model street").starts_with('✓') && said("model street").contains("classes"));

    let cameras = [("good", url(&open), None), ("locked", url(&guarded), Some("right"))];
    let (code, lines) = check(dir.path(), &cameras, "");
    assert_eq!(code, Some(0), "{lines:#?}");
}
