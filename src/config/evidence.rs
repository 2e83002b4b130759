//! `[evidence]`: pictures and clips that prove an incident.

use std::collections::BTreeMap;

use super::item::Item;
use super::problem::did_you_mean;
use super::scenario::Scenarios;

/// What evidence is kept and how; also `[evidence]` as the operator writes it.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// JPEG quality 1..100.
    #[schemars(range(min = 1, max = 100))]
    pub jpeg_quality: u8,
    /// Longest side of a snapshot in pixels; larger pictures are scaled down.
    #[schemars(range(min = 320, max = 7680))]
    pub snapshot_px_max: u32,
    /// Whether persons are made unrecognisable in pictures.
    pub redact_persons: bool,
    /// Seconds of video before the incident in its clip; 0 with `post_roll_s` 0: no clip.
    #[schemars(range(min = 0, max = 60))]
    pub pre_roll_s: f64,
    /// Seconds of video after it.
    #[schemars(range(min = 0, max = 60))]
    pub post_roll_s: f64,
    /// Days after which evidence files of closed incidents are deleted.
    #[schemars(range(min = 1, max = 3650))]
    pub retention_days: u32,
    /// The same for kinds of incidents (scenario ids) that are kept for another time.
    pub retention_days_of: BTreeMap<String, u32>,
    /// The same for incidents that the platform called a false alarm.
    #[schemars(range(min = 1, max = 3650))]
    pub false_alarm_days: u32,
    /// The same for pictures that were asked for (polls, snapshots) and prove no incident.
    #[schemars(range(min = 1, max = 3650))]
    pub asked_days: u32,
    /// Most bytes of evidence on disk; the oldest closed incidents give way first.
    #[schemars(range(min = 100_000_000))]
    pub bytes_max: u64,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            jpeg_quality: 85,
            snapshot_px_max: 1280,
            redact_persons: true,
            pre_roll_s: 5.0,
            post_roll_s: 5.0,
            retention_days: 30,
            retention_days_of: BTreeMap::new(),
            false_alarm_days: 14,
            asked_days: 7,
            bytes_max: 10_000_000_000,
        }
    }
}

impl Evidence {
    /// Notes kinds that do not exist and times that are none, and takes them out.
    pub(super) fn check(&mut self, item: &mut Item, scenarios: &Scenarios) {
        let known: Vec<&str> = scenarios.keys().map(String::as_str).collect();
        self.retention_days_of.retain(|kind, days| {
            let place = format!("/retention_days_of/{kind}");
            if !scenarios.contains_key(kind) {
                item.error(&place, format!("there is no scenario `{kind}`"), did_you_mean(kind, &known));
            } else if !(1..=3650).contains(days) {
                item.error(&place, format!("`{kind}` must be 1 to 3650 days"), None);
            } else {
                return true;
            }
            false
        });
    }
}
