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
}

/// The committed example, in a directory where the files it names are there.
fn example() -> Site {
    let read = |name: &str| std::fs::read(repository("config").join(name)).unwrap();
    Site::new(&[
        ("gridwatch.toml", &read("gridwatch.toml")),
        ("cameras.example.csv", &read("cameras.example.csv")),
        ("school-road.password", b"s3cret\n"),
    ])
}

#[test]
fn the_example_runs_without_a_problem() {
    assert_eq!(example().report(), "=> 4 run, 0 disabled");
}

#[test]
fn the_example_shows_every_key() {
    let text = std::fs::read_to_string(repository("config/gridwatch.toml")).unwrap();
    let mut missing = Vec::new();
    let mut check = |schema: &serde_json::Value| {
        for (key, _) in schema["properties"].as_object().into_iter().flatten() {
            // `key =` on a line of its own or in an inline table, or `[…key`.
            let shown = text.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ']);
                line.starts_with(&format!("{key} = "))
                    || line.contains(&format!("{{ {key} = "))
                    || line.contains(&format!(", {key} = "))
                    || line
                        .trim_matches(['[', ']'])
                        .split([']', ' '])
                        .next()
                        .is_some_and(|header| header.split('.').any(|part| part == key))
            });
            if !shown {
                missing.push(key.clone());
            }
        }
    };
    fn walk(schema: &serde_json::Value, check: &mut impl FnMut(&serde_json::Value)) {
        check(schema);
        match schema {
            serde_json::Value::Object(map) => map.values().for_each(|inner| walk(inner, check)),
            serde_json::Value::Array(list) => list.iter().for_each(|inner| walk(inner, check)),
            _ => {}
        }
    }
    walk(&config::schema(), &mut check);
    assert_eq!(missing, Vec::<String>::new(), "keys of the schema that config/gridwatch.toml does not show");
}

#[test]
fn the_committed_schema_is_current() {
    let path = repository("config/gridwatch.schema.json");
    let current = format!("{:#}\n", config::schema());
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "config/gridwatch.schema.json is out of date: run `gridwatch schema --write`"
    );
}
