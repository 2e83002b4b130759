//! `[groups.NAME.patrol]`: a group with more cameras than this box can watch at once is visited in turn.

use std::collections::BTreeMap;

use super::item::Item;
use super::{Camera, RuleKind};

/// How a group of cameras is visited in turn (轮巡).
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatrolPlan {
    /// How many of the group's cameras are visited at once.
    #[schemars(range(min = 1, max = 1_000))]
    pub slots: usize,
    /// How long a visit takes, in seconds: at least two key intervals of its cameras. Default: 10.
    #[serde(default = "default_dwell_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub dwell_s: f64,
    /// Whether its cameras stay connected between visits (`always`; costs little, and a visit has a picture at once) or are connected for them only (`visits`; for narrow links and recorders with few channels). Default: `always`.
    #[serde(default)]
    pub connected: Connected,
    /// How long before its visit a camera is connected, in seconds, where that is done for visits only: longer than it takes to the first key picture. Default: 10.
    #[serde(default = "default_connect_ahead_s")]
    #[schemars(range(min = 1, max = 300))]
    pub connect_ahead_s: f64,
}

/// When the cameras of a patrol are connected.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Connected {
    /// All the time.
    #[default]
    Always,
    /// For visits only, some seconds ahead.
    Visits,
}

fn default_dwell_s() -> f64 {
    10.0
}

fn default_connect_ahead_s() -> f64 {
    10.0
}

impl PatrolPlan {
    /// Seconds from visit to visit of this many cameras, if all can be reached and have one priority.
    pub fn round_s(&self, cameras: usize) -> f64 {
        self.dwell_s * cameras.max(self.slots) as f64 / self.slots as f64
    }

    /// Notes what makes no sense with the group's cameras; `item` is the group's table.
    pub(super) fn check(&self, item: &mut Item, cameras: &[&Camera]) {
        let round_s = self.round_s(cameras.len());
        if (1..=self.slots).contains(&cameras.len()) {
            let hint = "then all of them are watched all the time, with and without a patrol".to_owned();
            let message =
                format!("{} cameras are in the patrol and have {} slots", cameras.len(), self.slots);
            item.warn("/patrol/slots", message, hint);
            return;
        }
        let zones = cameras.iter().flat_map(|camera| camera.zones.iter().map(move |zone| (camera, zone)));
        let unseen_s_max = |(_, zone): &(&&Camera, &super::Zone)| zone.rule.unseen_max_s.max(zone.rule.gap_s);
        let short =
            zones.filter(|found| unseen_s_max(found) < round_s && found.1.rule.dwell_s > self.dwell_s);
        if let Some((camera, zone)) = short.min_by(|a, b| unseen_s_max(a).total_cmp(&unseen_s_max(b))) {
            let message = format!(
                "a round takes {round_s:.0} s, longer than `unseen_max_s` ({}) of zone `{}` of camera `{}`: nothing there is ever confirmed",
                zone.rule.unseen_max_s, zone.id, camera.id
            );
            let hint =
                "more `slots`, a shorter `dwell_s`, fewer cameras, or a longer `unseen_max_s`".to_owned();
            item.warn("/patrol", message, hint);
        }
    }
}

/// Takes cameras out of patrols that must be watched all the time; notes it in the camera's table.
pub(super) fn stays_out(camera: &Camera, item: &mut Item) -> bool {
    let falls = camera.zones.iter().any(|zone| zone.rule.kind == RuleKind::ThrownObject);
    if falls {
        let hint =
            "thrown objects need every picture; give this camera another group to make it plain".to_owned();
        item.warn("/group", "this camera is watched all the time, its group's patrol leaves it out", hint);
    }
    falls
}

/// The plans by the names of their groups.
pub(super) type Plans = BTreeMap<String, PatrolPlan>;
