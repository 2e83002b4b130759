//! The main job, started as the README says: `gridwatch demo` with a real broker, simulated cameras and the daemon as a
//! process of its own, listened to with a plain `mosquitto_sub`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

fn installed(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
        .iter()
        .any(|dir| std::path::Path::new(dir).join(program).is_file())
}

/// What `mosquitto_sub -F '%t %x'` prints for each message: topic, payload in hex.
fn message(line: &str) -> Option<(String, Vec<u8>)> {
    let (topic, payload) = line.split_once(' ')?;
    Some((topic.to_owned(), hex::decode(payload.trim()).ok()?))
}

#[test]
fn three_kinds_arrive_at_a_plain_subscriber() {
    for program in ["mosquitto", "mosquitto_sub"] {
        if !installed(program) {
            println!("skipped: no {program} on this machine (apt-get install mosquitto mosquitto-clients)");
            return;
        }
    }
    let mut demo = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(["demo", "--for", "120s", "--json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(demo.stderr.take().unwrap());
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            println!("demo: {line}");
            if let Some(at) = line.split("mqtt://127.0.0.1:").nth(1) {
                let port: String = at.chars().take_while(char::is_ascii_digit).collect();
                let _ = say.send(port);
            }
        }
    });
    let port = said.recv_timeout(Duration::from_secs(60)).expect("the demo names its broker");
    let mut subscriber = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "gridwatch/#", "-F", "%t %x"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let heard = BufReader::new(subscriber.stdout.take().unwrap());
    let (hear, messages) = mpsc::channel();
    std::thread::spawn(move || {
        for line in heard.lines().map_while(Result::ok) {
            if let Some(message) = message(&line) {
                let _ = hear.send(message);
            }
        }
    });
    let stdout = BufReader::new(demo.stdout.take().unwrap());
    let printed: Vec<String> = stdout.lines().map_while(Result::ok).collect();
    let status = demo.wait().unwrap();
    let _ = subscriber.kill();
    let _ = subscriber.wait();
    assert!(status.success(), "the demo says that it did not see all three kinds: {status}");

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let schema = root.join("config/contract/incident.schema.json");
    let schema = compiler.compile(&schema.to_string_lossy(), &mut schemas).unwrap();

    let deadline = Instant::now() + Duration::from_secs(5);
    let mut pictures: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut incidents = Vec::new();
    let mut states: BTreeSet<String> = BTreeSet::new();
    while let Ok((topic, payload)) = messages.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if topic.contains("/evidence/") {
            let hash = hex::encode(Sha256::digest(&payload));
            pictures.insert(topic, (payload.len(), hash));
        } else if topic.contains("/incidents/") {
            let incident: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let valid = schemas.validate(&incident, schema);
            assert!(valid.is_ok(), "{topic}: {:#}", valid.unwrap_err());
            // Each cited picture came before its incident, and is what it says.
            for evidence in incident["data"]["evidence"].as_array().unwrap() {
                if evidence["kind"] == "snapshot" {
                    let (size, hash) =
                        &pictures[evidence["topic"].as_str().expect("a published picture names its topic")];
                    assert_eq!(evidence["sha256"], hash.as_str(), "{topic}");
                    assert_eq!(evidence["size_bytes"], *size, "{topic}");
                }
            }
            incidents.push(incident);
        } else if topic.contains("/cameras/") && topic.ends_with("/status") {
            let status: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            states.insert(format!("{} {}", status["camera"], status["state"]));
        }
    }
    assert!(!pictures.is_empty(), "no picture arrived");
    for kind in ["fire_lane", "street_vending", "thrown_object"] {
        for phase in ["opened", "closed"] {
            let seen = incidents.iter().any(|i| i["data"]["kind"] == kind && i["data"]["phase"] == phase);
            assert!(seen, "no {kind} was {phase}");
        }
    }
    // Said once: no incident opens twice or closes twice.
    for phase in ["opened", "closed"] {
        let mut ids: Vec<&str> = incidents
            .iter()
            .filter(|i| i["data"]["phase"] == phase)
            .filter_map(|i| i["data"]["incident"].as_str())
            .collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(all, ids.len(), "an incident was {phase} twice");
    }
    assert!(
        incidents.iter().all(|i| i["data"]["camera"]["id"] != "quiet-street"),
        "a quiet street gave an incident"
    );
    let online = states.iter().filter(|state| state.ends_with("\"online\"")).count();
    assert!(online >= 4, "{states:?}");
    // What the demo prints is what the broker carried.
    let on_stdout: Vec<serde_json::Value> =
        printed.iter().map(|line| serde_json::from_str(line).expect("stdout is JSON lines")).collect();
    assert!(!on_stdout.is_empty());
    for line in &on_stdout {
        assert!(line["data"]["incident"].is_string(), "{line}");
    }
}
