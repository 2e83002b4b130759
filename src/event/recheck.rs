//! What a camera saw when it looked again.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CameraRef, EvidenceRef, ZoneRef};
use crate::config::Text;

/// What a camera saw when it looked again at the place of an incident (任务核查); published at
/// `<root>/v1/<site>/<node>/cameras/<camera>/rechecks/<incident>`. Closes and opens nothing: open incidents stay with their rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recheck {
    /// Which incident.
    pub incident: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its camera, as the incident named it.
    pub camera: CameraRef,
    /// Its zone, as the incident named it.
    pub zone: ZoneRef,
    /// What was seen.
    pub outcome: RecheckOutcome,
    /// Why nothing can be said, with `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// One sentence for the person who asked.
    pub description: Text,
    /// The platform's case number, if its verdict `resolved` asked for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
    /// The id of the command, if one asked for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it was asked for, RFC 3339, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub asked: Timestamp,
    /// What the place looks like now.
    pub evidence: Vec<EvidenceRef>,
}

/// What a re-check saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecheckOutcome {
    /// The place is clear.
    Cleared,
    /// It is still there.
    StillPresent,
    /// Nobody can say.
    Unknown,
}
