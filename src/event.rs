//! What the dispatch platform reads: the JSON of an incident in its CloudEvents envelope, and retained statuses.
//!
//! The JSON Schemas and the AsyncAPI document of `gridwatch schema` come from these types.

pub mod command;
pub mod mirror;
mod poll;
mod recheck;
pub mod schema;
mod status;
pub mod topic;
mod verdict;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use poll::{
    CheckedPoll, PollCommand, PollDone, PollMiss, PollMissing, PollPicture, PollRefused, PollReply,
};
pub use recheck::{Recheck, RecheckOutcome};
pub use status::{CameraStatus, Fault, NodeState, NodeStatus, Reloaded};
pub use verdict::{Verdict, VerdictKind, VerdictOutcome, VerdictReply};

use crate::config::{Level, Place, Text};
use crate::detection::{Class, ModelStamp};
use crate::frame::{CameraId, Clock};
use crate::geometry::{BBox, Point};
use crate::observation::ZoneId;

/// Version of the contract; part of every topic and of the CloudEvents type.
pub const CONTRACT: &str = "v1";

/// A CloudEvents 1.0 envelope in structured JSON mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Event")]
pub struct CloudEvent<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique, and the same when sent again: `<incident>/<seq>` of an incident, `<incident>/recheck/<n>` of a re-check.
    pub id: String,
    /// `gridwatch/<site>/<node>`.
    pub source: String,
    /// `cn.gridwatch.incident.<phase>.v1` or `cn.gridwatch.recheck.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Camera id and zone id, `<camera>/<zone>`.
    pub subject: String,
    /// When this statement was made, RFC 3339, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// What is said.
    pub data: T,
}

/// The incident as it stands, in its envelope.
pub type IncidentEvent = CloudEvent<Incident>;

/// What a re-check came to, in its envelope.
pub type RecheckEvent = CloudEvent<Recheck>;

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Said once, first.
    Opened,
    /// Something changed: confirmed, coverage, level, evidence.
    Updated,
    /// Said once, last, with a reason.
    Closed,
}

/// Why an incident closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedReason {
    /// The camera saw that the place is clear.
    Cleared,
    /// It happened and was over at once (thrown object).
    Instant,
    /// The camera has not been seen for too long; nobody knows.
    CameraLost,
    /// The zone's hours ended.
    OutOfHours,
    /// The zone, its rule or its camera was taken out of the config.
    RuleRemoved,
    /// gridwatch was down for so long that nothing can be said.
    Restarted,
    /// The platform says that there was nothing.
    FalseAlarm,
    /// The zone was disarmed by a command.
    Disarmed,
}

/// How sure: `suspected` may still vanish, `confirmed` is worth a person's walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Seen for the scenario's first dwell time.
    Suspected,
    /// Seen for its full dwell time.
    Confirmed,
}

/// An incident as it stands after one statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Stable over all statements, restarts and repeated deliveries (UUIDv7).
    pub incident: Uuid,
    /// 1 for `opened`, then counting up.
    pub seq: u32,
    /// Where it stands.
    pub phase: Phase,
    /// How sure.
    pub certainty: Certainty,
    /// Scenario id: `fire_lane`, `street_vending`, `thrown_object`, …
    pub kind: String,
    /// How urgent; rises with the time for which a confirmed incident stays, if the rule's `escalate_s` says so.
    pub level: Level,
    /// The city's event code, if configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city_code: Option<String>,
    /// Name of the kind.
    pub title: Text,
    /// One sentence for the person who will go.
    pub description: Text,
    /// Which camera saw it.
    pub camera: CameraRef,
    /// In which zone.
    pub zone: ZoneRef,
    /// First seen, RFC 3339, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first_seen: Timestamp,
    /// When the dwell time was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub confirmed_at: Option<Timestamp>,
    /// Last really seen.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_seen: Timestamp,
    /// When it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub closed_at: Option<Timestamp>,
    /// Why it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<ClosedReason>,
    /// Whose clock the times are.
    pub clock: Clock,
    /// Seconds for which it stayed.
    pub dwell_s: f64,
    /// How many of these nobody looked (patrol, camera away), though the same object was there before and after; absent if none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen_s: f64,
    /// Covered share of the zone, 0..1.
    pub coverage: f32,
    /// The objects that matter, largest first.
    pub objects: Vec<ObjectRef>,
    /// The path of a thrown object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trajectory: Option<TrajectoryRef>,
    /// The model that looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStamp>,
    /// Hash of the config that was in force.
    pub config_revision: String,
    /// Pictures and clips.
    pub evidence: Vec<EvidenceRef>,
    /// What the platform decided last, if it came while the incident was open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictRef>,
    /// That it was not the first of its kind in this zone in the last days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
}

/// The platform's verdict in an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictRef {
    /// What it decided.
    pub verdict: VerdictKind,
    /// Its own case number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
    /// When it arrived, RFC 3339, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

/// How often a zone had incidents of one kind, false alarms left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recurrence {
    /// How many there were, this one included; at least 2.
    pub count: u32,
    /// In how many days before it was first seen.
    pub days: u32,
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// The camera of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraRef {
    /// Its id in topics.
    pub id: CameraId,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// The zone of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZoneRef {
    /// Its id.
    pub id: ZoneId,
    /// Its name for people.
    pub name: String,
    /// Hash of the settings that shaped the verdict.
    pub revision: String,
}

/// One object of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// What it is; `unknown` for something no detector named.
    pub class: Class,
    /// How sure the model is, 0..1.
    pub confidence: f32,
    /// Where it is: `[x0, y0, x1, y1]` in ratios of the picture.
    #[serde(rename = "box")]
    pub bbox: BBox,
}

/// The path of a thrown object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrajectoryRef {
    /// Sightings in order: seconds after the first, x, y in ratios.
    pub points: Vec<(f64, f32, f32)>,
    /// Where it probably began.
    pub release: Point,
    /// Release height above ground and its error, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_height_m: Option<(f32, f32)>,
    /// Floor of the release and its error; the ground floor is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<(u32, u32)>,
}

/// What a piece of evidence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// A picture with boxes and zone drawn, persons redacted.
    Snapshot,
    /// How the place looks when it is empty, for comparison, persons redacted.
    Reference,
    /// A short video as the camera sent it.
    Clip,
}

/// A piece of evidence by reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceRef {
    /// What it shows.
    pub kind: EvidenceKind,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// `image/jpeg` or `video/mp4`.
    pub media_type: String,
    /// Width and height of a picture, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_px: Option<[u32; 2]>,
    /// Path under the node's data directory.
    pub path: String,
    /// Topic of the message that carried it, if it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}
