//! The clips of a camera's incidents: planned when one opens, written when their last picture has come.

use std::time::Duration;

use uuid::Uuid;

use super::super::desk::Desk;
use super::super::intake::PostBox;
use crate::config::{Camera, RuleKind, Zone};
use crate::frame::Captured;
use crate::observation::Observation;

/// A clip that will be written when its last picture has come; in media time.
#[derive(Debug, Clone, Copy)]
struct PendingClip {
    incident: Uuid,
    from: Duration,
    until: Duration,
}

/// The clips that wait for their last picture.
#[derive(Debug, Default)]
pub struct Clips(Vec<PendingClip>);

impl Clips {
    /// Plans the clip of an incident; `rolls` is what to show before and after.
    pub fn plan(&mut self, zone: &Zone, seen: &Observation, incident: Uuid, rolls: (Duration, Duration)) {
        let (pre_roll, post_roll) = rolls;
        if pre_roll + post_roll == Duration::ZERO {
            return;
        }
        // A fall lies between its first sighting and now; of a long dwell the last seconds tell enough.
        let start = match zone.rule.kind {
            RuleKind::ThrownObject => seen.first_seen.media,
            RuleKind::Presence | RuleKind::Obstruction => seen.at.media,
        };
        let (from, until) = (start.saturating_sub(pre_roll), seen.at.media + post_roll);
        self.0.push(PendingClip { incident, from, until });
    }

    /// When the next one will have its last picture, in media time.
    pub fn due(&self) -> Option<Duration> {
        self.0.iter().map(|clip| clip.until).min()
    }

    /// Writes those whose last picture has come; all of them if no more pictures will come (`now` is `None`).
    pub fn write(&mut self, now: Option<Captured>, camera: &Camera, post: &PostBox, desk: &Desk) {
        let due = |clip: &PendingClip| now.is_none_or(|now| now.media >= clip.until);
        for clip in self.0.extract_if(.., |clip| due(clip)) {
            let units = post.lock().ring.since(clip.from);
            let at = now.or_else(|| units.last().map(|unit| unit.captured));
            if let (Some(at), Some(reference)) = (at, desk.clip(camera, &units)) {
                desk.attach(clip.incident, reference, &at);
            }
        }
    }
}
