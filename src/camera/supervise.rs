//! [`run`]: keeps one camera connected; the only retry loop there is.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::beat::Haste;
use super::rtsp::{Connection, Farewells, Received, RtspError};
use super::timekeeper::Timekeeper;
use crate::config;
use crate::frame::{AccessUnit, CameraState};

/// Delay before the first retry; doubled for each further one.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest delay during the first minutes of an outage, so that a camera is back within 5 s of its server's return.
const RETRY_SOON_MAX: Duration = Duration::from_secs(4);
/// How long these quick retries go on.
const RETRY_SOON: Duration = Duration::from_secs(10 * 60);
/// Longest delay after that.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// First and longest delay after a refused password: many cameras lock an address out for half an hour after five attempts.
const RETRY_AUTH: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
/// A connection that lasted this long counts as good: the next outage starts again with quick retries.
const GOOD_STRETCH: Duration = Duration::from_secs(10);
/// How many stall limits a camera may send pictures of which none can start decoding: key pictures can be a minute
/// apart in cameras that save bandwidth, so the connection is not given up at once.
const WITHOUT_KEY_STALLS: u32 = 6;
/// Silence after which people are told, long before the connection is given up: it may be a breath of a weak uplink, and many
/// cameras have few sessions to give, which they hold for a minute after they were lost.
const QUIET_MIN: Duration = Duration::from_secs(4);
/// The same for slow cameras, as a multiple of the usual time between their pictures.
const QUIET_PICTURES: u32 = 4;
/// Longest reason given for a lost connection: the camera's own words may be part of it.
const DETAIL_CHARS_MAX: usize = 300;
/// Pause before a state is offered again to somebody who has no room.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// What a camera has to say.
#[derive(Debug, Clone)]
pub enum Message {
    /// A compressed picture; the first one of a connection is a key picture.
    Unit(AccessUnit),
    /// Its connection changed.
    State {
        /// What the connection is doing now.
        state: CameraState,
        /// Why, in one line for people; never with a password.
        detail: Option<String>,
    },
}

/// Who takes what a camera says; called on the camera's own task, so it must not block.
pub trait Sink: Send {
    /// Takes a message, or says why not; a refused unit is lost, with all that depend on it.
    fn take(&mut self, message: Message) -> Result<(), Refused>;

    /// Whether the next picture may wait for a moment with others of its kind.
    fn may_wait(&self) -> bool {
        false
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No room now.
    Full,
    /// Nobody listens any more.
    Gone,
}

impl Sink for mpsc::Sender<Message> {
    fn take(&mut self, message: Message) -> Result<(), Refused> {
        self.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Closed(_) => Refused::Gone,
        })
    }
}

/// What a camera has received and lost since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Access units handed on.
    pub units: AtomicU64,
    /// Compressed bytes handed on.
    pub bytes: AtomicU64,
    /// RTP packets lost on the way here.
    pub packets_lost: AtomicU64,
    /// Units dropped because nothing can be decoded before the connection's first key picture.
    pub dropped_before_key: AtomicU64,
    /// Units dropped because the next stage was too slow, up to a key picture.
    pub dropped_queue_full: AtomicU64,
    /// Connections that were lost or given up.
    pub disconnects: AtomicU64,
    /// Attempts to connect that failed.
    pub failed_attempts: AtomicU64,
    /// Milliseconds that the camera's clock is ahead of ours; `i64::MIN`: it does not say what time it is.
    pub ahead_ms: AtomicI64,
}

/// Receives one camera until `stop` becomes true or nobody takes its messages; never gives up before.
pub async fn run(
    camera: Arc<config::Camera>,
    out: impl Sink,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) {
    let (_always, wanted) = watch::channel(true);
    run_while(camera, out, counters, stop, wanted, None).await;
}

/// The same, but connected only while `wanted` is true: for visits in a patrol. Media time goes on in between, and from
/// `media_now` if something was remembered of the camera; that the connection is closed then is nobody's trouble and not told.
pub async fn run_while(
    camera: Arc<config::Camera>,
    out: impl Sink,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
    wanted: watch::Receiver<bool>,
    media_now: Option<Duration>,
) {
    let time = media_now.map_or_else(Timekeeper::default, Timekeeper::going_on);
    let stopped = async move {
        // An error means that nobody can ask us to stop any more, which is the same.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let (camera, counters, farewells) = (&camera, &counters, Farewells::default());
    let supervisor = Supervisor { camera, out, counters, time, told: None, wanted, farewells };
    tokio::select! {
        () = stopped => {}
        () = supervisor.run() => {}
    }
}

struct Supervisor<'a, S> {
    camera: &'a config::Camera,
    out: S,
    counters: &'a Counters,
    time: Timekeeper,
    /// The last state that was sent.
    told: Option<(CameraState, Option<String>)>,
    /// Whether it is to be connected now.
    wanted: watch::Receiver<bool>,
    /// Sessions that are being ended.
    farewells: Farewells,
}

impl<S: Sink> Supervisor<'_, S> {
    async fn run(mut self) {
        let mut retry = Retry::default();
        loop {
            // An error means that nobody can want it any more.
            if self.wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            if self.told.is_none() && !self.tell(CameraState::Connecting, None).await {
                return;
            }
            self.time.reconnected();
            let mut online_since = None;
            let mut wanted = self.wanted.clone();
            let unwanted = async move {
                let _ = wanted.wait_for(|wanted| !*wanted).await;
            };
            // A panic in the RTSP library is this camera's trouble alone.
            let ended = tokio::select! {
                result = AssertUnwindSafe(self.run_once(&mut online_since)).catch_unwind() => Some(result),
                () = unwanted => None,
            };
            let Some(result) = ended else {
                self.told = None;
                continue;
            };
            let counter = if online_since.is_some() {
                &self.counters.disconnects
            } else {
                &self.counters.failed_attempts
            };
            counter.fetch_add(1, Relaxed);
            let (state, detail) = match &result {
                Ok(Err(error)) => (state_after(error), self.shown(error)),
                Ok(Ok(())) => return,
                Err(_) => {
                    (CameraState::Connecting, "the RTSP library failed on what the camera sent".to_owned())
                }
            };
            if online_since.is_some_and(|since: Instant| since.elapsed() >= GOOD_STRETCH) {
                retry = Retry::default();
            }
            let delay = retry.next(state == CameraState::AuthFailed, fastrand::f64());
            tracing::debug!(camera = %self.camera.id, ?state, ?delay, "{detail}");
            if !self.tell(state, Some(detail)).await {
                return;
            }
            tokio::time::sleep(delay).await;
        }
    }

    /// One connection, from connecting to its first error; `Ok` when nobody listens any more.
    async fn run_once(&mut self, online_since: &mut Option<Instant>) -> Result<(), RtspError> {
        let stall = Duration::try_from_secs_f64(self.camera.stall_s).unwrap_or(Duration::from_secs(10));
        let mut connection = Connection::open(self.camera, &self.farewells).await?;
        // When decodable pictures came last; at first, when they could have come.
        let mut decodable = Instant::now();
        // Whether a key picture is needed before anything can be decoded, and before anything is handed on.
        let (mut broken, mut starting, mut full) = (true, true, false);
        let mut usual = Usual::default();
        loop {
            let received = self.receive(&mut connection, usual.quiet(), stall).await?;
            usual.came(Instant::now());
            let mut unit = received.unit;
            self.counters.packets_lost.fetch_add(received.lost, Relaxed);
            broken = !unit.key && (broken || unit.after_loss);
            if broken {
                let since = decodable.elapsed();
                if since > stall * WITHOUT_KEY_STALLS {
                    return Err(self.undecodable(since));
                }
                if since > stall {
                    let detail = format!("pictures come, but no key picture for {} s", since.as_secs());
                    self.try_tell(CameraState::Stalled, Some(detail));
                }
            } else {
                decodable = Instant::now();
                online_since.get_or_insert(decodable);
                self.try_tell(CameraState::Online, None);
            }
            if unit.key {
                let ahead_ms = self.time.ahead_s().map_or(i64::MIN, |ahead_s| (ahead_s * 1000.0) as i64);
                self.counters.ahead_ms.store(ahead_ms, Relaxed);
            }
            if !unit.key && (starting || full) {
                let counter =
                    if full { &self.counters.dropped_queue_full } else { &self.counters.dropped_before_key };
                counter.fetch_add(1, Relaxed);
                continue;
            }
            unit.after_loss |= std::mem::take(&mut full);
            starting = false;
            let bytes = unit.data.len() as u64;
            match self.out.take(Message::Unit(unit)) {
                Ok(()) => {
                    self.counters.units.fetch_add(1, Relaxed);
                    self.counters.bytes.fetch_add(bytes, Relaxed);
                }
                Err(Refused::Full) => {
                    full = true;
                    self.counters.dropped_queue_full.fetch_add(1, Relaxed);
                }
                Err(Refused::Gone) => return Ok(()),
            }
        }
    }

    /// The next picture; people are told when nothing comes for `quiet`, the connection is given up after `stall`.
    async fn receive(
        &mut self,
        connection: &mut Connection,
        quiet: Duration,
        stall: Duration,
    ) -> Result<Received, RtspError> {
        let haste = if self.out.may_wait() { Haste::AtLeisure } else { Haste::Promptly };
        let now = Instant::now();
        if quiet < stall {
            if let Some(received) = connection.next(&mut self.time, haste, now + quiet).await? {
                return Ok(received);
            }
            let detail = format!("nothing came for {} s; waiting for it", quiet.as_secs());
            offer(&mut self.out, &mut self.told, CameraState::Stalled, Some(detail));
        }
        let received = connection.next(&mut self.time, haste, now + stall).await?;
        received.ok_or_else(|| connection.silent(stall))
    }

    fn undecodable(&self, since: Duration) -> RtspError {
        let address = self.camera.url.host_str().unwrap_or_default().to_owned();
        RtspError::Failed {
            address,
            step: "receiving",
            reason: format!("no key picture for {} s", since.as_secs()),
        }
    }

    /// The error for people: a camera may say anything of any length, and repeat what it was sent.
    fn shown(&self, error: &RtspError) -> String {
        let said = self.camera.without_secrets(&error.to_string());
        let mut shown: String = said.chars().take(DETAIL_CHARS_MAX).map(plain).collect();
        if said.chars().nth(DETAIL_CHARS_MAX).is_some() {
            shown.push('…');
        }
        shown
    }

    /// Sends a state, waiting for room; the same one is not sent twice. False when nobody listens any more.
    async fn tell(&mut self, state: CameraState, detail: Option<String>) -> bool {
        let now = (state, detail);
        if self.told.as_ref() == Some(&now) {
            return true;
        }
        loop {
            let (state, detail) = now.clone();
            match self.out.take(Message::State { state, detail }) {
                Ok(()) => {
                    self.told = Some(now);
                    return true;
                }
                Err(Refused::Full) => tokio::time::sleep(ROOM_WAIT).await,
                Err(Refused::Gone) => return false,
            }
        }
    }

    /// Sends a state if it is another one than the last and there is room; otherwise the next picture tries again.
    fn try_tell(&mut self, state: CameraState, detail: Option<String>) {
        offer(&mut self.out, &mut self.told, state, detail);
    }
}

fn offer(
    out: &mut impl Sink,
    told: &mut Option<(CameraState, Option<String>)>,
    state: CameraState,
    detail: Option<String>,
) {
    if told.as_ref().is_none_or(|(told, _)| *told != state) {
        let message = Message::State { state, detail: detail.clone() };
        if out.take(message).is_ok() {
            *told = Some((state, detail));
        }
    }
}

/// The usual time between the pictures of a connection.
#[derive(Debug, Default)]
struct Usual {
    last: Option<Instant>,
    between: Duration,
}

impl Usual {
    /// A picture came.
    fn came(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let between = now - last;
            // Forgets half in about 20 pictures; begins with the first.
            let weight = if self.between.is_zero() { 1.0 } else { 1.0 / 30.0 };
            self.between = self.between.mul_f64(1.0 - weight) + between.mul_f64(weight);
        }
    }

    /// Silence that is not usual.
    fn quiet(&self) -> Duration {
        QUIET_MIN.max(self.between * QUIET_PICTURES)
    }
}

/// What the connection is doing once it has ended so.
fn state_after(error: &RtspError) -> CameraState {
    match error {
        RtspError::Unauthorized { .. } => CameraState::AuthFailed,
        RtspError::Silent { .. } => CameraState::Stalled,
        _ => CameraState::Connecting,
    }
}

/// Characters that move the cursor of whoever reads the log are left out.
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// How long to wait before the next attempt.
#[derive(Debug, Default)]
struct Retry {
    attempts: u32,
    refused: u32,
    since: Option<Instant>,
}

impl Retry {
    /// The next delay; `jitter` 0..1 spreads cameras that failed together (one switch, one power cut).
    fn next(&mut self, refused: bool, jitter: f64) -> Duration {
        let outage = self.since.get_or_insert_with(Instant::now).elapsed();
        let (first, max, attempt) = if refused {
            self.refused += 1;
            (RETRY_AUTH.0, RETRY_AUTH.1, self.refused)
        } else {
            self.attempts += 1;
            let max = if outage < RETRY_SOON { RETRY_SOON_MAX } else { RETRY_MAX };
            (RETRY_FIRST, max, self.attempts)
        };
        let delay = first.saturating_mul(1 << (attempt - 1).min(16)).min(max);
        // Between half of it and all of it: never longer than promised.
        delay.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_camera_is_not_thought_silent() {
        let began = Instant::now();
        // Seconds between pictures, and after how many seconds of silence people are told.
        for (between_s, quiet_s) in [(0.04, 4.0), (0.9, 4.0), (2.0, 8.0), (10.0, 40.0)] {
            let mut usual = Usual::default();
            for n in 0..200 {
                usual.came(began + Duration::from_secs_f64(between_s * f64::from(n)));
            }
            assert!((usual.quiet().as_secs_f64() - quiet_s).abs() < 0.01, "{between_s}: {:?}", usual.quiet());
        }
        // A pause of a weak uplink now and then does not make a camera slow.
        let mut usual = Usual::default();
        let mut at = began;
        for n in 0..1000 {
            at += Duration::from_secs_f64(if n % 100 == 0 { 5.0 } else { 0.04 });
            usual.came(at);
        }
        assert_eq!(usual.quiet(), QUIET_MIN);
    }

    #[test]
    fn retries_are_quick_at_first_and_slow_after_a_refused_password() {
        let check = |refused, expected: &[u64]| {
            let mut retry = Retry::default();
            let delays: Vec<_> =
                expected.iter().map(|_| retry.next(refused, 1.0).as_millis() as u64).collect();
            assert_eq!(delays, expected);
        };
        check(false, &[250, 500, 1000, 2000, 4000, 4000, 4000]);
        check(true, &[60_000, 120_000, 240_000, 480_000, 900_000, 900_000]);
        let mut long = Retry { since: Instant::now().checked_sub(RETRY_SOON), ..Retry::default() };
        let last = (0..40).map(|_| long.next(false, 1.0)).last();
        assert_eq!(last, Some(RETRY_MAX));
        assert_eq!(Retry::default().next(false, 0.0), RETRY_FIRST / 2);
    }
}
