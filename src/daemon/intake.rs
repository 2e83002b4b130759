//! One camera's compressed side, on the camera's own task: ring, packet gate, sampler; what is to be looked at becomes a task.
//!
//! Nothing here decodes, so an access unit that nobody needs costs a lock and a place in the ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::gauge::Counts;
use super::load::Grant;
use crate::camera::Ring;
use crate::config::{Camera, Gates, RuleKind, Zone};
use crate::decode::Decoder;
use crate::event::EvidenceRef;
use crate::frame::{AccessUnit, CameraId, Captured};
use crate::observation::ZoneId;
use crate::sampler::activity::{Activity, Standing, Verdict};
use crate::sampler::{Decode, Need, Sampler};

/// Rules are asked anew after so many seconds even if nothing was decoded: their hours may have begun.
const TEND_EVERY: Duration = Duration::from_secs(5);

/// A key picture that is expected within this time is fetched at once if something is suspected: twice and a half as long as
/// pictures may wait otherwise.
const SOON: Duration = Duration::from_millis(250);

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
    /// Whether the sizes of its access units are a witness.
    pub standing: Standing,
    /// When a picture was last looked at, or the sizes of access units told that it need not be.
    pub looked: Option<Instant>,
    /// What looks have shown since the camera's task was last told: when, and whether a zone had changed.
    pub shown: Vec<(Duration, Option<bool>)>,
    /// Processor time spent on this camera so far, inferences included.
    pub spent: Duration,
    /// If it is visited in turn with others: how that stands.
    pub turn: Option<Turn>,
    /// Those who want a picture now.
    pub asked: Vec<Asked>,
    /// The camera's own decoder, if it has one and nobody works with it. Not over the time in which others are visited:
    /// thousands of cameras in patrol would keep some megabytes each for a group of pictures that is over by then.
    pub decoder: Option<Decoder>,
    /// A picture is to be looked at at once, however short the time since the last look.
    hurry: bool,
}

/// A camera's part in a patrol.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Others are visited now: its pictures are kept, nothing is decoded.
    pub resting: bool,
    /// Usual time from visit to visit, in seconds.
    pub round_s: f64,
}

/// A picture that somebody wants now.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where it goes.
    pub to: mpsc::UnboundedSender<Polled>,
    /// If given, it is looked at, and this zone is told of.
    pub zone: Option<ZoneId>,
}

/// A camera's answer.
#[derive(Debug)]
pub struct Polled {
    /// Which camera.
    pub camera: CameraId,
    /// Its picture, masked and redacted, and when it was captured; `None`: it could not be made.
    pub picture: Option<(Captured, EvidenceRef)>,
    /// The zone that was asked about, and whether something that it watches for is there; `None`: that cannot be told.
    pub zone: Option<(ZoneId, Option<bool>)>,
}

impl Post {
    /// Its visit begins.
    pub fn visit(&mut self) {
        if let Some(turn) = &mut self.turn {
            (turn.resting, self.hurry) = (false, true);
        }
    }

    /// Its visit ends.
    pub fn rest(&mut self) {
        if let Some(turn) = &mut self.turn {
            (turn.resting, self.hurry) = (true, false);
            self.decoder = None;
        }
    }

    /// Whether others are visited now.
    pub fn is_resting(&self) -> bool {
        self.turn.is_some_and(|turn| turn.resting)
    }
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
            standing: Standing::New,
            looked: None,
            shown: Vec::new(),
            spent: Duration::ZERO,
            turn: None,
            asked: Vec::new(),
            decoder: None,
            hurry: false,
        })))
    }

    /// Whether both are one camera's.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
    /// When the newest access unit came.
    pub arrived: Instant,
    /// Whether the packet gate would have spared it (shadow mode).
    pub spared: bool,
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
    /// Decode this key picture for somebody who asked.
    Poll(AccessUnit, Asked),
    /// Only see whether clips are complete and what the rules want now.
    Tend,
}

/// Where the sizes of access units tell that something has moved, it is looked at within so many seconds.
const MOVED_S: f64 = 4.0;

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
        Work::Poll(..) => URGENT_WITHIN,
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
    /// Whether nothing falls, and nothing that is open or suspected waits for the next picture.
    may_wait: bool,
    grant: Arc<Grant>,
    activity: Activity,
    gates: Gates,
    /// A camera without zones is only received.
    watched: bool,
}

impl Intake {
    /// A camera that has sent nothing yet.
    pub fn new(camera: &Camera, post: PostBox, grant: Arc<Grant>, gates: Gates) -> Self {
        let watched = !camera.zones.is_empty();
        let activity = Activity::default();
        Self {
            post,
            sampler: Sampler::default(),
            unfed: None,
            last_task: None,
            may_wait: true,
            grant,
            activity,
            gates,
            watched,
        }
    }

    /// Takes the next access unit; gives what is to be done because of it: answers to those who asked, and something else.
    pub fn take(&mut self, unit: AccessUnit) -> impl Iterator<Item = Task> + use<> {
        let at = unit.captured;
        let post = self.post.clone();
        let mut post = post.lock();
        post.counts.units += 1;
        post.shown.drain(..).for_each(|(at, changed)| self.activity.looked(at, changed));
        self.activity.note(&unit);
        if unit.key {
            post.standing = self.activity.trust().standing;
        }
        if unit.key || unit.after_loss {
            self.unfed = None;
        } else if let Some(unfed) = &mut self.unfed {
            unfed.push(unit.clone());
        }
        let mut need = post.need;
        if unit.key && self.has_moved() {
            need.picture_every_s = need.picture_every_s.map(|every_s| every_s.min(MOVED_S));
        }
        let resting = post.is_resting();
        let need = if resting { Need::default() } else { self.grant.granted(need) };
        if need.picture_every_s.is_none() {
            self.unfed = None;
        }
        let mut decode = self.sampler.decide(&unit, need);
        let expects_key = self.sampler.next_key().is_none_or(|next| next.saturating_sub(at.media) < SOON);
        let matters = need.urgent && (expects_key || self.unfed.is_some());
        self.may_wait = !need.every_picture && !matters;
        let spared = matches!(decode, Decode::KeyPicture | Decode::Forward) && self.is_quiet(&need, at);
        post.counts.quiet += u64::from(spared);
        if spared && self.gates == Gates::On {
            post.looked = Some(Instant::now());
            decode = Decode::No;
        }
        post.ring.push(unit.clone());
        let clip_due = post.clip_due.is_some_and(|due| at.media >= due);
        let newest_key = || post.ring.newest_key().cloned();
        let polled = (!post.asked.is_empty()).then(newest_key).flatten();
        // A visit begins with the picture that is there, instead of waiting for the next one.
        let seen = |key: &AccessUnit| self.sampler.last_looked() >= Some(key.captured.media);
        let at_once = (post.hurry && need.picture_every_s.is_some()).then(newest_key).flatten();
        let at_once = at_once.filter(|key| decode == Decode::No && !seen(key));
        post.hurry &= resting;
        let work = match decode {
            Decode::KeyPicture => Some(Work::Key(unit)),
            Decode::InOrder => Some(Work::InOrder(unit)),
            Decode::Forward => self.forward(&post.ring, at).map(Work::Forward),
            Decode::No => at_once.map(Work::Key),
        };
        match &work {
            Some(Work::Key(key)) => self.sampler.looked(key.captured.media),
            Some(Work::Forward(_)) => self.sampler.looked(at.media),
            _ => {}
        }
        let asked = if polled.is_some() { std::mem::take(&mut post.asked) } else { Vec::new() };
        let polled =
            asked.into_iter().zip(polled.into_iter().cycle()).map(|(asked, key)| Work::Poll(key, asked));
        let tend = || {
            let long_ago = self.last_task.is_none_or(|last| at.media.saturating_sub(last) >= TEND_EVERY);
            (self.watched && !resting && long_ago || clip_due).then_some(Work::Tend)
        };
        let work = work.or_else(tend);
        if work.is_some() {
            self.last_task = Some(at.media);
        }
        let arrived = Instant::now();
        let task = move |work: Work| {
            let deadline = arrived + within(&work, &need);
            Task { work, at, need, deadline, arrived, spared }
        };
        polled.chain(work).map(task)
    }

    /// Whether the next unit may come a moment later than it could.
    pub fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// What waited was thrown away: nothing more can be decoded forward up to the next key picture.
    pub fn lost_the_thread(&mut self) {
        self.unfed = None;
    }

    /// Whether something has moved since the last look, as far as the sizes of access units can be trusted.
    fn has_moved(&self) -> bool {
        self.gates == Gates::On
            && self.activity.verdict() == Verdict::Active
            && self.activity.trust().standing == Standing::Trusted
    }

    /// Whether what is due may be spared because the sizes of access units tell that nothing has moved since the last look.
    fn is_quiet(&self, need: &Need, at: Captured) -> bool {
        let blind_s = self.sampler.last_looked().map(|last| at.media.saturating_sub(last).as_secs_f64());
        self.gates != Gates::Off
            && !need.urgent
            && blind_s.is_some_and(|blind_s| blind_s < need.blind_s_max)
            && self.activity.may_skip()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scenario;
    use crate::frame::{Clock, Codec};
    use crate::geometry::{Point, Polygon};

    fn camera(scenario: &str, ring_bytes_max: usize) -> Camera {
        let scenario = Arc::clone(&Scenario::built_in()[scenario]);
        let corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]].map(Point::from);
        let zone = Zone {
            id: "zone".into(),
            name: "zone".into(),
            revision: "r1".into(),
            polygon: Polygon::new(corners.to_vec()).unwrap(),
            rule: scenario.rule.clone(),
            scenario,
            hours: crate::config::Hours::default(),
            facade: None,
        };
        Camera {
            ring_bytes_max,
            zones: vec![zone],
            ..Camera::plain("gate", "rtsp://127.0.0.1/".parse().unwrap())
        }
    }

    fn unit(number: usize, key: bool, after_loss: bool) -> AccessUnit {
        let media = Duration::from_millis(40 * number as u64);
        let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::Arrival };
        let data = vec![0; 1000].into();
        AccessUnit { captured, codec: Codec::H264, key, after_loss, data, pts_90k: 0 }
    }

    fn intake(scenario: &str, ring_bytes_max: usize, every_s: f64) -> Intake {
        let camera = camera(scenario, ring_bytes_max);
        let post = PostBox::new(&camera);
        if every_s > 0.0 {
            post.lock().need = Need { picture_every_s: Some(every_s), ..Need::default() };
        }
        Intake::new(&camera, post, Arc::default(), Gates::Off)
    }

    /// Numbers of the units of each forward decode.
    fn forward(mut tasks: impl Iterator<Item = Task>) -> Option<Vec<usize>> {
        let number = |unit: &AccessUnit| unit.captured.media.as_millis() as usize / 40;
        match tasks.next()?.work {
            Work::Forward(units) => Some(units.iter().map(number).collect()),
            _ => None,
        }
    }

    #[test]
    fn a_group_is_decoded_forward_without_holes() {
        let mut intake = intake("fire_lane", 1 << 20, 2.0);
        let (mut fed, mut runs) = (Vec::new(), 0);
        for number in 0..500 {
            if let Some(units) = forward(intake.take(unit(number, number == 0, false))) {
                assert_eq!(units.last(), Some(&number), "up to the newest");
                fed.extend(units);
                runs += 1;
            }
        }
        assert_eq!(fed, (0..=*fed.last().unwrap()).collect::<Vec<_>>());
        assert!((8..=12).contains(&runs), "{runs}");
        // What waited was thrown away: from the key picture again.
        intake.lost_the_thread();
        let next = (500..600).find_map(|number| forward(intake.take(unit(number, false, false))));
        assert_eq!(next.and_then(|units| units.first().copied()), Some(0));
        // After a loss nothing, up to the next key picture.
        let none = (600..700).find_map(|number| forward(intake.take(unit(number, false, number == 600))));
        assert_eq!(none, None);
        let again = (700..900).find_map(|number| forward(intake.take(unit(number, number == 700, false))));
        assert_eq!(again.and_then(|units| units.first().copied()), Some(700));
    }

    #[test]
    fn only_what_may_decide_is_fetched_at_once() {
        let check = |urgent, every_picture, expected: [bool; 3]| {
            let mut intake = intake("fire_lane", 1 << 20, 2.0);
            let need = intake.post.lock().need;
            intake.post.lock().need = Need { every_picture, urgent, ..need };
            let mut waits = Vec::new();
            for number in 0..200 {
                intake.take(unit(number, number % 50 == 0, false)).for_each(drop);
                waits.push(intake.may_wait());
            }
            // In the first group nobody knows when the next key picture comes; then: early in a group, late in one.
            assert_eq!([waits[20], waits[120], waits[145]], expected, "{urgent} {every_picture}");
        };
        check(false, false, [true, true, true]);
        check(true, false, [false, true, false]);
        check(true, true, [false, false, false]);
    }

    #[test]
    fn a_decoder_does_not_outlive_the_visit() {
        let post = PostBox::new(&camera("fire_lane", 1 << 20));
        let mut post = post.lock();
        post.turn = Some(Turn { resting: false, round_s: 60.0 });
        post.decoder = Decoder::new(Codec::H264).ok();
        assert!(post.decoder.is_some());
        post.rest();
        assert!(post.decoder.is_none() && post.is_resting());
    }

    #[test]
    fn a_group_larger_than_the_ring_waits_for_its_next_key_picture() {
        let mut intake = intake("fire_lane", 10_000, 2.0);
        let tasks = (0..500).flat_map(|number| intake.take(unit(number, number == 0, false)));
        let works: Vec<_> = tasks.map(|task| matches!(task.work, Work::Forward(_))).collect();
        assert!(!works.is_empty() && works.iter().all(|forward| !forward), "{works:?}");
    }

    #[test]
    fn what_is_not_needed_stays_compressed() {
        let mut thrown = intake("thrown_object", 1 << 20, 0.0);
        let tasks = (0..100).flat_map(|number| thrown.take(unit(number, number % 50 == 0, false)));
        assert_eq!(tasks.filter(|task| matches!(task.work, Work::InOrder(_))).count(), 100);
        // Key pictures every two seconds, one wanted every four; every five seconds the rules are asked anew.
        let mut dwell = intake("fire_lane", 1 << 20, 4.0);
        let (mut keys, mut tends) = (0, 0);
        for number in 0..1500 {
            match dwell.take(unit(number, number % 50 == 0, false)).next().map(|task| task.work) {
                Some(Work::Key(unit)) => keys += u32::from(unit.key),
                Some(Work::Tend) => tends += 1,
                other => assert!(other.is_none(), "{other:?}"),
            }
        }
        assert_eq!((keys, tends), (15, 0));
        let post = dwell.post.clone();
        post.lock().clip_due = Some(Duration::from_secs(61));
        let due = (1500..1550).find_map(|number| dwell.take(unit(number, false, false)).next());
        assert_eq!(due.map(|task| task.at.media), Some(Duration::from_secs(61)));
        assert_eq!(post.lock().counts.units, 1526);
    }
}
