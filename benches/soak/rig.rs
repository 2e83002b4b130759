//! The parts: simulated cameras, broker, the way to it, the daemon.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gridwatch::config::Mqtt;
use gridwatch::daemon::Status;
use gridwatch::simulate::{self, Faults, Mount, Server};
use jiff::Timestamp;

use super::process::{Held, Process, free_port};
use super::scenes::Camera;

/// The clock that everything is noted by: seconds since the cameras began.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    began_wall: Timestamp,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: Instant::now(), began_wall: Timestamp::now() }
    }

    pub fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub fn of(&self, wall: Timestamp) -> f64 {
        wall.duration_since(self.began_wall).as_secs_f64()
    }
}

/// The simulated cameras, on a thread of their own.
pub struct Cameras {
    pub clock: Clock,
    pub server: Server,
    pub runtime: tokio::runtime::Runtime,
}

impl Cameras {
    pub fn start(cameras: &[Camera], seed: u64) -> anyhow::Result<Self> {
        // Hundreds of cameras need less than one thread.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mounts = cameras.iter().map(|camera| Mount::new(&camera.id, camera.scene.source.clone()));
        let config = simulate::Config {
            mounts: mounts.collect(),
            shared_clock: true,
            staggered: true,
            seed,
            ..simulate::Config::default()
        };
        let entered = runtime.enter();
        let clock = Clock::start();
        let server = Server::start(config)?;
        drop(entered);
        Ok(Self { clock, server, runtime })
    }

    pub fn faults(&self, camera: &Camera) -> Faults {
        self.server.faults(&camera.id).expect("every camera is served")
    }

    pub fn url(&self, camera: &Camera) -> url::Url {
        self.server.url(&camera.id).expect("every camera is served")
    }
}

/// A mosquitto on one loopback port, that can be stopped, killed and started again.
pub struct Broker {
    process: Option<Process>,
    pub port: u16,
    dir: PathBuf,
}

impl Broker {
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let memory = dir.join("broker");
        std::fs::create_dir_all(&memory)?;
        let mut broker = Self { process: None, port: free_port()?, dir: dir.to_owned() };
        // No limit to what is in flight: the auditor is written to before the daemon is acknowledged. Every change is
        // remembered at once, and root would be dropped to a user who cannot write here.
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\nlog_type error\nlog_dest stderr\n\
             message_size_limit 16777216\nmax_inflight_messages 0\nmax_queued_messages 0\npersistence true\n\
             persistence_location {}/\nautosave_interval 20\n",
            broker.port,
            memory.display()
        );
        std::fs::write(dir.join("mosquitto.conf"), text)?;
        broker.up()?;
        Ok(broker)
    }

    /// Starts it, if it is not running, and waits until it takes connections.
    pub fn up(&mut self) -> anyhow::Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        // Debian puts servers where an ordinary user's PATH does not look.
        let usual = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].map(Path::new);
        let program = usual.into_iter().find(|file| file.is_file()).unwrap_or(Path::new("mosquitto"));
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("mosquitto.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start(&mut command, &self.dir.join("mosquitto.log"))?;
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            process.check_alive()?;
            if Instant::now() > patience {
                bail!("mosquitto does not take connections on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it: in order, or not; then forgets its sessions and retained messages, or not.
    pub fn down(&mut self, in_order: bool, forgets: bool) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if in_order {
            process.stop(Duration::from_secs(20))?;
        } else {
            process.child.kill()?;
            process.child.wait()?;
        }
        if forgets {
            std::fs::remove_file(self.dir.join("broker/mosquitto.db"))
                .or_else(|error| (error.kind() == std::io::ErrorKind::NotFound).then_some(()).ok_or(error))?;
        }
        Ok(())
    }

    /// How to reach it.
    pub fn settings(&self) -> Mqtt {
        Mqtt { batch: 1_000, ..Mqtt::plain("127.0.0.1", self.port, "gridwatch") }
    }
}

/// What happens to the bytes between daemon and broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    Open,
    /// They wait; nothing is closed: a pulled cable.
    Mute,
    /// Connections are closed, new ones at once.
    Cut,
}

/// The way from the daemon to the broker.
pub struct Road {
    pub port: u16,
    shared: Arc<RoadShared>,
}

struct RoadShared {
    way: Mutex<Way>,
    streams: Mutex<Vec<TcpStream>>,
}

impl RoadShared {
    fn way(&self) -> Way {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Road {
    /// Open from the start.
    pub fn to(broker: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(RoadShared { way: Mutex::new(Way::Open), streams: Mutex::new(Vec::new()) });
        let road = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let near = stream;
                let Ok(far) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                if road.way() == Way::Cut {
                    continue;
                }
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { continue };
                if let (Ok(near), Ok(far)) = (near.try_clone(), far.try_clone()) {
                    let mut streams = road.streams.lock().unwrap_or_else(PoisonError::into_inner);
                    // Those of long ended connections are of no use any more.
                    let old = streams.len().saturating_sub(16);
                    streams.drain(..old);
                    streams.extend([near, far]);
                }
                for (from, to) in [(near, far), (far_too, near_too)] {
                    let road = Arc::clone(&road);
                    std::thread::spawn(move || carry(&road, from, to));
                }
            }
        });
        Ok(Self { port, shared })
    }

    pub fn set(&self, way: Way) {
        *self.shared.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
        if way == Way::Cut {
            let mut streams = self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
            for stream in streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn carry(road: &RoadShared, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        while road.way() == Way::Mute {
            std::thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The daemon, over all its lives; spawned and ended on one thread, since the system ends it with the thread.
pub struct Daemon {
    program: PathBuf,
    pub config: PathBuf,
    dir: PathBuf,
    process: Option<Process>,
    lives: usize,
}

impl Daemon {
    /// Not started yet.
    pub fn new(program: &Path, dir: &Path) -> Self {
        let config = dir.join("gridwatch.toml");
        Self { program: program.to_owned(), config, dir: dir.to_owned(), process: None, lives: 0 }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts it and waits until it watches.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.lives += 1;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null());
        // Models are those of this checkout.
        command.env("GRIDWATCH_SHARE", std::env::current_dir()?).env("GRIDWATCH_LOG", "info");
        let log = self.dir.join(format!("gridwatch-{}.log", self.lives));
        let mut process = Process::start(&mut command, &log)?;
        let patience = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_to_string(&log).unwrap_or_default().contains("watching ") {
            process.check_alive()?;
            if Instant::now() > patience {
                bail!("the daemon does not become ready; see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
        Ok(())
    }

    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.check_alive()?;
            process.child.kill()?;
            process.child.wait()?;
        }
        Ok(())
    }

    /// Stops it in order; fails if it does not go.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.check_alive()?;
            if !process.stop(Duration::from_secs(60))? {
                bail!("the daemon does not stop in order; see {}", process.log.display());
            }
        }
        Ok(())
    }

    /// Tells it that its config has changed.
    pub fn reload(&mut self) -> anyhow::Result<()> {
        if let Some(process) = &mut self.process {
            process.check_alive()?;
            // SAFETY: kill(2) only takes numbers; the process is our child and not yet waited for, so its id is its own.
            unsafe { libc::kill(process.child.id() as libc::pid_t, libc::SIGHUP) };
        }
        Ok(())
    }

    /// Fails if it has ended by itself.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_alive)
    }

    /// What it holds now.
    pub fn held(&self) -> Option<Held> {
        self.process.as_ref()?.held().ok()
    }

    /// Whether it says that it looks at cameras much more rarely than their rules want.
    pub fn is_short(&self) -> bool {
        let status = std::fs::read(self.data().join("status.json")).ok();
        let status: Option<Status> = status.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        status.is_some_and(|status| status.figures.stretch_idle > SHORT)
    }

    /// Processor time of this life so far, in seconds.
    pub fn cpu_s(&self) -> Option<f64> {
        Some(self.process.as_ref()?.cpu().ok()?.as_secs_f64())
    }
}

/// Which turn of the config was the last to change the n-th camera: each changes some, and the others must stay as they are.
pub fn touched(n: usize, turn: usize) -> usize {
    turn.saturating_sub((turn + 7 - n % 7) % 7)
}

/// The daemon's config.
pub fn config(
    cameras: &[Camera],
    served: &Cameras,
    road: u16,
    data: &Path,
    turn: usize,
) -> anyhow::Result<String> {
    let mut text = format!(
        "# turn {turn}\n[node]\nsite = \"soak\"\nid = \"box\"\ndata_dir = {:?}\ntimezone = \"Asia/Shanghai\"\n\
         [mqtt]\nhost = \"127.0.0.1\"\nport = {road}\n\
         [evidence]\npre_roll_s = 1\npost_roll_s = 1\n\
         [defaults]\nring_bytes_max = 1_000_000\n\
         [groups.tcp]\ntransport = \"tcp\"\n[groups.udp]\ntransport = \"udp\"\n\n",
        data.display().to_string()
    );
    for (n, camera) in cameras.iter().enumerate() {
        let name = format!("{} / {}", camera.id, touched(n, turn));
        text.push_str(&camera.tables(&served.url(camera), &name)?);
    }
    Ok(text)
}

/// How much more rarely than wanted a camera may be looked at until that counts.
const SHORT: f64 = 1.5;

/// An empty folder.
pub fn fresh(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = dir.join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(dir.canonicalize()?)
}
