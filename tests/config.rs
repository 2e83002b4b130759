//! The operator's files as operators write them, right and wrong.

use std::path::{Path, PathBuf};

use gridwatch::config::{self, ConfigError, Loaded};

/// A directory with a config file, further files, and the shipped model's file.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.write("models/street-v1.onnx", b"");
        for (name, bytes) in files {
            site.write(name, bytes);
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        config::load(&self.path("gridwatch.toml"))
    }

    /// What the operator reads, with the directory left out.
    fn report(&self) -> String {
        let result = self.load();
        let problems = match &result {
            Ok(loaded) => &loaded.problems[..],
            Err(error) => error.problems(),
        };
        let outcome = match &result {
            Ok(Loaded { config, .. }) => {
                format!("{} run, {} disabled", config.cameras.len(), config.disabled.len())
            }
            Err(_) => "does not start".to_owned(),
        };
        let lines = problems.iter().map(|problem| format!("{problem}\n")).collect::<String>();
        format!("{lines}=> {outcome}").replace(&format!("{}/", self.dir.path().display()), "")
    }
}

const NODE: &str = "[node]\nsite = \"hefei\"\nid = \"box-1\"\n";

const CAMERA: &str = r#"
[[camera]]
id = "gate"
url = "rtsp://10.1.2.3/live"
"#;

const ZONE: &str = r#"
[[zone]]
camera = "gate"
scenario = "fire_lane"
polygon = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]
"#;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn a_small_config_runs() {
    let site = Site::new(&[("gridwatch.toml", format!("{NODE}{CAMERA}{ZONE}").as_bytes())]);
    assert_eq!(site.report(), "=> 1 run, 0 disabled");
    let config = site.load().unwrap().config;
    println!("{config:#?}");
}
