//! Re-checks (任务核查): looks again where an incident was, until it can be said whether the place is clear.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::cameras::Cameras;
use super::desk::Desk;
use super::intake::{Asked, Polled};
use crate::event::{EvidenceRef, RecheckOutcome};
use crate::frame::{CameraId, CameraState};
use crate::observation::ZoneId;

/// Looks that it takes to tell what stays from what passes, ...
const LOOKS: u32 = 3;
/// ... and the time that they take at least: longer than whoever stands has to be seen standing.
const LOOKS_TAKE: Duration = Duration::from_secs(6);
/// A look is asked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After this time what is known is said; for a camera that is visited in turn, a round and a half more.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The places that are looked at again.
pub struct Rechecks {
    /// Counts whenever one is asked for.
    changes: watch::Receiver<u64>,
    running: HashMap<Uuid, Running>,
    to: mpsc::UnboundedSender<Polled>,
    answers: mpsc::UnboundedReceiver<Polled>,
}

struct Running {
    camera: CameraId,
    zone: ZoneId,
    began: Instant,
    asked: Option<Instant>,
    first: Option<Instant>,
    looks: u32,
    /// What the last look saw: whether something is there, and the picture.
    seen: Option<bool>,
    evidence: Option<EvidenceRef>,
}

impl Rechecks {
    /// Takes up what the store holds at the first call of [`Self::tick`].
    pub fn new(mut changes: watch::Receiver<u64>) -> Self {
        let (to, answers) = mpsc::unbounded_channel();
        changes.mark_changed();
        Self { changes, running: HashMap::new(), to, answers }
    }

    /// To be called about once a second where waiting for the disk does no harm.
    pub fn tick(&mut self, desk: &Desk, cameras: &Cameras) {
        while let Ok(answer) = self.answers.try_recv() {
            self.answered(answer);
        }
        if self.running.is_empty() && !self.changes.has_changed().unwrap_or(false) {
            return;
        }
        self.changes.mark_unchanged();
        let pending = desk.rechecks(Timestamp::now());
        self.running.retain(|id, _| pending.iter().any(|one| one.incident.incident == *id));
        for one in pending {
            let incident = one.incident;
            let running = self.running.entry(incident.incident).or_insert_with(|| Running {
                camera: incident.camera.id.clone(),
                zone: incident.zone.id.clone(),
                began: Instant::now(),
                asked: None,
                first: None,
                looks: 0,
                seen: None,
                evidence: None,
            });
            if let Some((outcome, why)) = running.step(cameras, &self.to) {
                let evidence = running.evidence.take().into_iter().collect();
                let why = why.map(str::to_owned);
                if desk.rechecked(incident.incident, outcome, why, evidence, Timestamp::now()) {
                    self.running.remove(&incident.incident);
                }
            }
        }
    }

    fn answered(&mut self, Polled { camera, picture, zone }: Polled) {
        let Some((zone, present)) = zone else { return };
        for running in self.running.values_mut().filter(|r| r.camera == camera && r.zone == zone) {
            running.asked = None;
            if present.is_some() {
                running.looks += 1;
                running.first.get_or_insert_with(Instant::now);
                running.seen = present;
                running.evidence = picture.as_ref().map(|(_, evidence)| evidence.clone());
            }
        }
    }
}

impl Running {
    /// Asks for a look when it is time; what can be said, at last.
    fn step(
        &mut self,
        cameras: &Cameras,
        to: &mpsc::UnboundedSender<Polled>,
    ) -> Option<(RecheckOutcome, Option<&'static str>)> {
        let Some((post, state)) = cameras.post(&self.camera) else {
            return Some((RecheckOutcome::Unknown, Some("its camera cannot be watched")));
        };
        let round =
            post.lock().turn.map_or(Duration::ZERO, |turn| Duration::from_secs_f64(1.5 * turn.round_s));
        let long_enough =
            self.looks >= LOOKS && self.first.is_some_and(|first| first.elapsed() >= LOOKS_TAKE);
        if long_enough || self.began.elapsed() >= WAIT_MAX + round {
            return Some(match self.seen {
                Some(true) => (RecheckOutcome::StillPresent, None),
                Some(false) => (RecheckOutcome::Cleared, None),
                None if state == CameraState::Online => {
                    (RecheckOutcome::Unknown, Some("its pictures cannot be analysed now"))
                }
                None => (RecheckOutcome::Unknown, Some("its camera cannot be reached")),
            });
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= LOOK_EVERY * 5)
            && self.first.is_none_or(|first| first.elapsed() >= LOOK_EVERY * self.looks)
        {
            self.asked = Some(Instant::now());
            let asked = &mut post.lock().asked;
            if !asked.iter().any(|one| one.zone.as_ref() == Some(&self.zone)) {
                asked.push(Asked { to: to.clone(), zone: Some(self.zone.clone()) });
            }
        }
        None
    }
}
