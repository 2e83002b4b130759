//! `[mqtt]`: the broker of the dispatch platform.

use std::path::Path;

use super::Credentials;
use super::item::Item;
use super::secret::PasswordKeys;

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

/// `[mqtt]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct MqttTable {
    /// Host name or address of the broker, without `mqtt://` and port.
    #[schemars(length(min = 1))]
    pub host: String,
    /// TCP port of the broker.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// First part of every topic; may contain `/`.
    #[serde(default = "default_root")]
    #[schemars(length(min = 1))]
    pub root: String,
    /// Keep-alive interval in seconds: how soon a dead connection is noticed.
    #[serde(default = "default_keep_alive_s")]
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_s: u64,
    /// Whether pictures are published as messages of their own before the incident that cites them.
    #[serde(default = "yes")]
    pub publish_evidence: bool,
    /// Most publishes in flight that the broker has not acknowledged.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1, max = 1000))]
    pub batch: usize,
    /// User name and password, if the broker wants them.
    #[serde(flatten)]
    pub login: PasswordKeys,
}

fn default_port() -> u16 {
    1883
}

fn default_root() -> String {
    "gridwatch".to_owned()
}

fn default_keep_alive_s() -> u64 {
    30
}

fn default_batch() -> usize {
    32
}

fn yes() -> bool {
    true
}

impl MqttTable {
    /// The broker, or the problems noted in the item.
    pub fn resolve(self, item: &mut Item, dir: &Path) -> Option<Mqtt> {
        if self.host.contains(['/', '@', ' ']) || self.host.matches(':').count() == 1 {
            let hint = "only the name or address, `host = \"10.0.0.5\"`; the port goes to `port`".to_owned();
            item.error("/host", "`host` is not a host name or address", hint);
        }
        let wildcard = self.root.contains(['+', '#', '$', ' ', '\0']);
        if wildcard || self.root.split('/').any(str::is_empty) {
            let hint = "a word such as `gridwatch`, or several as `city/gridwatch`".to_owned();
            item.error("/root", "`root` cannot be the first part of a topic", hint);
        }
        let credentials = self.login.resolve(&mut [item], dir);
        if item.failed() {
            return None;
        }
        let Self { host, port, root, keep_alive_s, publish_evidence, batch, .. } = self;
        Some(Mqtt { host, port, credentials, root, keep_alive_s, publish_evidence, batch })
    }
}
