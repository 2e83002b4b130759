//! What the dispatch platform reads: the JSON of an incident in its CloudEvents envelope, and retained statuses.
//!
//! The JSON Schemas and the AsyncAPI document of `gridwatch schema` come from these types.

pub mod command;
pub mod mirror;
pub mod schema;
pub mod topic;

use std::collections::BTreeMap;

use command::Refusal;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::{Level, Place, Text};
use crate::detection::{Class, ModelStamp};
use crate::frame::{CameraId, CameraState, Clock};
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

/// Published by the platform at `<root>/v1/<site>/<node>/command/poll`, not retained: asks for one fresh picture of each
/// camera (一键轮询), a group's or those named. Answers come at `<root>/v1/<site>/<node>/reply/poll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollCommand {
    /// What all replies carry, new for each poll: ASCII letters, digits, `-`, `_`, `.`, at most 64. The same id again is the
    /// same poll: if it is over, its last word comes again.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
    /// All cameras of this group, in the order of the config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// These cameras, in this order; either this or `group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10_000))]
    pub cameras: Option<Vec<CameraId>>,
}

/// A poll, checked: it names cameras of the config only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedPoll {
    /// What all replies carry.
    pub id: String,
    /// Cameras that are configured, each once.
    pub cameras: Vec<CameraId>,
}

/// Published at `<root>/v1/<site>/<node>/reply/poll`, or `…/reply/snapshot`: one for each camera as it comes, then one with `done`; or only one,
/// with `refused`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PollReply {
    /// A camera's picture.
    Picture(PollPicture),
    /// Why there is none of a camera.
    Missing(PollMissing),
    /// All cameras have been answered for.
    Done(PollDone),
    /// The poll does not take place.
    Refused(PollRefused),
}

/// A camera's picture for a poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PollPicture {
    /// The poll's id.
    pub id: String,
    /// Whose picture.
    pub camera: CameraId,
    /// When it was captured, RFC 3339, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub captured: Timestamp,
    /// How old it was when it was answered, in seconds.
    pub age_s: f64,
    /// The picture, masked and redacted; the message that its `topic` names comes before this one.
    pub evidence: EvidenceRef,
}

/// That a poll gets no picture of a camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PollMissing {
    /// The poll's id.
    pub id: String,
    /// Which camera.
    pub camera: CameraId,
    /// Why.
    pub missing: PollMiss,
}

/// Why a poll gets no picture of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PollMiss {
    /// Its config is wrong or its model does not load; its status says more.
    Disabled,
    /// It cannot be reached.
    Offline,
    /// It is there, but no picture could be taken in time.
    NoPicture,
    /// Its turn did not come in time.
    NoTime,
}

/// The last word of a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PollDone {
    /// The poll's id.
    pub id: String,
    /// Always true.
    pub done: bool,
    /// Cameras of which there is a picture.
    pub answered: u32,
    /// Cameras of which there is none.
    pub missing: u32,
}

/// That a poll does not take place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PollRefused {
    /// The poll's id, if one could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why.
    pub refused: Refusal,
    /// The same in words.
    pub detail: String,
}

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
