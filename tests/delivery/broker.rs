//! A real mosquitto on a free loopback port, and its own command-line clients.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Whether mosquitto and its clients are here; prints why a test is skipped otherwise.
pub fn installed() -> bool {
    let found = program("mosquitto").is_some() && program("mosquitto_sub").is_some();
    if !found {
        println!("skipped: no mosquitto here; hint: apt-get install mosquitto mosquitto-clients");
    }
    found
}

fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([std::path::PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// A running mosquitto without memory of its own; ended when dropped.
pub struct Broker {
    child: Child,
    pub port: u16,
    _dir: tempfile::TempDir,
}

impl Broker {
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Self {
        Self::start_with(port, "allow_anonymous true\n", &[])
    }

    /// With further config lines, and files beside the config.
    pub fn start_with(port: u16, lines: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let lines = lines.replace("DIR", &dir.path().display().to_string());
        let config = dir.path().join("mosquitto.conf");
        // Root would be dropped to a user who cannot read the files of the test.
        let text = format!(
            "listener {port} 127.0.0.1\npersistence false\nuser root\nmax_queued_messages 0\n{lines}"
        );
        std::fs::write(&config, text).expect("written");
        let child = Command::new(program("mosquitto").expect("mosquitto"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let broker = Self { child, port, _dir: dir };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        broker
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Publishes as the platform would.
    pub fn publish(&self, topic: &str, payload: &[u8], retained: bool) {
        let mut command = Command::new(program("mosquitto_pub").expect("mosquitto_pub"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1", "-t", topic]);
        command.arg(if payload.is_empty() { "-n" } else { "-s" });
        if retained {
            command.arg("-r");
        }
        let mut child = command.stdin(Stdio::piped()).spawn().expect("mosquitto_pub starts");
        child.stdin.take().expect("stdin").write_all(payload).expect("written");
        assert!(child.wait().expect("ended").success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

/// One message as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub topic: String,
    pub retained: bool,
    pub payload: Vec<u8>,
}

impl Heard {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).expect("JSON")
    }
}

/// `mosquitto_sub` on everything under a filter.
pub struct Listener {
    child: Child,
    lines: Receiver<String>,
    /// Retained messages that came before the subscription was known to stand.
    early: RefCell<VecDeque<Heard>>,
}

/// What a child with a piped standard output prints, line by line, for those who cannot wait for ever.
pub fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("stdout");
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A retained topic of every mosquitto; subscribed last, it comes when all else is subscribed.
const SUBSCRIBED: &str = "$SYS/broker/version";

impl Listener {
    /// Returns when the broker has confirmed the subscription. QoS 0: what the broker wrote to the socket arrives,
    /// also when it is killed the moment after.
    pub fn start(port: u16, filter: &str) -> Self {
        let mut child = Command::new(program("mosquitto_sub").expect("mosquitto_sub"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "0", "-t", filter, "-t", SUBSCRIBED])
            .args(["-F", "MESSAGE %r %t %x"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub starts");
        let lines = lines_of(&mut child);
        let mut listener = Self { child, lines, early: RefCell::default() };
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let next = listener.next_line(until).expect("subscribed in time");
            if next.topic == SUBSCRIBED {
                return listener;
            }
            listener.early.get_mut().push_back(next);
        }
    }

    fn line(&self, until: Instant) -> Option<String> {
        self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }

    /// The next message, if one comes in time.
    pub fn next(&self, until: Instant) -> Option<Heard> {
        let early = self.early.borrow_mut().pop_front();
        early.or_else(|| self.next_line(until))
    }

    fn next_line(&self, until: Instant) -> Option<Heard> {
        loop {
            let line = self.line(until)?;
            let Some(rest) = line.strip_prefix("MESSAGE ") else { continue };
            let mut parts = rest.splitn(3, ' ');
            let retained = parts.next() == Some("1");
            let topic = parts.next().expect("a topic").to_owned();
            let payload = hex::decode(parts.next().unwrap_or_default()).expect("hex");
            return Some(Heard { topic, retained, payload });
        }
    }

    /// Messages until one satisfies `last`, which is included; fails after a minute.
    pub fn until(&self, last: impl Fn(&Heard) -> bool) -> Vec<Heard> {
        let until = Instant::now() + Duration::from_secs(60);
        let mut heard = Vec::new();
        loop {
            let Some(next) = self.next(until) else { panic!("not heard in time; so far {heard:#?}") };
            let over = last(&next);
            heard.push(next);
            if over {
                return heard;
            }
        }
    }

    /// Everything that comes within a while.
    pub fn rest(&self, while_: Duration) -> Vec<Heard> {
        let until = Instant::now() + while_;
        std::iter::from_fn(|| self.next(until)).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
