//! How far a camera's pictures may be believed.

use std::sync::Arc;
use std::time::Duration;

use super::super::cameras::LOST_AFTER;
use super::super::condition::Condition;
use crate::config::Camera;
use crate::frame::{Captured, Picture};
use crate::geometry::BBox;
use crate::health::Trust;

/// How often a camera's health is looked at where no rule wants single pictures.
const EXAMINED_EVERY: Duration = Duration::from_secs(8);

/// What the camera's health leaves to believe, and since when that is nothing; in media time.
pub struct Doubt {
    /// `None`: nobody asks (a replay).
    condition: Option<Arc<Condition>>,
    examined: Option<Duration>,
    trust: Trust,
    /// Since when nothing could be analysed, until the incidents are given up.
    blind: Option<Duration>,
}

impl Doubt {
    /// A camera that nobody has looked at.
    pub fn new(condition: Option<Arc<Condition>>) -> Self {
        Self { condition, examined: None, trust: Trust::Whole, blind: None }
    }

    /// Whether its pictures may be believed.
    pub fn is_none(&self) -> bool {
        self.trust == Trust::Whole
    }

    /// Whether it is time to look at the camera's health where pictures are decoded in order.
    pub fn is_due(&self, at: Duration) -> bool {
        let rests = self.examined.is_some_and(|last| at.saturating_sub(last) < EXAMINED_EVERY);
        self.condition.is_some() && !rests
    }

    /// Looks at the camera's health in a picture (masked; `key`: decoded from a key picture); `persons` finds those in it,
    /// should it become evidence.
    pub fn look(
        &mut self,
        camera: &Camera,
        picture: &Picture,
        key: bool,
        persons: impl FnOnce() -> Vec<BBox>,
    ) {
        let Some(condition) = &self.condition else { return };
        self.examined = Some(picture.captured.media);
        let trust = condition.look(picture, key, persons);
        if trust != self.trust {
            let camera = &camera.id;
            match trust {
                Trust::Whole => tracing::info!(%camera, "its pictures are analysed again"),
                Trust::Stale(check) | Trust::Nothing(check) => {
                    tracing::warn!(%camera, "its pictures are not analysed: {}", check.title().en);
                }
            }
            self.trust = trust;
        }
    }

    /// Whether nothing has been seen for so long that the camera's incidents are given up, as when it were away; to be called
    /// with every picture.
    pub fn gives_up(&mut self, at: &Captured) -> bool {
        if self.is_none() {
            self.blind = None;
            return false;
        }
        let since = *self.blind.get_or_insert(at.media);
        let over = at.media.saturating_sub(since) >= LOST_AFTER;
        if over {
            self.blind = Some(at.media);
        }
        over
    }
}
