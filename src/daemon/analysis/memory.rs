//! What a camera's analysis must remember over a restart, and when it is kept.

use std::time::Duration;

use super::super::desk::Desk;
use crate::config::Camera;
use crate::detect::foreground::Foreground;
use crate::frame::Captured;
use crate::scene::Scene;

/// How often what the scene must remember is kept while something stays.
const KEPT_EVERY: Duration = Duration::from_secs(2);
/// What was learnt of the empty zones is kept so long after the start, ...
const GROUND_FIRST: Duration = Duration::from_secs(15);
/// ... and then this often.
const GROUND_EVERY: Duration = Duration::from_secs(3_600);

/// When what was kept last, in media time.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the scene must remember, if there was anything.
    kept: Option<Duration>,
    /// When what was learnt of the empty zones is to be kept.
    ground_due: Option<Duration>,
}

impl Memory {
    /// Something of the scene was remembered from before a restart.
    pub fn resumed() -> Self {
        Self { kept: Some(Duration::ZERO), ground_due: None }
    }

    /// Keeps what was learnt of the empty zones for the next start: soon after it was learnt, when something has come, and every
    /// hour.
    pub fn keep_ground(
        &mut self,
        at: &Captured,
        camera: &Camera,
        foreground: &Foreground,
        scene: &Scene,
        desk: &Desk,
    ) {
        let due = *self.ground_due.get_or_insert(at.media + GROUND_FIRST);
        if at.media < due && (self.kept.is_some() || !scene.needs(desk.local(at)).occupied) {
            return;
        }
        if let Some(ground) = foreground.ground() {
            desk.keep_ground(&camera.id, ground);
            self.ground_due = Some(at.media + GROUND_EVERY);
        }
    }

    /// Keeps what the scene must remember: at once if something is about to be said, else now and then.
    pub fn keep_scene(&mut self, at: &Captured, at_once: bool, camera: &Camera, scene: &Scene, desk: &Desk) {
        let rests = self.kept.is_some_and(|kept| at.media.saturating_sub(kept) < KEPT_EVERY);
        if rests && !at_once {
            return;
        }
        let checkpoint = scene.checkpoint();
        if checkpoint.is_some() || self.kept.is_some() {
            desk.remember(&camera.id, checkpoint.as_ref(), at);
        }
        self.kept = checkpoint.map(|_| at.media);
    }
}
