//! How a node and its cameras are: retained, said anew on every connection.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Text;
use crate::frame::{CameraId, CameraState};

/// Retained at `<root>/v1/<site>/<node>/status`; the last will says `offline`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// What the node is doing.
    pub state: NodeState,
    /// New at every start, so that a late will of an older session is recognised.
    pub boot: Uuid,
    /// Version of gridwatch.
    pub version: String,
    /// Hash of the config in force.
    pub config_revision: String,
    /// What became of the last attempt to put another config in force, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reloaded>,
    /// When it was said (for the will: when the session began).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
}

/// What became of an attempt to put another config in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Whether it is in force; if not, nothing has changed.
    pub applied: bool,
    /// What changed, or why it cannot be, for people.
    pub detail: String,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Running.
    Online,
    /// Stopping in order.
    Draining,
    /// Gone.
    Offline,
}

/// Retained at `<root>/v1/<site>/<node>/cameras/<camera>/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraStatus {
    /// Which camera.
    pub camera: CameraId,
    /// Its name for people.
    pub name: String,
    /// What its connection is doing.
    pub state: CameraState,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// How every check of its health stands (视频质量诊断): 0 untested, 1 normal, 2 abnormal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, u8>,
    /// What is abnormal, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// Something that is wrong with a camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Which check says so, as in [`CameraStatus::checks`].
    pub check: String,
    /// What it is called.
    pub title: Text,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
}
