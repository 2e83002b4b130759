//! One camera's compressed side, on the camera's own task: ring and sampler; what is to be looked at becomes a task.
//!
//! Nothing here decodes, so an access unit that nobody needs costs a lock and a place in the ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::gauge::Counts;
use super::load::Grant;
use crate::camera::Ring;
use crate::config::{Camera, RuleKind, Zone};
use crate::frame::{AccessUnit, Captured};
use crate::sampler::{Decode, Need, Sampler};

/// Rules are asked anew after so many seconds even if nothing was decoded: their hours may have begun.
const TEND_EVERY: Duration = Duration::from_secs(5);

/// The cadence before the rules have been asked: one picture is enough to ask them.
const FIRST_NEED_S: f64 = 60.0;

/// What one camera's two sides, compressed and decoded, share.
pub struct Post {
    /// The last seconds, compressed.
    pub ring: Ring,
    /// What the rules wanted when they were last asked.
    pub need: Need,
    /// When the first of the planned clips has got its last picture, in media time.
    pub clip_due: Option<Duration>,
    /// What happened so far.
    pub counts: Counts,
    /// When a picture was last looked at.
    pub looked: Option<Instant>,
    /// Processor time spent on this camera so far, inferences included.
    pub spent: Duration,
}

/// The shared side of a camera.
#[derive(Clone)]
pub struct PostBox(Arc<Mutex<Post>>);

impl PostBox {
    /// For a camera that has seen nothing yet: its first key picture is wanted, and with it the rules are asked, who know
    /// their hours.
    pub fn new(camera: &Camera) -> Self {
        let ring = Ring::new(camera.ring_bytes_max);
        let falls = |zone: &Zone| zone.rule.kind == RuleKind::ThrownObject;
        let need = Need {
            picture_every_s: (!camera.zones.iter().all(falls)).then_some(FIRST_NEED_S),
            every_picture: camera.zones.iter().any(falls),
            ..Need::default()
        };
        Self(Arc::new(Mutex::new(Post {
            ring,
            need,
            clip_due: None,
            counts: Counts::default(),
            looked: None,
            spent: Duration::ZERO,
        })))
    }

    /// Held for moments only: the camera's task waits meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Post> {
        // Every change to it is one assignment; a thread that panicked left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be done with a camera's pictures.
#[derive(Debug)]
pub struct Task {
    /// What to do.
    pub work: Work,
    /// The newest access unit's time.
    pub at: Captured,
    /// What was wanted when the task was made.
    pub need: Need,
    /// When it should be done.
    pub deadline: Instant,
}

/// The kinds of work.
#[derive(Debug)]
pub enum Work {
    /// Decode this key picture and look at it.
    Key(AccessUnit),
    /// Decode these units, which go on where the last ones of this kind ended or begin with a key picture, and look at
    /// the newest picture.
    Forward(Vec<AccessUnit>),
    /// Decode this unit with the camera's own decoder; every picture counts.
    InOrder(AccessUnit),
    /// Only see whether clips are complete and what the rules want now.
    Tend,
}

/// When something must be done with a picture: every picture of falling things, ...
const IN_ORDER_WITHIN: Duration = Duration::from_millis(500);
/// ... where something is suspected or open, ...
const URGENT_WITHIN: Duration = Duration::from_secs(1);
/// ... and elsewhere within this share of the cadence, at most so long.
const IDLE_SHARE: f64 = 0.5;
const IDLE_WITHIN_MAX: Duration = Duration::from_secs(5);

fn within(work: &Work, need: &Need) -> Duration {
    match work {
        Work::InOrder(_) => IN_ORDER_WITHIN,
        Work::Key(_) | Work::Forward(_) if need.urgent => URGENT_WITHIN,
        Work::Key(_) | Work::Forward(_) | Work::Tend => {
            let every_s = need.picture_every_s.unwrap_or_default();
            Duration::from_secs_f64(IDLE_SHARE * every_s).clamp(URGENT_WITHIN, IDLE_WITHIN_MAX)
        }
    }
}

/// One camera's access units, as they come.
pub struct Intake {
    post: PostBox,
    sampler: Sampler,
    /// Since when the newest group is decoded forward, what has come since the last task; `None`: it is not.
    unfed: Option<Vec<AccessUnit>>,
    last_task: Option<Duration>,
    grant: Arc<Grant>,
    /// A camera without zones is only received.
    watched: bool,
}

impl Intake {
    /// A camera that has sent nothing yet.
    pub fn new(camera: &Camera, post: PostBox, grant: Arc<Grant>) -> Self {
        let watched = !camera.zones.is_empty();
        Self { post, sampler: Sampler::default(), unfed: None, last_task: None, grant, watched }
    }

    /// Takes the next access unit; gives what is to be done because of it.
    pub fn take(&mut self, unit: AccessUnit) -> Option<Task> {
        let at = unit.captured;
        let post = self.post.clone();
        let mut post = post.lock();
        post.counts.units += 1;
        if unit.key || unit.after_loss {
            self.unfed = None;
        } else if let Some(unfed) = &mut self.unfed {
            unfed.push(unit.clone());
        }
        let need = self.grant.granted(post.need);
        if need.picture_every_s.is_none() {
            self.unfed = None;
        }
        let decode = self.sampler.decide(&unit, need);
        post.ring.push(unit.clone());
        let clip_due = post.clip_due.is_some_and(|due| at.media >= due);
        let work = match decode {
            Decode::KeyPicture => Some(Work::Key(unit)),
            Decode::InOrder => Some(Work::InOrder(unit)),
            Decode::Forward => self.forward(&post.ring, at).map(Work::Forward),
            Decode::No => None,
        };
        if matches!(work, Some(Work::Key(_) | Work::Forward(_))) {
            self.sampler.looked(at.media);
        }
        let tend = || {
            let long_ago = self.last_task.is_none_or(|last| at.media.saturating_sub(last) >= TEND_EVERY);
            (self.watched && (clip_due || long_ago)).then_some(Work::Tend)
        };
        let work = work.or_else(tend)?;
        self.last_task = Some(at.media);
        let deadline = Instant::now() + within(&work, &need);
        Some(Task { work, at, need, deadline })
    }

    /// What waited was thrown away: nothing more can be decoded forward up to the next key picture.
    pub fn lost_the_thread(&mut self) {
        self.unfed = None;
    }

    /// The units that a forward decode still needs: those since the last one, or the whole group up to now.
    fn forward(&mut self, ring: &Ring, at: Captured) -> Option<Vec<AccessUnit>> {
        if let Some(unfed) = &mut self.unfed {
            return Some(std::mem::take(unfed));
        }
        let group = ring.newest_group();
        // A group that does not fit into the ring, or is cut off by a loss, ends before now.
        let whole = group.last().is_some_and(|last| last.captured.media == at.media);
        self.unfed = whole.then(Vec::new);
        whole.then(|| group.to_vec())
    }
}
