//! The operator's files as operators write them, right and wrong.

mod check;
mod closed;
mod large;
mod lists;
mod mistakes;
mod mutations;
mod secrets;

use std::path::{Path, PathBuf};

use gridwatch::config::{self, ConfigError, Loaded};

/// A directory with a config file, further files, and the shipped model's file.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.write("models/street-v2.onnx", b"");
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
        "config/gridwatch.schema.json is out of date: run `gridwatch schema config > config/gridwatch.schema.json`"
    );
}

/// A thousand cameras, one of them with a misspelt key.
#[test]
fn one_typo_among_a_thousand_cameras_costs_one_camera() {
    let mut text = NODE.to_owned();
    for n in 0..1000 {
        let typo = if n == 517 { "nmae" } else { "name" };
        text += &format!("{CAMERA}{typo} = \"点位 {n}\"\n{ZONE}").replace("gate", &format!("gate-{n}"));
    }
    let site = Site::new(&[("gridwatch.toml", text.as_bytes())]);
    assert_eq!(
        site.report(),
        "gridwatch.toml:5178:1: error: unknown key `nmae`\n  hint: did you mean `name`?\n=> 999 run, 1 disabled"
    );
    let disabled = site.load().unwrap().config.disabled;
    assert_eq!(
        (disabled[0].id.as_str(), &disabled[0].problems[..]),
        ("gate-517", &["unknown key `nmae` (gridwatch.toml:5178)".to_owned()][..])
    );
}

/// Who is visited in turn, and who is watched all the time.
#[test]
fn a_patrol_visits_its_group() {
    let camera = |id: &str, more: &str, scenario: &str| {
        format!("{CAMERA}{more}\n{ZONE}").replace("gate", id).replace("fire_lane", scenario)
    };
    let text = [
        format!("{NODE}[groups.g]\npriority = 2\n[groups.g.patrol]\nslots = 1\n"),
        camera("lane", "group = \"g\"", "fire_lane"),
        camera("fence", "group = \"g\"\npriority = 0.5", "electronic_fence"),
        camera("facade", "group = \"g\"", "thrown_object"),
        camera("alone", "", "fire_lane"),
    ];
    let site = Site::new(&[("gridwatch.toml", text.concat().as_bytes())]);
    let config = site.load().unwrap().config;
    let plan = config.patrols["g"];
    assert_eq!((plan.slots, plan.dwell_s, plan.connected), (1, 10.0, config::Connected::Always));
    assert_eq!(plan.round_s(30), 300.0);
    let patrolled: Vec<_> = config.cameras.iter().map(|c| (c.id.as_str(), c.patrolled, c.priority)).collect();
    assert_eq!(
        patrolled,
        [("lane", true, 2.0), ("fence", true, 0.5), ("facade", false, 2.0), ("alone", false, 1.0)]
    );
}

#[test]
fn passwords_come_from_files_and_addresses() {
    let password = |camera: &str| {
        let text =
            format!("{NODE}[defaults]\nusername = \"viewer\"\npassword_file = \"secret\"\n{camera}{ZONE}");
        let site = Site::new(&[("gridwatch.toml", text.as_bytes()), ("secret", b"from file\r\n")]);
        let loaded = site.load().unwrap();
        let camera = loaded.config.cameras.first().unwrap_or_else(|| panic!("{:?}", loaded.problems)).clone();
        assert!(camera.url.username().is_empty() && camera.url.password().is_none());
        camera.credentials.map(|c| format!("{}:{}", c.username, c.password.reveal())).unwrap_or_default()
    };
    assert_eq!(password(CAMERA), "viewer:from file");
    // The camera's own password replaces that of the defaults, whichever way it is given.
    assert_eq!(password(&format!("{CAMERA}password = \"own\"\n")), "viewer:own");
    assert_eq!(password(&CAMERA.replace("10.1.2.3", "admin:Hik%4012345@10.1.2.3")), "admin:Hik@12345");
    assert_eq!(password(&CAMERA.replace("10.1.2.3", "admin:a@b@10.1.2.3")), "admin:a@b");
}

#[test]
fn the_cameras_word_is_the_last() {
    let text = format!(
        "{NODE}[defaults]\nstall_s = 20\ntransport = \"udp\"\nplace = {{ crs = \"WGS84\", duty = \"a\" }}\n\
         [groups.g]\nstall_s = 30\nplace = {{ duty = \"b\" }}\n{CAMERA}group = \"g\"\nplace = {{ address = \"c\", lon = 117.2, lat = 31.8 }}\n{ZONE}"
    );
    let config = Site::new(&[("gridwatch.toml", text.as_bytes())]).load().unwrap().config;
    let camera = &config.cameras[0];
    assert_eq!((camera.stall_s, camera.transport), (30.0, config::Transport::Udp));
    let place = &camera.place;
    assert_eq!(
        (place.crs.as_deref(), place.duty.as_deref(), place.address.as_deref()),
        (Some("wgs84"), Some("b"), Some("c"))
    );
}

#[test]
fn hours_are_local_and_run_over_midnight() {
    // 2026-11-20 is a Friday.
    let cases: [(&str, &[(&str, bool)]); 9] = [
        (
            "hours = [\"22:00-06:00\"]",
            &[("2026-11-20 23:00", true), ("2026-11-21 05:59", true), ("2026-11-21 06:00", false)],
        ),
        (
            "hours = [\"fri 22:00-06:00\"]",
            &[
                ("2026-11-20 05:00", false),
                ("2026-11-20 22:00", true),
                ("2026-11-21 05:00", true),
                ("2026-11-21 23:00", false),
            ],
        ),
        (
            "hours = [\"mon-fri 07:00-09:30\"]",
            &[("2026-11-20 07:00", true), ("2026-11-20 09:30", false), ("2026-11-21 08:00", false)],
        ),
        (
            "hours = [\"周六至周日\"]",
            &[("2026-11-20 23:59", false), ("2026-11-21 00:00", true), ("2026-11-22 23:59", true)],
        ),
        (
            "hours = [\"周五、周六 7：00～9:00,17:00-24:00\"]",
            &[
                ("2026-11-20 07:30", true),
                ("2026-11-20 12:00", false),
                ("2026-11-21 23:59", true),
                ("2026-11-22 07:30", false),
            ],
        ),
        (
            "hours = [\"sat-mon 00:00-24:00\"]",
            &[("2026-11-20 12:00", false), ("2026-11-22 12:00", true), ("2026-11-23 12:00", true)],
        ),
        (
            "not_hours = [\"fri 22:00-06:00\"]",
            &[
                ("2026-11-20 21:59", true),
                ("2026-11-20 22:00", false),
                ("2026-11-21 05:59", false),
                ("2026-11-21 06:00", true),
                ("2026-11-22 03:00", true),
            ],
        ),
        (
            "hours = [\"工作日 06:00-20:00\"]\nnot_hours = [\"12:00-13:00\"]",
            &[
                ("2026-11-20 11:59", true),
                ("2026-11-20 12:30", false),
                ("2026-11-20 13:00", true),
                ("2026-11-21 10:00", false),
            ],
        ),
        ("", &[("2026-11-20 03:00", true)]),
    ];
    for (line, times) in cases {
        let text = format!("{NODE}{CAMERA}{ZONE}{line}\n");
        let loaded = Site::new(&[("gridwatch.toml", text.as_bytes())]).load().unwrap();
        let camera = loaded.config.cameras.first().unwrap_or_else(|| panic!("{line}: {:?}", loaded.problems));
        for (time, watched) in times {
            let local: jiff::civil::DateTime = time.parse().unwrap();
            assert_eq!(camera.zones[0].hours.contains(&local), *watched, "{line} at {time}");
        }
    }
}

/// What is disabled is published too, so its id must not be that of a camera that runs.
#[test]
fn disabled_cameras_have_ids_of_their_own() {
    let text = format!(
        "{NODE}{CAMERA}{CAMERA}[[camera]]\nurl = \"rtsp://10.1.2.3/\"\n[[camera]]\nid = \"大门\"\nurl = \"rtsp://10.1.2.3/\"\n[[camera]]\nid = \"line-12\"\nurl = \"rtsp://10.1.2.3/\"\n{ZONE}"
    );
    let config = Site::new(&[("gridwatch.toml", text.as_bytes())]).load().unwrap().config;
    let ids: Vec<&str> = config.disabled.iter().map(|camera| camera.id.as_str()).collect();
    assert_eq!(ids, ["gate.2", "line-12.2", "line-15"]);
    let ids: Vec<&str> = config.cameras.iter().map(|camera| camera.id.as_str()).collect();
    assert_eq!(ids, ["gate", "line-12"]);
}

#[test]
fn the_operators_scenarios_join_and_replace_the_built_in_ones() {
    let own = |id: &str, rule: &str| {
        format!(
            "id = \"{id}\"\nlevel = \"blue\"\ntitle = {{ zh = \"垃圾堆放\", en = \"Rubbish\" }}\n\
                 description = {{ zh = \"{{zone}}\", en = \"{{zone}}\" }}\n[rule]\n{rule}\n"
        )
    };
    let obstruction = "kind = \"obstruction\"\nany_object = true\ndwell_s = 600\nclear_s = 60";
    let text = format!("{NODE}scenarios_dir = \"own\"\n{CAMERA}{ZONE}{ZONE}id = \"rubbish\"\n[city_codes]\nrubbish = \"0507\"\n")
        .replace("polygon = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]\nid", "polygon = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9]]\nid");
    let (first, last) = text.rsplit_once("fire_lane").unwrap();
    let text = format!("{first}rubbish{last}");
    let files = [
        ("gridwatch.toml", text.as_bytes()),
        ("own/rubbish.toml", own("rubbish", obstruction).into_bytes().leak()),
        ("own/fire_lane.toml", own("fire_lane", obstruction).into_bytes().leak()),
    ];
    let site = Site::new(&files);
    assert_eq!(site.report(), "=> 1 run, 0 disabled");
    let config = site.load().unwrap().config;
    let zones = &config.cameras[0].zones;
    assert_eq!((zones[0].rule.dwell_s, zones[1].scenario.city_code.as_deref()), (600.0, Some("0507")));

    // A broken replacement leaves the built-in scenario, and says so.
    let site = Site::new(&[
        files[0],
        files[1],
        ("own/fire_lane.toml", own("fire_lane", "kind = \"obstruction\"\ndwel_s = 5").into_bytes().leak()),
    ]);
    assert!(
        site.report().starts_with("own/fire_lane.toml:7:1: error: unknown key `dwel_s` in `rule`"),
        "{}",
        site.report()
    );
    assert_eq!(site.load().unwrap().config.cameras[0].zones[0].rule.dwell_s, 240.0);
}

#[test]
fn built_in_scenarios_are_sound() {
    let scenarios = config::Scenario::built_in();
    let ids: Vec<&str> = scenarios.keys().map(String::as_str).collect();
    assert_eq!(
        ids,
        [
            "electronic_fence",
            "fire_lane",
            "illegal_parking",
            "store_spill",
            "street_vending",
            "thrown_object",
            "video_quality"
        ]
    );
    // As operators' files they would raise no problem either.
    let files: Vec<(String, Vec<u8>)> = ids
        .iter()
        .map(|id| {
            (
                format!("own/{id}.toml"),
                std::fs::read(repository(&format!("config/scenarios/{id}.toml"))).unwrap(),
            )
        })
        .collect();
    let text = format!("{NODE}scenarios_dir = \"own\"\n{CAMERA}{ZONE}");
    let mut all = vec![("gridwatch.toml", text.as_bytes())];
    all.extend(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    assert_eq!(Site::new(&all).report(), "=> 1 run, 0 disabled");
}

/// The revision follows every file; a zone's follows what shapes its verdicts and nothing else.
#[test]
fn revisions_follow_what_they_stand_for() {
    let load = |zone: &str| {
        Site::new(&[("gridwatch.toml", format!("{NODE}{CAMERA}{ZONE}{zone}").as_bytes())])
            .load()
            .unwrap()
            .config
    };
    let (plain, named, slower) = (load(""), load("name = \"东门\"\n"), load("dwell_s = 300\n"));
    let zone = |config: &config::Config| config.cameras[0].zones[0].revision.clone();
    assert_eq!(plain.revision, load("").revision);
    assert_ne!(plain.revision, named.revision);
    assert_eq!(zone(&plain), zone(&named));
    assert_ne!(zone(&plain), zone(&slower));
}
