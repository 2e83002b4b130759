//! One picture of each of many cameras (一键轮询): what is asked and how it is answered.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EvidenceRef;
use super::command::Refusal;
use crate::frame::CameraId;

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
