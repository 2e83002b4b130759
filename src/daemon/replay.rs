//! The same pipeline on a file: one camera, one thread, capture time instead of the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::analysis::{Analysis, Looked};
use super::desk::{Desk, Listener, Speaks};
use super::intake::Intake;
use super::{DaemonError, Detectors};
use crate::config::{Camera, Config};
use crate::decode::KeyDecoder;
use crate::detection::{Findings, ModelStamp};
use crate::event::Phase;
use crate::frame::{AccessUnit, Captured};
use crate::scene::Scene;
use crate::store::Store;

/// A camera played from a file.
pub struct Replay {
    camera: Arc<Camera>,
    desk: Arc<Desk>,
    /// The whole pipeline, for a video.
    video: Option<(Intake, Analysis)>,
    /// The rules alone, for a trace.
    scene: Scene,
    keys: KeyDecoder,
    stamp: Option<ModelStamp>,
    opened: Arc<AtomicU64>,
    last: Option<Captured>,
}

impl Replay {
    /// Gets ready to play for this camera; `listener` hears each statement. Only a video needs pixels and a model.
    pub fn new(
        config: Config,
        camera: Arc<Camera>,
        is_video: bool,
        listener: Listener,
    ) -> Result<Self, DaemonError> {
        let config = Arc::new(config);
        let store = Store::open(&config.node.data_dir)?;
        let opened = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&opened);
        let counting: Listener = Box::new(move |event| {
            count.fetch_add(u64::from(event.data.phase == Phase::Opened), Ordering::Relaxed);
            listener(event);
        });
        let desk = Arc::new(Desk::open(Arc::clone(&config), store, counting, Speaks::CaptureTime)?);
        let mut replay = Self {
            scene: Scene::new(&camera.zones),
            video: None,
            keys: KeyDecoder::new(),
            stamp: None,
            opened,
            last: None,
            camera,
            desk,
        };
        if is_video {
            // A file without zones to watch is only decoded; that needs no model.
            let wanted = !replay.camera.zones.is_empty();
            let mut detectors = Detectors::default();
            let detector =
                if wanted { Some(detectors.get(&config.models, &replay.camera.model)?) } else { None };
            replay.stamp = detector.as_ref().map(|detector| detector.stamp().clone());
            let analysis = Analysis::new(Arc::clone(&replay.camera), detector, Arc::clone(&replay.desk));
            replay.video = Some((
                Intake::new(&replay.camera, analysis.post().clone(), Arc::default(), config.node.gates),
                analysis,
            ));
        }
        Ok(replay)
    }

    /// The model that looks, or that looked when the trace was recorded.
    pub fn stamp(&self) -> Option<ModelStamp> {
        self.stamp.clone()
    }

    /// Says which model had looked when the trace was recorded.
    pub fn model_stamp(&mut self, stamp: Option<ModelStamp>) {
        self.stamp = stamp;
    }

    /// What the rules hold now.
    pub fn scene(&self) -> &Scene {
        self.video.as_ref().map_or(&self.scene, |(_, analysis)| analysis.scene())
    }

    /// Incidents opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// The next access unit of a video.
    pub fn unit(&mut self, unit: AccessUnit, looked: &mut dyn FnMut(Looked<'_>)) {
        self.last = Some(unit.captured);
        if let Some((intake, analysis)) = &mut self.video {
            for task in intake.take(unit) {
                analysis.work(task, &mut self.keys, looked);
            }
        }
        self.tick();
    }

    /// The end of a video: what the decoder still holds, and the clips as far as they go.
    pub fn drain(&mut self, looked: &mut dyn FnMut(Looked<'_>)) {
        if let Some((_, analysis)) = &mut self.video {
            analysis.finish(looked);
        }
    }

    /// The next line of a trace.
    pub fn findings(&mut self, findings: &Findings) {
        self.last = Some(findings.captured);
        for seen in self.scene.observe(findings, self.desk.local(&findings.captured)) {
            if let Some(zone) = self.camera.zones.iter().find(|zone| zone.id == seen.zone) {
                self.desk.observe(&self.camera, zone, &seen, self.stamp.as_ref(), Vec::new());
            }
        }
        self.desk.looked(&self.camera, &findings.captured);
        self.tick();
    }

    /// The file is over: incidents that are still open end with the camera.
    pub fn finish(&mut self) {
        if let Some(last) = self.last {
            self.desk.tick(last.wall);
            self.desk.camera_lost(&self.camera.id, last.wall);
        }
    }

    fn tick(&self) {
        if let Some(last) = self.last {
            self.desk.tick(last.wall);
        }
    }
}
