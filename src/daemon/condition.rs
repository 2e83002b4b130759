//! A camera's condition as the platform sees it: its connection and its health, retained at the broker, and what is wrong
//! with it as incidents of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::desk::Desk;
use crate::config::Camera;
use crate::dispatch::Dispatch;
use crate::event::{CameraStatus, Fault};
use crate::evidence::Class;
use crate::frame::{CameraState, Captured, Picture};
use crate::geometry::BBox;
use crate::health::{self, Change, Check, Health, Link, Trust};

/// One camera's condition; shared by its connection, its analysis, and whoever keeps the books.
pub struct Condition {
    camera: Arc<Camera>,
    desk: Arc<Desk>,
    dispatch: Option<Arc<Dispatch>>,
    now: Mutex<Now>,
}

struct Now {
    state: CameraState,
    detail: Option<String>,
    since: Timestamp,
    health: Health,
    /// Whether the connection has been heard of since the start.
    begun: bool,
}

impl Condition {
    /// A camera that is not connected yet, with what was known of its health.
    pub fn new(camera: &Arc<Camera>, desk: &Arc<Desk>, dispatch: Option<Arc<Dispatch>>) -> Self {
        let health = desk.health_of(&camera.id).map_or_else(Health::new, Health::restore);
        let now = Now {
            state: CameraState::Connecting,
            detail: None,
            since: Timestamp::now(),
            health,
            begun: false,
        };
        Self { camera: Arc::clone(camera), desk: Arc::clone(desk), dispatch, now: Mutex::new(now) }
    }

    /// Its connection has changed.
    pub fn connection(&self, state: CameraState, detail: Option<String>) {
        let mut now = self.lock();
        (now.state, now.detail, now.since) = (state, detail, Timestamp::now());
        self.publish(&now);
    }

    /// What the connection is doing.
    pub fn state(&self) -> CameraState {
        self.lock().state
    }

    /// Takes in a picture (masked; `key`: decoded from a key picture) and says how far it may be believed; `persons` finds
    /// those in it, should it become evidence.
    pub fn look(&self, picture: &Picture, key: bool, persons: impl FnOnce() -> Vec<BBox>) -> Trust {
        let mut now = self.lock();
        if self.camera.moves {
            let _ = now.health.accept_view(picture.captured.wall);
        }
        let changes = now.health.look(picture, key);
        let trust = now.health.trust();
        if !changes.is_empty() {
            self.publish(&now);
        }
        drop(now);
        let broken = changes.iter().any(|change| change.to == health::Status::Abnormal);
        let evidence =
            broken.then(|| self.desk.view(Class::Incident, &self.camera.id, picture, &persons())).flatten();
        for change in &changes {
            let evidence =
                evidence.iter().filter(|_| change.to == health::Status::Abnormal).cloned().collect();
            self.desk.health_changed(&self.camera, change, &picture.captured, evidence);
        }
        trust
    }

    /// Takes in what the connection says.
    pub fn link(&self, link: &Link) {
        let mut now = self.lock();
        let mut changes = now.health.link(link);
        if !changes.is_empty() {
            self.publish(&now);
        }
        if !std::mem::replace(&mut now.begun, true) {
            // What was known before a kill may be older than an incident that is still open.
            let normal = now.health.report().filter(|(_, hold)| hold.status == health::Status::Normal);
            let (from, to) = (health::Status::Normal, health::Status::Normal);
            let over = |(check, hold): (Check, health::Hold)| Change {
                check,
                from,
                to,
                value: hold.value,
                wall: link.wall,
            };
            changes.extend(normal.map(over));
        }
        drop(now);
        self.tell(&changes);
    }

    /// An operator says that what the camera shows now is right.
    pub fn confirm_view(&self) {
        let mut now = self.lock();
        let changes: Vec<Change> = now.health.accept_view(Timestamp::now()).into_iter().collect();
        self.publish(&now);
        drop(now);
        self.tell(&changes);
    }

    /// What outlives a restart, as JSON.
    pub fn checkpoint(&self) -> Option<String> {
        serde_json::to_string(self.lock().health.checkpoint()).ok()
    }

    /// What is wrong with it.
    pub fn faults(&self) -> Vec<Check> {
        let abnormal =
            |(check, hold): (Check, health::Hold)| (hold.status == health::Status::Abnormal).then_some(check);
        self.lock().health.report().filter_map(abnormal).collect()
    }

    fn tell(&self, changes: &[Change]) {
        for change in changes {
            let at = Captured {
                wall: change.wall,
                media: std::time::Duration::ZERO,
                clock: crate::frame::Clock::Arrival,
            };
            self.desk.health_changed(&self.camera, change, &at, Vec::new());
        }
    }

    /// Without a broker there is nobody to tell.
    fn publish(&self, now: &Now) {
        let Some(dispatch) = &self.dispatch else { return };
        let (mut checks, mut faults) = (BTreeMap::new(), Vec::new());
        for (check, hold) in now.health.report() {
            checks.insert(check.name().to_owned(), u8::from(hold.status));
            if hold.status == health::Status::Abnormal {
                let (title, reason) = (check.title(), hold.value.map(|value| check.reason(value)));
                faults.push(Fault { check: check.name().to_owned(), title, reason, since: hold.since });
            }
        }
        dispatch.set_camera_status(CameraStatus {
            camera: self.camera.id.clone(),
            name: self.camera.name.clone(),
            state: now.state,
            detail: now.detail.clone(),
            since: now.since,
            checks,
            faults,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // A check that panicked left whole values behind.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
