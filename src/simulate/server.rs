//! The RTSP server: takes connections for all simulated cameras at one address.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::auth::Scheme;
use super::connection::Connection;
use super::counters::{Counters, Counts, count};
use super::fault::Faults;
use super::{Config, Fault, Offer, SimulateError, Source};
use crate::config::Credentials;

/// Connections at a time; far above any bench, far below what exhausts memory.
const CONNECTIONS_MAX: u64 = 8192;
/// Connections that wait to be taken: hundreds of cameras may be connected to at once.
const BACKLOG: u32 = 1024;
/// Largest RTP payload that fits an interleaved packet, whose size has 16 bits.
const PAYLOAD_BYTES_LIMIT: usize = 65_000;
/// Smallest RTP payload that carries parameter sets in one piece.
const PAYLOAD_BYTES_LEAST: usize = 64;

/// A running server of simulated cameras; stops when dropped.
pub struct Server {
    site: Arc<Site>,
    stop: watch::Sender<bool>,
    restart: mpsc::Sender<Duration>,
    task: JoinHandle<()>,
}

/// What all connections of a server share.
pub(super) struct Site {
    pub address: SocketAddr,
    pub cameras: BTreeMap<String, Arc<Camera>>,
    pub credentials: Option<Credentials>,
    pub scheme: Scheme,
    pub offer: Offer,
    pub payload_bytes_max: usize,
    pub session_timeout: Duration,
    pub shared_clock: bool,
    pub started: Instant,
    pub started_wall: Timestamp,
    pub counters: Counters,
    seed: u64,
    nonces: AtomicU64,
}

/// One mount while it is served.
pub(super) struct Camera {
    pub path: String,
    pub sources: Vec<Source>,
    pub faults: Faults,
    pub seed: u64,
    /// Which share of its clip lies behind it when the server starts, with a shared clock.
    pub ahead: f64,
    sessions: AtomicU64,
}

impl Camera {
    /// The source of this index, the first if there is none.
    pub fn source(&self, index: usize) -> &Source {
        self.sources.get(index).unwrap_or(&self.sources[0])
    }

    /// A seed for the next session: the same for the n-th session of every run.
    pub fn next_seed(&self) -> u64 {
        mix(self.seed, self.sessions.fetch_add(1, Relaxed))
    }
}

impl Site {
    /// The camera that a URL's path is about, and the rest of the path: its track.
    pub fn find<'a>(&self, path: &'a str) -> Option<(Arc<Camera>, &'a str)> {
        let path = path.trim_matches('/');
        if let Some(camera) = self.cameras.get(path) {
            return Some((camera.clone(), ""));
        }
        let (mount, track) = path.rsplit_once('/')?;
        self.cameras.get(mount).map(|camera| (camera.clone(), track))
    }

    /// `rtsp://ADDRESS/MOUNT`.
    pub fn url(&self, camera: &Camera) -> String {
        format!("rtsp://{}/{}", self.address, camera.path)
    }

    /// A nonce for a digest challenge.
    pub fn nonce(&self) -> String {
        format!("{:016x}", mix(self.seed, self.nonces.fetch_add(1, Relaxed)))
    }
}

impl Server {
    /// Listens and serves; needs a tokio runtime.
    pub fn start(config: Config) -> Result<Self, SimulateError> {
        if !config.listen.ip().is_loopback() {
            return Err(SimulateError::NotLoopback(config.listen));
        }
        let listen_error = |source| SimulateError::Listen { address: config.listen, source };
        let listener = listen(config.listen).map_err(listen_error)?;
        let mut cameras = BTreeMap::new();
        for (n, mount) in config.mounts.into_iter().enumerate() {
            let path = mount.path.trim_matches('/').to_owned();
            if mount.sources.is_empty() {
                return Err(SimulateError::NoSource(path));
            }
            let camera = Camera {
                path: path.clone(),
                sources: mount.sources,
                faults: Faults::new(&mount.faults),
                seed: mix(config.seed, n as u64),
                ahead: if config.staggered { Self::ahead(n) } else { 0.0 },
                sessions: AtomicU64::new(0),
            };
            if cameras.insert(path.clone(), Arc::new(camera)).is_some() {
                return Err(SimulateError::SameMount(path));
            }
        }
        let site = Arc::new(Site {
            address: listener.local_addr().map_err(listen_error)?,
            cameras,
            credentials: config.credentials,
            scheme: config.scheme,
            offer: config.offer,
            payload_bytes_max: config.payload_bytes_max.clamp(PAYLOAD_BYTES_LEAST, PAYLOAD_BYTES_LIMIT),
            session_timeout: config.session_timeout,
            shared_clock: config.shared_clock,
            started: Instant::now(),
            started_wall: Timestamp::now(),
            counters: Counters::default(),
            seed: config.seed,
            nonces: AtomicU64::new(0),
        });
        let stop = watch::Sender::new(false);
        // One order at a time is all that people give; more wait.
        let (restart, restarts) = mpsc::channel(8);
        let task = tokio::spawn(accept_all(site.clone(), listener, stop.subscribe(), restarts));
        Ok(Self { site, stop, restart, task })
    }

    /// Which share of its clip the n-th camera, counted from 0, is ahead of the clip's beginning when a staggered server
    /// starts: multiples of the golden ratio, so that any number of cameras is spread evenly.
    pub fn ahead(n: usize) -> f64 {
        (n as f64 * 0.618_033_988_749_895).fract()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.site.address
    }

    /// The URL of a mount, without user and password; `None` if there is no such mount.
    pub fn url(&self, mount: &str) -> Option<url::Url> {
        let camera = self.site.cameras.get(mount.trim_matches('/'))?;
        url::Url::parse(&self.site.url(camera)).ok()
    }

    /// The faults of a mount; `None` if there is no such mount.
    pub fn faults(&self, mount: &str) -> Option<Faults> {
        self.site.cameras.get(mount.trim_matches('/')).map(|camera| camera.faults.clone())
    }

    /// The mounts' paths, sorted.
    pub fn mounts(&self) -> impl Iterator<Item = &str> {
        self.site.cameras.keys().map(String::as_str)
    }

    /// Closes everything, listens to nobody for this long, and comes back at the same port.
    pub async fn restart(&self, down: Duration) {
        // The task ends only when the server stops; then there is nothing to restart.
        let _ = self.restart.send(down).await;
    }

    /// What has been done so far.
    pub fn counts(&self) -> Counts {
        self.site.counters.read()
    }

    /// Closes everything and waits until it is closed.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // An error means that the task panicked, which has been reported, or was aborted: it is over.
        let _ = self.task.await;
    }
}

async fn accept_all(
    site: Arc<Site>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
    mut restarts: mpsc::Receiver<Duration>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut up_at = Instant::now();
    loop {
        if listener.is_none() && up_at <= Instant::now() {
            // The port may be taken for a moment by a connection that is still closing.
            listener = listen(site.address).ok();
            up_at = Instant::now() + Duration::from_millis(50);
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Changed, or the server was dropped.
            _ = stop.changed() => break,
            Some(down) = restarts.recv() => {
                listener = None;
                up_at = Instant::now() + down;
                for camera in site.cameras.values() {
                    camera.faults.begin(Fault::Disconnect);
                }
            }
            accepted = accept => match accepted {
                Ok((stream, _)) => take(&site, stream, &stop, &mut connections),
                // Out of file descriptors, mostly: wait for one.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            () = tokio::time::sleep_until(up_at), if listener.is_none() => {}
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

fn take(site: &Arc<Site>, stream: TcpStream, stop: &watch::Receiver<bool>, connections: &mut JoinSet<()>) {
    let counters = &site.counters;
    count(&counters.connections, 1);
    if counters.connections_open.load(Relaxed) >= CONNECTIONS_MAX {
        count(&counters.connections_refused, 1);
        return;
    }
    // A connection that closed before it was looked at.
    let Ok(connection) = Connection::new(site.clone(), &stream) else { return };
    count(&counters.connections_open, 1);
    let (site, stop) = (site.clone(), stop.clone());
    connections.spawn(async move {
        connection.serve(stream, stop).await;
        site.counters.connections_open.fetch_sub(1, Relaxed);
    });
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Come back at the same port while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A seed of its own for the n-th of something (SplitMix64, Steele et al. 2014).
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
