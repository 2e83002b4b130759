//! How long evidence is kept, and that whoever looks at it is entered: the real daemon and the real verbs on a data directory.

mod service;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use gridwatch::event::{EvidenceKind, Incident, Phase, Verdict, VerdictKind};
use gridwatch::evidence::{Archive, Class};
use gridwatch::store::{Entry, Store};
use serde_json::json;
use service::Service;

const DAY: Duration = Duration::from_secs(86_400);

/// A data directory with evidence, and the config of its box.
struct Node {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Node {
    fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("gridwatch.toml");
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-v2.onnx");
        let text = format!(
            "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n[models.street]\nfile = \"{}\"\n\
             [evidence]\n{settings}",
            model.display()
        );
        std::fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Keeps a picture since so many days; gives its path.
    fn keep(&self, class: Class, content: &str, days: u32) -> gridwatch::event::EvidenceRef {
        let archive = Archive::open(self.data()).unwrap();
        let kept =
            archive.keep(class, EvidenceKind::Snapshot, jiff::Timestamp::now(), content.as_bytes()).unwrap();
        let file = std::fs::File::options().write(true).open(self.data().join(&kept.path)).unwrap();
        file.set_modified(SystemTime::now() - DAY * days).unwrap();
        kept
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
        command.args(args).arg("--config").arg(&self.config).current_dir(self.dir.path());
        command.env("SUDO_USER", "zhang").output().unwrap()
    }
}

fn incident(kind: &str, evidence: Vec<gridwatch::event::EvidenceRef>) -> Incident {
    let text = json!({ "zh": "占用", "en": "blocked" });
    let at = "2026-11-22T00:00:00Z";
    let incident = json!({
        "incident": uuid::Uuid::now_v7(), "seq": 2, "phase": Phase::Closed, "certainty": "confirmed", "kind": kind,
        "level": "orange", "title": text, "description": text,
        "camera": { "id": "gate", "name": "东门", "place": {} }, "zone": { "id": kind, "name": "A", "revision": "r" },
        "first_seen": at, "last_seen": at, "closed_at": at, "closed_reason": "cleared", "clock": "arrival",
        "dwell_s": 1.0, "coverage": 0.5, "objects": [], "config_revision": "c", "evidence": evidence,
    });
    serde_json::from_value(incident).expect("an incident")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_kind_of_evidence_has_its_time_and_deletions_are_entered() {
    let settings = "retention_days = 30\nretention_days_of = { thrown_object = 90 }\nfalse_alarm_days = 10\nasked_days = 5\n";
    let place = Node::new(settings);
    // What cites it, how many days old it is, and whether it stays.
    let thrown_and_false = "thrown_object and a false alarm";
    let cases: &[(&str, u32, bool)] = &[
        ("fire_lane", 29, true),
        ("fire_lane", 31, false),
        ("thrown_object", 89, true),
        ("thrown_object", 91, false),
        ("false alarm", 9, true),
        ("false alarm", 11, false),
        ("asked", 4, true),
        ("asked", 6, false),
        ("nothing", 29, true),
        ("nothing", 31, false),
        // The longest time of all that cite it.
        (thrown_and_false, 31, true),
    ];
    let mut kept = Vec::new();
    {
        let store = Store::open(&place.data()).unwrap();
        for (index, &(by, days, _)) in cases.iter().enumerate() {
            let class = if by == "asked" { Class::Asked } else { Class::Incident };
            let piece = place.keep(class, &format!("{index}"), days);
            let kinds: &[(&str, bool)] = match by {
                "fire_lane" => &[("fire_lane", false)],
                "thrown_object" => &[("thrown_object", false)],
                "false alarm" => &[("fire_lane", true)],
                _ if by == thrown_and_false => &[("thrown_object", false), ("fire_lane", true)],
                _ => &[],
            };
            for &(kind, is_false) in kinds {
                let incident = incident(kind, vec![piece.clone()]);
                let id = incident.incident;
                store.write(vec![Entry { incident, messages: Vec::new() }], Vec::new()).unwrap();
                if is_false {
                    let verdict = Verdict { verdict: VerdictKind::FalseAlarm, case_id: None, note: None };
                    store.add_verdict(id, verdict, false).unwrap();
                }
            }
            kept.push(piece.path);
        }
    }
    let (daemon, log) = Service::logged(&place.config, &["--log-format", "json"]);
    let patience = Instant::now() + Duration::from_secs(60);
    let wanted = cases.iter().filter(|(.., stays)| !stays).count();
    let entered = loop {
        let out = text(&place.run(&["evidence", "register"]).stdout);
        if out.lines().count() >= wanted {
            break out;
        }
        assert!(Instant::now() < patience, "{out}");
        std::thread::sleep(Duration::from_millis(300));
    };
    drop(daemon);
    let log = std::io::read_to_string(log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let deleted = format!("evidence: {wanted} files deleted");
    assert!(lines.iter().any(|line| line["message"] == deleted.as_str() && line["level"] == "INFO"), "{log}");
    for ((by, days, stays), path) in cases.iter().zip(&kept) {
        assert_eq!(place.data().join(path).is_file(), *stays, "{by}, {days} days");
        assert_eq!(entered.contains(path.as_str()), !stays, "{by}, {days} days\n{entered}");
    }
    assert_eq!(entered.lines().count(), wanted, "{entered}");
}

#[test]
fn who_looks_is_entered_and_what_was_entered_stays() {
    let place = Node::new("");
    let pieces = vec![place.keep(Class::Incident, "one", 0), place.keep(Class::Incident, "two", 0)];
    let sha = pieces[1].sha256.clone();
    let incident = incident("fire_lane", pieces);
    let id = incident.incident.to_string();
    let store = Store::open(&place.data()).unwrap();
    store.write(vec![Entry { incident, messages: Vec::new() }], Vec::new()).unwrap();

    let refused: &[(&[&str], &str)] = &[
        (&["evidence", "show", &id, "--why", " "], "`--why` is empty"),
        (&["evidence", "show", "../../etc/passwd", "--why", "x"], "neither the id of an incident nor"),
        (&["evidence", "show", "00000000", "--why", "x"], "no piece of evidence, or several"),
        (&["evidence", "show", "019abcde-0000-7000-8000-000000000000", "--why", "x"], "no incident"),
    ];
    for (args, why) in refused {
        let out = place.run(args);
        assert!(!out.status.success());
        assert!(text(&out.stderr).contains(why), "{args:?}: {}", text(&out.stderr));
    }
    let shown = place.run(&["evidence", "show", &id, "--why", "case 2026-118", "--to", "."]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(std::fs::read(place.dir.path().join(format!("{sha}.jpg"))).unwrap(), b"two");
    let shown = place.run(&["evidence", "show", &sha[..10], "--why", "second look"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));

    let register = place.run(&["evidence", "register"]);
    let (lines, said) = (text(&register.stdout), text(&register.stderr));
    assert!(register.status.success(), "{said}");
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.contains("case 2026-118") && lines.contains("zhang as "), "{lines}");
    let head = said.rsplit("head ").next().unwrap().trim().to_owned();
    assert!(place.run(&["evidence", "register", "--head", &head]).status.success());

    // Somebody takes the last line out, or changes the first.
    let folder = place.data().join("register");
    let file = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|e| e == "jsonl")).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let shorter: String = whole.split_inclusive('\n').take(2).collect();
    std::fs::write(&file, shorter).unwrap();
    let out = place.run(&["evidence", "register", "--head", &head]);
    assert!(!out.status.success() && text(&out.stderr).contains("not in the chain"), "{}", text(&out.stderr));
    std::fs::write(&file, whole.replacen("case 2026-118", "case 2026-119", 1)).unwrap();
    let out = place.run(&["evidence", "register"]);
    assert!(!out.status.success() && text(&out.stderr).contains("broken at"), "{}", text(&out.stderr));
}
