//! `[node]`: who this box is and where it keeps its files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::item::Item;
use super::names::check_id;
use super::secret::{self, Secret};

/// Who this box is and where it keeps its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The street office or district, as in the topic tree: ASCII letters, digits, `-`, `_`.
    pub site: String,
    /// This box, unique in its site.
    pub id: String,
    /// Where the store and the evidence live.
    pub data_dir: PathBuf,
    /// IANA time zone for hours and descriptions, such as `Asia/Shanghai`.
    pub timezone: jiff::tz::TimeZone,
    /// Threads that decode and run rules; 0 = one per core.
    pub workers: usize,
    /// Whether pictures in which nothing has changed are spared.
    pub gates: Gates,
    /// Where Prometheus may ask, if anywhere.
    pub metrics: Option<Metrics>,
}

/// Where Prometheus may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// What must be sent as `Authorization: Bearer`; always there unless only this box can ask.
    pub token: Option<Secret>,
}

/// Whether pictures in which nothing seems to have changed are spared.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Gates {
    /// They are spared.
    #[default]
    On,
    /// They are looked at all the same, and what would have been missed is counted: a trial before trusting the gates.
    Shadow,
    /// They are looked at.
    Off,
}

/// `[node]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct NodeTable {
    /// The street office or district, part of every topic: ASCII letters, digits, `-`, `_`, `.`.
    #[schemars(length(min = 1))]
    pub site: String,
    /// This box, unique in its site; part of every topic.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Directory of the store and the evidence; relative to this file. Default: what systemd gives (`$STATE_DIRECTORY`), else `/var/lib/gridwatch`.
    pub data_dir: Option<PathBuf>,
    /// IANA time zone of hours and descriptions.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// Threads that decode and run rules; 0 = one per core.
    #[serde(default)]
    #[schemars(range(max = 1024))]
    pub workers: usize,
    /// Whether pictures in which nothing seems to have changed are spared where no rule suspects anything: `on`, `off`, or `shadow`, which looks at them all the same and counts what would have been missed.
    #[serde(default)]
    pub gates: Gates,
    /// Number of digits of every `grid_code`; without it any number of digits passes.
    #[schemars(range(min = 1, max = 64))]
    pub grid_code_length: Option<usize>,
    /// Address and port at which Prometheus may ask for `/metrics`, such as `127.0.0.1:9184`. Default: nowhere. Any but this box's own needs `metrics_token_file`.
    pub metrics: Option<String>,
    /// File that holds nothing but the token which must be sent as `Authorization: Bearer`, relative to this file.
    pub metrics_token_file: Option<PathBuf>,
    /// Directory of further scenario files (`*.toml`), relative to this file; a scenario of the same id replaces the built-in one.
    pub scenarios_dir: Option<PathBuf>,
}

fn default_timezone() -> String {
    "Asia/Shanghai".to_owned()
}

impl NodeTable {
    /// The node, or the problems noted in the item.
    pub fn resolve(self, item: &mut Item, dir: &Path) -> Option<Node> {
        check_id(item, "/site", &self.site);
        check_id(item, "/id", &self.id);
        let timezone = jiff::tz::TimeZone::get(&self.timezone);
        if timezone.is_err() {
            let hint = "an IANA name such as `Asia/Shanghai` or `Asia/Urumqi`".to_owned();
            item.error("/timezone", format!("unknown time zone `{}`", self.timezone), hint);
        }
        // systemd may give several directories, separated by colons; the first is ours.
        let from_systemd = || std::env::var("STATE_DIRECTORY").ok()?.split(':').next().map(PathBuf::from);
        let data_dir = match &self.data_dir {
            Some(data_dir) => dir.join(data_dir),
            None => from_systemd().unwrap_or_else(|| "/var/lib/gridwatch".into()),
        };
        let metrics = self.metrics(item, dir);
        if item.failed() {
            return None;
        }
        Some(Node {
            site: self.site,
            id: self.id,
            data_dir,
            timezone: timezone.ok()?,
            workers: self.workers,
            gates: self.gates,
            metrics,
        })
    }

    fn metrics(&self, item: &mut Item, dir: &Path) -> Option<Metrics> {
        let token = self.metrics_token_file.as_ref().and_then(|file| {
            let read = secret::read_file(&dir.join(file), "token");
            read.map_err(|why| item.error("/metrics_token_file", why, None)).ok()
        });
        let Some(listen) = &self.metrics else {
            if self.metrics_token_file.is_some() {
                let hint = "add `metrics = \"127.0.0.1:9184\"`".to_owned();
                item.error("/metrics_token_file", "a token without `metrics`", hint);
            }
            return None;
        };
        let Ok(listen) = listen.parse::<SocketAddr>() else {
            let hint = "address and port, such as `127.0.0.1:9184` or `[::1]:9184`".to_owned();
            item.error("/metrics", format!("`{listen}` is not an address with a port"), hint);
            return None;
        };
        if !listen.ip().is_loopback() && self.metrics_token_file.is_none() {
            let hint = "add `metrics_token_file`, or listen on `127.0.0.1`".to_owned();
            item.error("/metrics", "others than this box could read the metrics without a token", hint);
            return None;
        }
        Some(Metrics { listen, token: token.map(Secret::new) })
    }
}
