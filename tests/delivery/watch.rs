//! `gridwatch watch` as an operator starts it: the same incidents, from a broker and from the local store.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::broker::{self, Broker, Listener, lines_of};
use super::site::{BASE, Site};
use super::{dispatch, drained};

/// A running `gridwatch watch`; ended when dropped.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
            .arg("watch")
            .args(args)
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .spawn()
            .expect("gridwatch starts");
        let lines = lines_of(&mut child);
        Self { child, lines }
    }

    /// The lines up to the first that has all of `words`.
    fn until(&self, words: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|error| {
                panic!("{error} before a line with {words:?}; so far {lines:#?}");
            });
            let last = words.iter().all(|word| line.contains(word));
            lines.push(line);
            if last {
                return lines;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_prints_what_the_broker_has() {
    if !broker::installed() {
        return;
    }
    let broker = Broker::start();
    let site = Site::new(Some(broker.port));
    let store = site.store();
    let dispatch = dispatch(&site, &store);
    // The node's retained status is the first line: when it is there, the subscription stands.
    let listener = Listener::start(broker.port, "#");
    listener.until(|m| m.topic == format!("{BASE}/status"));
    let port = broker.port.to_string();
    let args = ["--host", "127.0.0.1", "--port", &port, "--root", "city/grid"];
    let (plain, json) = (Watch::start(&args), Watch::start(&[&args[..], &["--json"]].concat()));
    plain.until(&["节点 node", BASE, "online"]);
    json.until(&["\"online\""]);
    let said = site.play(&mut site.incidents(&store), "gate", 0.0, 1);
    let lines = plain.until(&["消防通道占用", "结束 closed: 已清除 cleared"]);
    assert_eq!(lines.len(), said.len(), "{lines:#?}");
    assert!(lines[0].contains("新增 opened, 确认 confirmed"), "{}", lines[0]);
    assert!(lines[0].contains("gate camera · 东侧") && lines[0].contains(".jpg"), "{}", lines[0]);
    for (line, statement) in json.until(&["\"cleared\""]).iter().zip(&said) {
        let event: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        assert_eq!(event["id"], format!("{}/{}", statement.incident, statement.seq));
    }
    drained(&store);
    drop(dispatch);
}

#[test]
fn watch_prints_what_the_store_has() {
    let site = Site::new(None);
    let store = site.store();
    let data = site.data();
    let mut incidents = site.incidents(&store);
    // What was there before it looked, and what comes while it looks.
    site.play(&mut incidents, "gate", 0.0, 0);
    let watch = Watch::start(&["--store", data.to_str().expect("a path")]);
    watch.until(&["gate camera", "结束 closed: 已清除 cleared"]);
    site.play(&mut incidents, "market", 0.0, 0);
    watch.until(&["market camera", "结束 closed: 已清除 cleared"]);
}

#[test]
fn watch_says_what_it_wants() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_gridwatch")).arg("watch").output().expect("gridwatch starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--config FILE, --host HOST or --store DATA_DIR"), "{said}");
}
