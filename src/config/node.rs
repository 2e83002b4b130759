//! `[node]`: who this box is and where it keeps its files.

use std::path::{Path, PathBuf};

use super::item::Item;
use super::names::check_id;

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
        let data_dir = match self.data_dir {
            Some(data_dir) => dir.join(data_dir),
            None => from_systemd().unwrap_or_else(|| "/var/lib/gridwatch".into()),
        };
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
        })
    }
}
