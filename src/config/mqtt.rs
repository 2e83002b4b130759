//! `[mqtt]`: the broker of the dispatch platform.

use super::Credentials;

/// The broker of the dispatch platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name and password, if the broker wants them.
    pub credentials: Option<Credentials>,
    /// First part of every topic.
    pub root: String,
    /// Keep-alive interval in seconds.
    pub keep_alive_s: u64,
    /// Whether pictures are published as messages of their own before the incident that cites them.
    pub publish_evidence: bool,
    /// Most publishes in flight that the broker has not acknowledged.
    pub batch: usize,
}
