//! What a rule says about its zone after a picture: suspected, confirmed, still there, cleared.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::detection::Detection;
use crate::frame::Captured;
use crate::geometry::Point;

/// A zone's id, unique on its camera; cheap to clone.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct ZoneId(pub Arc<str>);

impl From<&str> for ZoneId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a zone's matter has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Seen for the first dwell time (seconds): worth looking closely, not worth a person's walk.
    Suspected,
    /// Seen for the full dwell time: somebody should go.
    Confirmed,
    /// Gone for the clear time.
    Cleared,
}

/// One statement of a rule about its zone; pure data, made by `scene`, consumed by `incident`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Which zone.
    pub zone: ZoneId,
    /// How far it has come.
    pub stage: Stage,
    /// When the matter was first seen.
    pub first_seen: Captured,
    /// When the dwell time was complete; `None` while suspected.
    pub confirmed_at: Option<Captured>,
    /// When it was last really seen (not merely not refuted).
    pub last_seen: Captured,
    /// The picture that led to this statement.
    pub at: Captured,
    /// Seconds for which it has stayed, without unseen gaps beyond the policy.
    pub dwell_s: f64,
    /// How many of these nobody looked (patrol, camera away), though the same object was there before and after.
    #[serde(default)]
    pub unseen_s: f64,
    /// Share of the zone that is covered now, 0..1; 0 where the rule does not measure it.
    pub coverage: f32,
    /// The objects that matter now, largest first; class `unknown` for static foreground no detector named.
    pub objects: Vec<Detection>,
    /// The path of a thrown object.
    pub trajectory: Option<Trajectory>,
}

/// The path of a thrown object, newest point last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// Media seconds and place of each sighting.
    pub points: Vec<(f64, Point)>,
    /// Where it probably began.
    pub release: Point,
    /// Height of the release above ground in metres, with its error, if the facade is calibrated.
    pub release_height_m: Option<(f32, f32)>,
    /// Floor of the release, with its error in floors, if the facade's floors are configured; the ground floor is 1.
    pub floor: Option<(u32, u32)>,
}
