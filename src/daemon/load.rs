//! How busy the node is: what each camera costs and how stale it is, and by how much cadences must be stretched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::intake::PostBox;
use super::status::{CameraLoad, Figures};
use crate::camera::Counters;
use crate::config::Camera;
use crate::frame::{CameraId, CameraState};
use crate::processor;
use crate::sampler::Need;
use crate::sampler::budget::{Claim, PROMISED, Rank, Stretch, stretch};

/// Time constant of what a camera costs, in seconds: longer than its cadence, shorter than rush hour.
const COST_S: f64 = 30.0;

/// A camera is within its need up to this many times the wanted time between looks, ...
const WITHIN: f64 = 1.6;
/// ... and so many seconds, for the next key picture.
const WITHIN_S: f64 = 2.0;

/// The stretch in force, read by every camera's intake.
#[derive(Debug)]
pub struct Grant {
    idle: AtomicU64,
    urgent: AtomicU64,
}

impl Default for Grant {
    fn default() -> Self {
        let one = || AtomicU64::new(1f64.to_bits());
        Self { idle: one(), urgent: one() }
    }
}

impl Grant {
    /// What of a need is granted now.
    pub fn granted(&self, need: Need) -> Need {
        let factor = match rank(need) {
            Rank::Idle => f64::from_bits(self.idle.load(Relaxed)),
            Rank::Urgent => f64::from_bits(self.urgent.load(Relaxed)),
            Rank::EveryPicture => 1.0,
        };
        Need { picture_every_s: need.picture_every_s.map(|every_s| every_s * factor), ..need }
    }

    fn set(&self, stretch: Stretch) {
        self.idle.store(stretch.idle.to_bits(), Relaxed);
        self.urgent.store(stretch.urgent.to_bits(), Relaxed);
    }
}

fn rank(need: Need) -> Rank {
    match need {
        Need { every_picture: true, .. } => Rank::EveryPicture,
        Need { urgent: true, .. } => Rank::Urgent,
        _ => Rank::Idle,
    }
}

/// One camera as the load knows it.
struct Watched {
    camera: CameraId,
    post: PostBox,
    line: Arc<Counters>,
    since: Instant,
    spent: Duration,
    cores: f64,
}

/// Keeps the books, once a second.
pub struct Load {
    grant: Arc<Grant>,
    cameras: Vec<Watched>,
    started: Timestamp,
    last: Instant,
    process: Duration,
    cores: f64,
    cores_used: f64,
    stretch: Stretch,
}

impl Load {
    /// Nothing known yet; `cores` is how many the threads could have.
    pub fn new(cores: usize) -> Self {
        Self {
            grant: Arc::default(),
            cameras: Vec::new(),
            started: Timestamp::now(),
            last: Instant::now(),
            process: processor::process_time(),
            cores: cores as f64,
            cores_used: 0.0,
            stretch: Stretch::NONE,
        }
    }

    /// The stretch in force.
    pub fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// Counts a camera in.
    pub fn watch(&mut self, camera: &Camera, post: PostBox, line: Arc<Counters>) {
        let (since, spent) = (Instant::now(), Duration::ZERO);
        self.cameras.push(Watched { camera: camera.id.clone(), post, line, since, spent, cores: 0.0 });
    }

    /// Counts a camera out.
    pub fn forget(&mut self, camera: &CameraId) {
        self.cameras.retain(|watched| watched.camera != *camera);
    }

    /// How many cameras there are.
    pub fn count(&self) -> usize {
        self.cameras.len()
    }

    /// Measures, and settles the stretch for the next second; `cores` is what the threads really had, if that is known.
    pub fn settle(&mut self, cores: Option<f64>) {
        let passed_s = self.last.elapsed().as_secs_f64();
        if passed_s < 0.1 {
            return;
        }
        self.last = Instant::now();
        let process = processor::process_time();
        self.cores_used = process.saturating_sub(self.process).as_secs_f64() / passed_s;
        self.process = process;
        if let Some(cores) = cores {
            self.cores += (cores - self.cores) * (passed_s / COST_S).min(1.0);
        }
        let before = self.stretch;
        let claims: Vec<Claim> = (self.cameras.iter_mut())
            .map(|watched| {
                let (spent, need) = {
                    let post = watched.post.lock();
                    (post.spent, post.need)
                };
                let cores = spent.saturating_sub(watched.spent).as_secs_f64() / passed_s;
                watched.spent = spent;
                let known_s = watched.since.elapsed().as_secs_f64().min(COST_S);
                watched.cores += (cores - watched.cores) * (passed_s / known_s.max(passed_s));
                let rank = rank(need);
                // It would take so much more at the cadence that its rules want.
                Claim { rank, cores: watched.cores * before.of(rank) }
            })
            .collect();
        self.stretch = stretch(claims, PROMISED * self.cores);
        self.grant.set(self.stretch);
        declare(before, self.stretch);
    }

    /// How cameras and processor are now; `state` tells of each camera's connection.
    pub fn figures(&self, state: impl Fn(&CameraId) -> CameraState) -> Figures {
        let cameras: Vec<CameraLoad> =
            self.cameras.iter().map(|watched| watched.load(state(&watched.camera))).collect();
        let wanted = cameras.iter().filter(|c| c.every_s.is_some() && c.state == CameraState::Online);
        let (all, within) =
            wanted.fold((0u32, 0u32), |(all, within), c| (all + 1, within + u32::from(c.within_need)));
        Figures {
            started: self.started,
            cores: self.cores,
            cores_used: self.cores_used,
            resident_bytes: processor::resident_bytes(),
            ring_bytes: cameras.iter().map(|c| c.ring_bytes).sum(),
            stretch_idle: self.stretch.idle,
            stretch_urgent: self.stretch.urgent,
            overloaded: self.stretch.overloaded,
            within_need: if all == 0 { 1.0 } else { f64::from(within) / f64::from(all) },
            cameras,
        }
    }
}

impl Watched {
    fn load(&self, state: CameraState) -> CameraLoad {
        let post = self.post.lock();
        let need = post.need;
        let wanted_s = if need.every_picture { Some(0.0) } else { need.picture_every_s };
        // Who is visited in turn is looked at once a round.
        let wanted_s = wanted_s.map(|s| post.turn.map_or(s, |turn| turn.round_s.max(s)));
        let stale_s = wanted_s.and(post.looked).map(|looked| looked.elapsed().as_secs_f64());
        let allowed_s = wanted_s.map(|s| (s * WITHIN).max(need.blind_s_max) + WITHIN_S);
        let since_s = stale_s.unwrap_or_else(|| self.since.elapsed().as_secs_f64());
        CameraLoad {
            camera: self.camera.clone(),
            state,
            stale_s,
            every_s: wanted_s,
            urgent: need.urgent,
            within_need: allowed_s.is_none_or(|allowed_s| since_s <= allowed_s),
            cores: self.cores,
            ring_bytes: post.ring.bytes() as u64,
            packet_gate: post.standing,
            counts: post.counts,
            faults: Vec::new(),
            disconnects: self.line.disconnects.load(Relaxed),
            packets_lost: self.line.packets_lost.load(Relaxed),
        }
    }
}

/// Overload is said when it begins, when it changes much, and when it ends.
fn declare(before: Stretch, now: Stretch) {
    let step = |factor: f64| (factor.log2() * 2.0).round() as i32;
    if now.overloaded && !before.overloaded {
        tracing::error!(
            "more to look at than this machine carries even at the slowest cadence: pictures are lost"
        );
    } else if step(now.idle) != step(before.idle) || step(now.urgent) != step(before.urgent) {
        if now == Stretch::NONE {
            tracing::info!("every camera is looked at as often as its rules want again");
        } else {
            let (idle, urgent) = (now.idle, now.urgent);
            tracing::warn!(
                "too much to look at: quiet cameras {idle:.1} times as rarely as wanted, others {urgent:.1} times"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_follows_the_rank() {
        let grant = Grant::default();
        let need = Need { picture_every_s: Some(2.0), ..Need::default() };
        assert_eq!(grant.granted(need), need);
        grant.set(Stretch { idle: 3.0, urgent: 1.5, overloaded: false });
        assert_eq!(grant.granted(need).picture_every_s, Some(6.0));
        assert_eq!(grant.granted(Need { urgent: true, ..need }).picture_every_s, Some(3.0));
        assert_eq!(grant.granted(Need { every_picture: true, ..need }).picture_every_s, Some(2.0));
    }
}
