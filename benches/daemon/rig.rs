//! The parts of a measurement, each a process of its own: broker, simulated cameras, the daemon; and who listens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gridwatch::config::Mqtt;
use gridwatch::dispatch::{Received, Subscription};
use gridwatch::event::IncidentEvent;
use jiff::Timestamp;

use super::material::{Scene, SceneZone};
use super::process::{Process, free_port};

/// A mosquitto on a free loopback port.
pub struct Broker {
    /// Ends with this.
    _process: Process,
    pub port: u16,
}

impl Broker {
    /// Starts it and waits until it takes connections.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let config = dir.join("mosquitto.conf");
        std::fs::write(
            &config,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nlog_dest stderr\n\
                 message_size_limit 16777216\n"
            ),
        )?;
        // Debian puts servers where an ordinary user's PATH does not look.
        let usual = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].map(Path::new);
        let program = usual.into_iter().find(|file| file.is_file()).unwrap_or(Path::new("mosquitto"));
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start(&mut command, &dir.join("mosquitto.log"))?;
        let patience = Instant::now() + Duration::from_secs(15);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            process.check_alive()?;
            if Instant::now() > patience {
                bail!("mosquitto does not take connections on port {port}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { _process: process, port })
    }

    fn settings(&self) -> Mqtt {
        Mqtt::plain("127.0.0.1", self.port, "gridwatch")
    }

    /// Hears everything under these filters from now on.
    pub fn listen(&self, filters: &[&str]) -> anyhow::Result<Listener> {
        let (mqtt, filters) = (self.settings(), filters.iter().map(|&f| f.to_owned()).collect::<Vec<_>>());
        let (heard, stop) = (Arc::<Mutex<Vec<Message>>>::default(), Arc::new(AtomicBool::new(false)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut subscription = runtime.block_on(Subscription::open(&mqtt, &filters))?;
        let thread = std::thread::spawn({
            let (heard, stop) = (Arc::clone(&heard), Arc::clone(&stop));
            move || {
                while !stop.load(Relaxed) {
                    let next = async {
                        tokio::time::timeout(Duration::from_millis(200), subscription.next(&mqtt)).await
                    };
                    match runtime.block_on(next) {
                        Ok(Ok(Received { topic, payload, .. })) => {
                            let message = Message { at: Timestamp::now(), topic, payload };
                            heard.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                        }
                        Ok(Err(_)) => return,
                        Err(_) => {}
                    }
                }
            }
        });
        Ok(Listener { heard, stop, thread: Some(thread) })
    }

    /// Publishes one message.
    pub fn publish(&self, topic: &str, payload: &str) -> anyhow::Result<()> {
        let mut command = Command::new("mosquitto_pub");
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-q",
            "1",
            "-t",
            topic,
            "-m",
            payload,
        ]);
        let status = command
            .status()
            .context("cannot start mosquitto_pub\nhint: apt-get install mosquitto-clients")?;
        if !status.success() {
            bail!("mosquitto_pub failed ({status})");
        }
        Ok(())
    }
}

/// A message and when it came.
#[derive(Debug, Clone)]
pub struct Message {
    pub at: Timestamp,
    pub topic: String,
    pub payload: Vec<u8>,
}

/// What was heard at the broker.
pub struct Listener {
    heard: Arc<Mutex<Vec<Message>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listener {
    /// Everything so far.
    pub fn messages(&self) -> Vec<Message> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The incidents among it.
    pub fn incidents(&self) -> anyhow::Result<Vec<(Timestamp, IncidentEvent)>> {
        let messages = self.messages();
        let incidents = messages.iter().filter(|message| message.topic.contains("/incidents/"));
        incidents.map(|m| Ok((m.at, serde_json::from_slice(&m.payload).context("an incident")?))).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Simulated cameras `cam1` …, each at another place of its clip.
pub struct Cameras {
    pub process: Process,
    pub port: u16,
    /// When the common clock began.
    pub started: Timestamp,
    orders: ChildStdin,
}

impl Cameras {
    /// Starts `count` cameras that take the clips in turn.
    pub fn start(program: &Path, clips: &[&Path], count: usize, dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("simulate").args(clips).args([
            "--staggered",
            "--port",
            "0",
            "--cameras",
            &count.to_string(),
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command, &dir.join("simulate.log"))?;
        let stdout = process.child.stdout.take().context("the simulator has no stdout")?;
        let orders = process.child.stdin.take().context("the simulator has no stdin")?;
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        // The first line is printed at once after the server's clock has begun.
        let started = Timestamp::now();
        let port = line.trim().rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        let Some(port) = port else {
            process.check_alive()?;
            bail!("the simulator says `{}`", line.trim());
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.lines().for_each(drop));
        Ok(Self { process, port, started, orders })
    }

    /// Gives an order, as `gridwatch simulate` reads them from stdin.
    pub fn order(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.orders, "{line}")?)
    }

    /// The URL of the n-th camera, counted from 0.
    pub fn url(&self, n: usize) -> String {
        format!("rtsp://127.0.0.1:{}/cam{}", self.port, n + 1)
    }
}

/// What the daemon is told about one camera.
pub struct Watched<'a> {
    /// Which simulated camera, counted from 0; its id is `cam` and this plus 1.
    pub n: usize,
    pub zones: &'a [SceneZone],
    /// Further keys of the camera's table.
    pub keys: &'a str,
}

/// The daemon's config.
pub fn config(
    watched: &[Watched<'_>],
    broker: &Broker,
    cameras: &Cameras,
    dir: &Path,
    (node, tables): (&str, &str),
) -> anyhow::Result<String> {
    let mut text = format!(
        "[node]\nsite = \"bench\"\nid = \"box\"\ndata_dir = {:?}\ntimezone = \"Asia/Shanghai\"\n{node}\n\
         [mqtt]\nhost = \"127.0.0.1\"\nport = {}\n\n{tables}\n",
        dir.join("data").display().to_string(),
        broker.port
    );
    for Watched { n, zones, keys } in watched {
        write!(text, "[[camera]]\nid = \"cam{}\"\nurl = {:?}\n{keys}\n", n + 1, cameras.url(*n))?;
        for zone in *zones {
            let SceneZone { id, scenario, polygon, keys, .. } = zone;
            write!(
                text,
                "[[zone]]\ncamera = \"cam{}\"\nid = {id:?}\nscenario = {scenario:?}\npolygon = {polygon:?}\n{keys}\n",
                n + 1
            )?;
        }
    }
    Ok(text)
}

/// The daemon.
pub struct Daemon {
    pub process: Process,
    /// When it said that it watches, and what it had cost until then: models and store are open.
    pub ready: (Instant, Duration),
    /// The same as a wall time.
    pub ready_at: Timestamp,
}

/// What the daemon says of itself when it stops.
#[derive(Debug, Default, Clone, Copy)]
pub struct Said {
    /// CPU seconds from ready to stop.
    pub cpu_s: f64,
    /// Seconds from ready to stop.
    pub ran_s: f64,
    pub received: u64,
    pub decoded: u64,
    pub looked: u64,
    /// Key pictures that stayed compressed because nothing seemed to move.
    pub quiet: u64,
    /// Of those looked at, how many were not inferred again because nothing had changed.
    pub unchanged: u64,
    pub undelivered: u64,
}

impl Daemon {
    /// Starts it and waits until it watches.
    pub fn start(program: &Path, config: &str, dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join("gridwatch.toml");
        std::fs::write(&file, config)?;
        let data = dir.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        // Models are those of this checkout.
        command.env("GRIDWATCH_SHARE", std::env::current_dir()?);
        command.env("GRIDWATCH_LOG", "info,gridwatch::latency=debug");
        let mut process = Process::start(&mut command, &dir.join("gridwatch.log"))?;
        let patience = Instant::now() + Duration::from_secs(60);
        while !process.said().contains("watching ") {
            process.check_alive()?;
            if Instant::now() > patience {
                bail!("the daemon does not become ready; see {}", process.log.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if !process.said().contains("(0 disabled)") {
            bail!("the daemon does not take the bench's config; see {}", process.log.display());
        }
        let ready = (Instant::now(), process.cpu()?);
        Ok(Self { process, ready, ready_at: Timestamp::now() })
    }

    /// Milliseconds that each stage took to open an incident, by the stage's name, as far as the daemon tells.
    pub fn stages(&self) -> BTreeMap<String, Vec<f64>> {
        let mut stages = BTreeMap::<String, Vec<f64>>::new();
        for line in plain(&self.process.said()).lines().filter(|line| line.contains("total_ms=")) {
            for (name, value) in line.split_whitespace().filter_map(|word| word.split_once("_ms=")) {
                if let Ok(value) = value.parse() {
                    stages.entry(name.to_owned()).or_default().push(value);
                }
            }
        }
        stages
    }

    /// Stops it in order; what it counted.
    pub fn stop(mut self) -> anyhow::Result<Said> {
        self.process.check_alive()?;
        let cpu_s = self.process.cpu()?.saturating_sub(self.ready.1).as_secs_f64();
        let ran_s = self.ready.0.elapsed().as_secs_f64();
        let in_order = self.process.stop(Duration::from_secs(60))?;
        let log = plain(&self.process.said());
        let summary = log.lines().rev().find(|line| line.contains("stopped: "));
        let Some(summary) = summary.filter(|_| in_order) else {
            bail!("the daemon did not stop in order; see {}", self.process.log.display());
        };
        let number = |words: &str| -> Option<u64> {
            let before = &summary[..summary.find(words)?];
            before.trim_end().rsplit([' ', ';']).next()?.parse().ok()
        };
        Ok(Said {
            cpu_s,
            ran_s,
            received: number("pictures received").unwrap_or(0),
            decoded: number("decoded").unwrap_or(0),
            looked: number("looked at").unwrap_or(0),
            quiet: number("quiet,").unwrap_or(0),
            unchanged: number("unchanged,").unwrap_or(0),
            undelivered: number("messages undelivered").unwrap_or(0),
        })
    }
}

/// A log without the colours of a terminal.
fn plain(log: &str) -> String {
    let mut parts = log.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

impl Process {
    /// Its log so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// A fresh folder for one case.
pub fn folder(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = dir.join(name);
    std::fs::create_dir_all(&dir)?;
    Ok(dir.canonicalize()?)
}

/// The clips of scenes, in order.
pub fn clips<'a>(scenes: &[&'a Scene]) -> Vec<&'a Path> {
    scenes.iter().map(|scene| scene.file.as_path()).collect()
}
