//! `gridwatch watch` as an operator starts it: the same incidents, from a broker and from the local store.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::broker::{self, Broker, Listener, lines_of};
use super::site::{BASE, Site};
use super::tls::Certificates;
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
            .env("WATCH_PASSWORD", "secret")
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
fn watch_proves_who_it_is_and_asks_the_broker_to() {
    let Some(certificates) = broker::installed().then(Certificates::make).flatten() else { return };
    let path = |name: &str| certificates.path(name).display().to_string();
    let passwords = path("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c", &passwords, "watcher", "secret"]).status();
    assert!(made.expect("mosquitto_passwd").success());
    let more = format!("require_certificate true\nallow_anonymous false\npassword_file {passwords}\n");
    let (_broker, port) = certificates.broker("broker", &more);
    let (port, ca, other) = (port.to_string(), path("ca.pem"), path("ca2.pem"));
    let (cert, key) = (path("box.pem"), path("box.key"));
    let at = ["--host", "127.0.0.1", "--port", &port, "--root", "city/grid"];
    let tls = ["--tls", "--ca-file", &ca];
    let own = ["--client-cert-file", &cert, "--client-key-file", &key];
    let login = ["--user", "watcher", "--password-env", "WATCH_PASSWORD"];
    for (name, args, code, says) in [
        ("plain", [&at[..], &login].concat(), 1, "write `tls = true`"),
        ("no certificate", [&at[..], &tls, &login].concat(), 1, "`client_cert_file`"),
        (
            "another authority",
            [&at[..], &["--tls", "--ca-file", &other], &own, &login].concat(),
            1,
            "`ca_file` must hold",
        ),
        ("authorities of the system", [&at[..], &["--tls"], &own, &login].concat(), 1, "`ca_file`"),
        ("no password", [&at[..], &tls, &own].concat(), 1, "password"),
        (
            "no variable",
            [&at[..], &tls, &own, &["--user", "watcher", "--password-env", "NOBODY"]].concat(),
            1,
            "`NOBODY`",
        ),
        ("half a certificate", [&at[..], &tls, &own[..2]].concat(), 2, "--client-key-file"),
        ("an authority without TLS", [&at[..], &tls[1..]].concat(), 2, "--tls"),
        ("TLS to nobody", vec!["--tls"], 2, "--host"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
        command.arg("watch").args(&args).env("WATCH_PASSWORD", "secret").env_remove("NOBODY");
        let output = command.output().expect("gridwatch starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(says) && output.status.code() == Some(code), "{name}: {said}");
        assert!(!said.contains("secret"), "{name}: {said}");
    }
    // One who may.
    let site = Site::with(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"city/grid\"\ntls = true\nca_file = \"{ca}\"\n\
         client_cert_file = \"{cert}\"\nclient_key_file = \"{key}\"\nusername = \"watcher\"\npassword = \"secret\"\n"
    ));
    let _dispatch = dispatch(&site, &site.store());
    let watch = Watch::start(&[&at[..], &tls, &own, &login].concat());
    watch.until(&["节点 node", BASE, "online"]);
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
