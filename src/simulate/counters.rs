//! How much a server of simulated cameras has done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Totals since the server started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub connections: AtomicU64,
    pub connections_refused: AtomicU64,
    pub connections_open: AtomicU64,
    pub sessions: AtomicU64,
    pub unauthorized: AtomicU64,
    pub pictures: AtomicU64,
    pub pictures_skipped: AtomicU64,
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
    pub packets_lost: AtomicU64,
    pub packets_unsent: AtomicU64,
}

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections taken.
    pub connections: u64,
    /// Connections closed at once because there were too many.
    pub connections_refused: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Sessions that began to play.
    pub sessions: u64,
    /// Requests answered with 401.
    pub unauthorized: u64,
    /// Pictures sent, whole or damaged by a fault.
    pub pictures: u64,
    /// Times a camera skipped to its next key picture: after a stall, or because a viewer or this machine is too slow.
    pub pictures_skipped: u64,
    /// RTP packets sent.
    pub packets: u64,
    /// Bytes of RTP packets sent, headers included.
    pub bytes: u64,
    /// RTP packets dropped because a fault says so.
    pub packets_lost: u64,
    /// Datagrams that the system did not take: nobody listens, or buffers are full.
    pub packets_unsent: u64,
}

impl Counters {
    /// The totals now.
    pub fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            connections_open: read(&self.connections_open),
            sessions: read(&self.sessions),
            unauthorized: read(&self.unauthorized),
            pictures: read(&self.pictures),
            pictures_skipped: read(&self.pictures_skipped),
            packets: read(&self.packets),
            bytes: read(&self.bytes),
            packets_lost: read(&self.packets_lost),
            packets_unsent: read(&self.packets_unsent),
        }
    }
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}
