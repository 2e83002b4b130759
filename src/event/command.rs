//! What the platform may ask a node to do besides polls, and how it is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::frame::CameraId;
use crate::observation::ZoneId;

/// Most seconds for which a zone can be disarmed: a month of road works.
pub const DISARMED_S_MAX: u64 = 31 * 86_400;

/// What can be asked for; the last part of the topics `command/<name>` and `reply/<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandName {
    /// Pictures of many cameras.
    Poll,
    /// A picture of one camera.
    Snapshot,
    /// A look at the place of an incident.
    Recheck,
    /// Watch zones again.
    Arm,
    /// Say nothing about zones for a while.
    Disarm,
    /// Read the config anew.
    Reload,
    /// A moved camera's new view is right.
    ConfirmView,
}

impl CommandName {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Poll, Self::Snapshot, Self::Recheck, Self::Arm, Self::Disarm, Self::Reload, Self::ConfirmView];

    /// The name in topics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Snapshot => "snapshot",
            Self::Recheck => "recheck",
            Self::Arm => "arm",
            Self::Disarm => "disarm",
            Self::Reload => "reload",
            Self::ConfirmView => "confirm-view",
        }
    }
}

/// What the daemon itself is asked to do, checked: it names cameras of the config only. Whoever takes it answers with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Read the config anew.
    Reload {
        /// What the answer carries.
        id: String,
    },
    /// A moved camera's new view is right.
    ConfirmView {
        /// What the answer carries.
        id: String,
        /// Which camera.
        camera: CameraId,
    },
}

/// At `command/snapshot`: one fresh picture of a camera, answered like a poll of one, at `reply/snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotCommand {
    /// What all replies carry, new for each command: ASCII letters, digits, `-`, `_`, `.`, at most 64. The same id again is the same command: it is answered as before.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
    /// Which camera.
    pub camera: CameraId,
}

/// At `command/recheck`: looks again at the place of an incident, open or closed. What it sees comes at
/// `cameras/<camera>/rechecks/<incident>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecheckCommand {
    /// As in other commands; the event carries it too.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
    /// Which incident.
    pub incident: Uuid,
}

/// At `command/arm`: zones that were disarmed are watched again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmCommand {
    /// As in other commands.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
    /// Which camera.
    pub camera: CameraId,
    /// Which of its zones; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneId>,
}

/// At `command/disarm`: what is open in these zones closes, and nothing opens until they are armed or the time is over. Also over a
/// restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisarmCommand {
    /// As in other commands.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
    /// Which camera.
    pub camera: CameraId,
    /// Which of its zones; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneId>,
    /// For how many seconds, a month at most; without it, until they are armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_678_400))]
    pub for_s: Option<u64>,
}

/// At `command/reload`: the config's files are read anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReloadCommand {
    /// As in other commands.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
}

/// At `command/confirm-view`: a camera that was moved looks where it shall; its zones are watched again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmViewCommand {
    /// As in other commands.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub id: String,
    /// Which camera.
    pub camera: CameraId,
}

/// Published at `<root>/v1/<site>/<node>/reply/<name>` for every command but polls and snapshots. Nothing of what came in but a
/// sound id is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandReply {
    /// The command's id, if one could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What became of it.
    pub outcome: CommandOutcome,
    /// Why not, with `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// The same in words.
    pub detail: String,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It will be carried out; more is said later.
    Accepted,
    /// It was carried out.
    Done,
    /// It is not carried out; nothing has changed.
    Refused,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It cannot be read.
    Malformed,
    /// No camera of the config is in this group.
    UnknownGroup,
    /// A camera is not in the config.
    UnknownCamera,
    /// The camera has no such zone.
    UnknownZone,
    /// This node has no such incident, or has it no more.
    UnknownIncident,
    /// Too many at once, or in a minute.
    Busy,
    /// It was tried and cannot be.
    Failed,
}

impl CommandReply {
    /// That it will be carried out.
    pub fn accepted(id: String, detail: impl Into<String>) -> Self {
        Self { id: Some(id), outcome: CommandOutcome::Accepted, refused: None, detail: detail.into() }
    }

    /// That it was carried out.
    pub fn done(id: String, detail: impl Into<String>) -> Self {
        Self { id: Some(id), outcome: CommandOutcome::Done, refused: None, detail: detail.into() }
    }

    /// That it is not carried out.
    pub fn refused(id: Option<String>, why: Refusal, detail: impl Into<String>) -> Self {
        Self { id, outcome: CommandOutcome::Refused, refused: Some(why), detail: detail.into() }
    }
}
