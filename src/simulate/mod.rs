//! RTSP cameras made from clips, with faults to order: for the demo, for tests and for benches.
//!
//! ```text
//! clip ─► source ─► playhead ─► packetise ─► rtp ─► session ─► transport ─► viewer
//!         (once)    (per viewer)              ▲        ▲
//!                                          fault    connection (RTSP, auth, sdp)
//! ```
//!
//! One copy of each clip is held however many cameras play it; packets are cut on the fly, each payload is copied
//! once, into the socket's buffer. Viewers are served by one task each. The same seed gives the same faults.

mod auth;
mod connection;
mod counters;
mod fault;
mod order;
mod packetise;
mod playhead;
mod rtp;
mod sdp;
mod server;
mod session;
mod source;
mod track;
mod transport;

pub use auth::Scheme;
pub use counters::Counts;
pub use fault::{Fault, Faults};
pub use order::{Order, OrderError, help};
pub use server::Server;
pub use source::{Source, SourceError};
pub use transport::Offer;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::Credentials;

/// A camera to be simulated.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The path of its URL, such as `cam1`.
    pub path: String,
    /// What it plays: the first, and others that [`Fault::Switch`] chooses; at least one.
    pub sources: Vec<Source>,
    /// What is wrong with it from the start.
    pub faults: Vec<Fault>,
}

impl Mount {
    /// A healthy camera.
    pub fn new(path: impl Into<String>, source: Source) -> Self {
        Self { path: path.into(), sources: vec![source], faults: Vec::new() }
    }
}

/// A server of simulated cameras.
#[derive(Debug, Clone)]
pub struct Config {
    /// Loopback address to listen at; port 0: a free one.
    pub listen: SocketAddr,
    /// The cameras; paths differ.
    pub mounts: Vec<Mount>,
    /// Who may look; `None`: everybody.
    pub credentials: Option<Credentials>,
    /// How the password is asked for.
    pub scheme: Scheme,
    /// Which transports are offered.
    pub offer: Offer,
    /// Most bytes of an RTP payload, 64..65000; larger NAL units are sent in fragments.
    pub payload_bytes_max: usize,
    /// How long a viewer may be silent, promised in the `Session` header; whole seconds.
    pub session_timeout: Duration,
    /// All viewers see the same picture at the same time; otherwise each starts at the clip's beginning.
    pub shared_clock: bool,
    /// With a shared clock: cameras are at places of their clips spread evenly, see [`Server::ahead`], instead of all at
    /// the same. Many viewers then see neither key pictures nor scenes in step.
    pub staggered: bool,
    /// Where all randomness comes from.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            mounts: Vec::new(),
            credentials: None,
            scheme: Scheme::default(),
            offer: Offer::default(),
            // An Ethernet frame less IP, UDP and RTP headers, with room for tunnels, as cameras do it.
            payload_bytes_max: 1400,
            session_timeout: Duration::from_secs(60),
            shared_clock: false,
            staggered: false,
            seed: 0,
        }
    }
}

/// Why simulated cameras cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// Anybody could watch.
    #[error("simulated cameras listen on a loopback address only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The port is taken, mostly.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two mounts have one path.
    #[error("two simulated cameras are called `{0}`")]
    SameMount(String),
    /// Nothing to play.
    #[error("simulated camera `{0}` has no clip")]
    NoSource(String),
    /// A clip that cannot be played.
    #[error(transparent)]
    Source(#[from] SourceError),
}

#[cfg(test)]
mod testing {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::frame::{AccessUnit, Captured, Clock, Codec};

    /// An access unit with parameter sets if it is a key picture, and one slice of about `bytes`.
    pub fn unit(codec: Codec, key: bool, pts_90k: i64, bytes: usize) -> AccessUnit {
        let heads: &[&[u8]] = match (codec, key) {
            (Codec::H265, true) => &[&[64, 1, 12], &[66, 1, 1, 96], &[68, 1, 193], &[38, 1]],
            (Codec::H265, false) => &[&[2, 1]],
            (_, true) => &[&[0x67, 100, 0, 31, 172], &[0x68, 235, 227], &[0x65]],
            (_, false) => &[&[0x41]],
        };
        let mut data = Vec::new();
        for head in heads {
            data.extend([0, 0, 0, 1]);
            data.extend(*head);
        }
        data.extend((0..bytes).map(|n| n as u8 | 1));
        let captured =
            Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
        AccessUnit { captured, codec, key, after_loss: false, data: Arc::from(data), pts_90k }
    }
}
