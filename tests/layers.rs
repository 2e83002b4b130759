//! The invariants of the architecture that can be read off the source: who may import whom, and which foreign crate
//! lives where (see `src/lib.rs`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Layers from the bottom up. A module may use modules of lower layers, and its own, never of its own layer's others
/// (unless the layer says so).
const LAYERS: &[(&str, &[&str], bool)] = &[
    ("geometry", &["geometry"], false),
    ("words", &["frame", "detection", "observation", "event", "processor", "metrics"], true),
    // `event` carries a few config types (level, place, text) into the contract.
    ("config", &["config"], true),
    (
        "stages",
        &[
            "camera", "sampler", "decode", "detect", "scene", "health", "incident", "evidence", "store",
            "dispatch", "simulate", "eval",
        ],
        false,
    ),
    ("daemon", &["daemon", "schema"], true),
    ("cli", &["cli"], false),
];

/// Exceptions, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("event", "config", "the contract repeats level, place and text as the config spells them"),
    ("scene", "track", "scene owns its tracks"),
    ("scene", "rule", "scene owns its rules"),
    ("rule", "track", "rules read tracks"),
    ("incident", "store", "the store is the one memory of incidents and outbox"),
    ("dispatch", "store", "the outbox lives in the store"),
];

/// Which files may name a foreign crate.
const FENCES: &[(&str, &[&str])] = &[
    ("retina", &["src/camera/rtsp.rs"]),
    ("ffmpeg_next", &["src/decode/", "src/camera/clip", "src/evidence/clip.rs", "src/evidence/annotate.rs"]),
    ("ort", &["src/detect/session.rs"]),
    ("rumqttc", &["src/dispatch/wire.rs"]),
    ("tokio_rustls", &["src/dispatch/tls.rs"]),
    ("rusqlite", &["src/store"]),
    ("rtsp_types", &["src/simulate/"]),
];

/// Where tokio may not be: what decides must be pure.
const PURE: &[&str] = &["src/geometry.rs", "src/track", "src/rule", "src/scene.rs", "src/health"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Source files relative to the repository with their code: comments and the unit tests at the end taken away.
fn code() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            (name, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn module_of(file: &str) -> String {
    let name = file.trim_start_matches("src/").split('/').next().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

fn layer_of(module: &str) -> Option<usize> {
    let module = if matches!(module, "track" | "rule") { "scene" } else { module };
    LAYERS.iter().position(|(_, modules, _)| modules.contains(&module))
}

/// The top-level modules a file names as `crate::x`, also within `use crate::{a, b::c}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        let names: Vec<&str> = match part.strip_prefix('{') {
            // One level of braces is all rustfmt leaves at the top.
            Some(list) => list.split('}').next().unwrap().split(',').collect(),
            None => vec![part],
        };
        for name in names {
            let word: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(word);
        }
    }
    found
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for (file, code) in code() {
        let module = module_of(&file);
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let Some(own) = layer_of(&module) else {
            wrong.push(format!(
                "{file}: module `{module}` is in no layer; add it to LAYERS in tests/layers.rs"
            ));
            continue;
        };
        for import in imports(&code) {
            let Some(other) = layer_of(&import) else { continue };
            let allowed = ALLOWED.iter().any(|(from, to, _)| *from == module && *to == import);
            let fine = import == module || other < own || (other == own && LAYERS[own].2) || allowed;
            if !fine {
                wrong.push(format!(
                    "{file} imports `{import}`: {} may not use {}",
                    LAYERS[own].0, LAYERS[other].0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_are_fenced() {
    let mut wrong = Vec::new();
    for (file, code) in code() {
        for (name, homes) in FENCES {
            let inside = homes.iter().any(|home| file.starts_with(home));
            let path = format!("{name}::");
            let mut uses = code.match_indices(&path).filter(|(at, _)| {
                !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if !inside && uses.next().is_some() {
                wrong.push(format!("{file} uses `{name}`, which lives in {homes:?}"));
            }
        }
        if PURE.iter().any(|home| file.starts_with(home)) {
            for word in ["tokio::", "std::fs", "std::net", "SystemTime", "Instant::now", "Timestamp::now"] {
                if code.contains(word) {
                    wrong.push(format!("{file} uses `{word}`: what decides is pure"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checks_can_fail() {
    assert_eq!(
        imports("use crate::{camera, detect::Detector};\ncrate::scene::Scene::new()"),
        ["camera", "detect", "scene"]
    );
    assert!(layer_of("camera") > layer_of("config"));
    assert!(layer_of("track") == layer_of("scene"));
    assert_eq!(layer_of("nonsense"), None);
}

/// The words in backquotes of a table's cell: those before a file belong to it.
fn named(cell: &str) -> Vec<(String, String)> {
    let (mut waiting, mut found) = (Vec::new(), Vec::new());
    for word in cell.split('`').skip(1).step_by(2) {
        if Path::new(word).extension().is_some_and(|e| e == "rs") {
            found.extend(waiting.drain(..).map(|name| (name, word.to_owned())));
        } else {
            waiting.push(word.to_owned());
        }
    }
    found
}

/// The table of what comes in broken: every line has a bound and a test, and they are where it says.
#[test]
fn every_fault_in_the_table_has_its_bound_and_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("tests/README.md")).unwrap();
    let table = table.split("## Mutations at length").next().unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| class |"));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in lines {
        count += 1;
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [class, bound, test, outcome] = cells[..] else {
            wrong.push(format!("not four cells: {line}"));
            continue;
        };
        if outcome.trim().is_empty() {
            wrong.push(format!("{class}: what happens?"));
        }
        for (what, cell) in [("", bound), ("fn ", test)] {
            let named = named(cell);
            if named.is_empty() {
                wrong.push(format!("{class}: nothing named in `{cell}`"));
            }
            for (name, file) in named {
                let text = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
                if !text.contains(&format!("{what}{name}")) {
                    wrong.push(format!("{class}: no `{name}` in {file}"));
                }
            }
        }
    }
    assert!(count > 20, "{count} lines: is it another table now?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
