//! What the platform decided about an incident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Published by the platform at `<root>/v1/<site>/<node>/verdict/<incident>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What the platform decided.
    pub verdict: VerdictKind,
    /// The platform's own case number; incidents carry it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub case_id: Option<String>,
    /// Words of the person who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the platform decided about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Taken into the platform's loop.
    Accepted,
    /// There was nothing.
    FalseAlarm,
    /// Dealt with on site.
    Resolved,
    /// Right, but nobody will go.
    Ignored,
}

/// Published at `<root>/v1/<site>/<node>/reply/verdict`: what became of a verdict. Nothing of what came in is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReply {
    /// The incident that the verdict's topic named, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Uuid>,
    /// What became of it.
    pub outcome: VerdictOutcome,
    /// The same in words.
    pub detail: String,
}

/// What became of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictOutcome {
    /// New, and on disk.
    Stored,
    /// The same as the last one for this incident (a retained or repeated message).
    Repeated,
    /// This node has no such incident, or has it no more.
    UnknownIncident,
    /// It cannot be read.
    Malformed,
}
