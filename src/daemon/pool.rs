//! The threads that analyse, and the one queue that they work off: earliest deadline first.
//!
//! A camera stands in the queue at most once and is worked on by one thread at a time, so the queue is as long as there
//! are cameras, and what waits for one camera is bounded here:
//!
//! | waits | when more comes |
//! |---|---|
//! | a key picture, or a group to be decoded forward | a newer key picture takes its place (`overtaken`); units of the same group are added |
//! | units of a camera of which every picture counts | up to ten seconds of them; then the camera drops to its next key picture |

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::gauge::Counts;
use super::intake::{PostBox, Task, Work};
use super::{Analysis, DaemonError};
use crate::config::Config;
use crate::decode::KeyDecoder;
use crate::frame::CameraId;
use crate::processor::thread_time;

/// Longest time one turn may take (decode, inference, store) before the thread counts as stuck. A slow disk's fsync and a
/// model on a busy CPU stay far below it.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Access units that may wait where every picture counts: ten seconds of a usual camera.
const IN_ORDER_MAX: usize = 256;

/// Compressed bytes that may wait to be decoded forward: more than a group of pictures of any camera's sub-stream.
const FORWARD_BYTES_MAX: usize = 64 << 20;

/// Units of one camera that are decoded in one turn before others get theirs.
const TURN_UNITS: usize = 8;

/// Work of less than this says nothing about how many cores there are.
const TOLD_BY: Duration = Duration::from_millis(200);

/// What waits for one camera's turn.
#[derive(Default)]
struct Mail {
    tasks: VecDeque<Task>,
    /// Deadline under which it stands in the queue; `None`: it does not.
    queued: Option<Instant>,
    busy: bool,
    /// No more will come.
    over: bool,
}

/// One camera in the pool.
pub struct Station {
    camera: CameraId,
    post: PostBox,
    mail: Mutex<Mail>,
    /// `None` when it is over, or has failed for good.
    analysis: Mutex<Option<Analysis>>,
    /// Whether its last turn is done.
    over: watch::Sender<bool>,
}

/// A task was not taken; what follows from it is the camera's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Skip to the next key picture.
    InOrder,
    /// Begin the group anew.
    Forward,
}

impl Mail {
    /// Adds a task by the rules above; gives how many looks it makes superfluous.
    fn add(&mut self, mut task: Task) -> Result<u64, Overflow> {
        let mut overtaken = 0;
        let looks = |task: &Task| matches!(task.work, Work::Key(_) | Work::Forward(_));
        match &task.work {
            Work::InOrder(_) if self.tasks.len() >= IN_ORDER_MAX => return Err(Overflow::InOrder),
            Work::Tend if !self.tasks.is_empty() => return Ok(0),
            Work::InOrder(_) | Work::Poll(..) | Work::Tend => {}
            Work::Key(_) => {
                // It is as urgent as what it takes the place of: else a camera could be put off for ever.
                let before = self.tasks.iter().filter(|task| looks(task)).map(|task| task.deadline).min();
                task.deadline = before.map_or(task.deadline, |before| before.min(task.deadline));
                overtaken = self.tasks.iter().filter(|task| looks(task)).count() as u64;
                self.tasks.retain(|task| matches!(task.work, Work::InOrder(_) | Work::Poll(..)));
            }
            Work::Forward(more) => {
                if let Some(Task { work: Work::Forward(units), at, .. }) = self.tasks.back_mut() {
                    let bytes: usize = units.iter().chain(more).map(|unit| unit.data.len()).sum();
                    if bytes > FORWARD_BYTES_MAX {
                        self.tasks.pop_back();
                        return Err(Overflow::Forward);
                    }
                    if more.first().is_some_and(|unit| unit.key) {
                        units.clear();
                    }
                    units.extend(more.iter().cloned());
                    *at = task.at;
                    return Ok(1);
                }
            }
        }
        self.tasks.push_back(task);
        Ok(overtaken)
    }

    /// What goes next: one task, or some units of which every picture counts.
    fn next(&mut self) -> Vec<Task> {
        let mut turn: Vec<Task> = self.tasks.pop_front().into_iter().collect();
        if matches!(turn.first(), Some(Task { work: Work::InOrder(_), .. })) {
            while turn.len() < TURN_UNITS
                && matches!(self.tasks.front(), Some(Task { work: Work::InOrder(_), .. }))
            {
                turn.extend(self.tasks.pop_front());
            }
        }
        turn
    }
}

/// A camera's place in the queue.
struct Turn {
    deadline: Instant,
    station: Arc<Station>,
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline.cmp(&other.deadline)
    }
}

#[derive(Default)]
struct Line {
    turns: BinaryHeap<Reverse<Turn>>,
    /// Cameras that are not over.
    stations: usize,
    closing: bool,
}

/// The queue, shared by cameras and threads.
#[derive(Default)]
pub struct Queue {
    line: Mutex<Line>,
    ready: Condvar,
    counts: Mutex<Counts>,
    turnover: Mutex<Turnover>,
}

/// How much of the time that the threads worked they were given a core: the rest went to somebody else's processes.
#[derive(Debug, Default, Clone, Copy)]
struct Turnover {
    ran: Duration,
    took: Duration,
}

impl std::ops::AddAssign for Turnover {
    fn add_assign(&mut self, more: Self) {
        self.ran += more.ran;
        self.took += more.took;
    }
}

impl Queue {
    /// Puts a camera's task into the queue.
    pub fn add(&self, station: &Arc<Station>, task: Task) -> Result<(), Overflow> {
        let deadline = task.deadline;
        let mut mail = lock(&station.mail);
        if mail.over {
            return Ok(());
        }
        let overtaken = mail.add(task)?;
        if overtaken > 0 {
            station.post.lock().counts.overtaken += overtaken;
        }
        self.line_up(station, &mut mail, deadline);
        Ok(())
    }

    /// How many cameras wait for their turn.
    pub fn waiting(&self) -> usize {
        lock(&self.line).turns.len()
    }

    /// No more will come from this camera: what still waits is let go, its clips are written.
    pub fn close(&self, station: &Arc<Station>) {
        let mut mail = lock(&station.mail);
        mail.over = true;
        mail.tasks.clear();
        self.line_up(station, &mut mail, Instant::now());
    }

    /// A camera is put into the line, or further ahead; one that is worked on comes back by itself.
    fn line_up(&self, station: &Arc<Station>, mail: &mut Mail, deadline: Instant) {
        if mail.busy || mail.queued.is_some_and(|queued| queued <= deadline) {
            return;
        }
        mail.queued = Some(deadline);
        lock(&self.line).turns.push(Reverse(Turn { deadline, station: Arc::clone(station) }));
        self.ready.notify_one();
    }

    /// The most urgent camera; `None` when there will be none any more.
    fn next(&self) -> Option<Turn> {
        let mut line = lock(&self.line);
        loop {
            if let Some(Reverse(turn)) = line.turns.pop() {
                return Some(turn);
            }
            if line.closing && line.stations == 0 {
                return None;
            }
            line = self.ready.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, busy_since: &AtomicU64, started: Instant) {
        let mut keys = KeyDecoder::new();
        while let Some(Turn { deadline, station }) = self.next() {
            let (turn, over) = {
                let mut mail = lock(&station.mail);
                if mail.busy || mail.queued != Some(deadline) {
                    continue; // It was moved ahead and has had this turn already.
                }
                (mail.queued, mail.busy) = (None, true);
                (mail.next(), mail.over)
            };
            busy_since.store(started.elapsed().as_millis() as u64 + 1, Relaxed);
            let turnover = station.take(turn, over, &mut keys);
            busy_since.store(0, Relaxed);
            *lock(&self.turnover) += turnover;
            let mut mail = lock(&station.mail);
            mail.busy = false;
            if over {
                self.is_over(&station);
            } else if mail.over || !mail.tasks.is_empty() {
                let deadline = mail.tasks.front().map_or_else(Instant::now, |task| task.deadline);
                self.line_up(&station, &mut mail, deadline);
            }
        }
    }

    fn is_over(&self, station: &Station) {
        *lock(&self.counts) += station.post.lock().counts;
        lock(&self.line).stations -= 1;
        self.ready.notify_all();
        station.over.send_replace(true);
    }
}

impl Station {
    /// Waits until its last turn is done.
    pub async fn over(&self) {
        // The sender is here, so waiting cannot fail.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    fn take(&self, turn: Vec<Task>, over: bool, keys: &mut KeyDecoder) -> Turnover {
        let mut held = lock(&self.analysis);
        let Some(analysis) = held.as_mut() else { return Turnover::default() };
        let (start, spent) = (Instant::now(), thread_time());
        let work = AssertUnwindSafe(|| {
            turn.into_iter().for_each(|task| analysis.work(task, keys, &mut |_| {}));
            if over {
                analysis.finish(&mut |_| {});
            }
        });
        // The hook has reported what happened; other cameras go on.
        if std::panic::catch_unwind(work).is_err() {
            tracing::error!(camera = %self.camera, "its analysis failed for good: it is not watched until gridwatch is restarted");
            *held = None;
            return Turnover::default();
        }
        let (waited, inference) = analysis.take_inference();
        let own = thread_time().saturating_sub(spent);
        self.post.lock().spent += own + inference;
        if over {
            *held = None;
        }
        Turnover { ran: own, took: start.elapsed().saturating_sub(waited) }
    }
}

/// The analysing threads.
pub struct Pool {
    queue: Arc<Queue>,
    threads: Vec<Worker>,
    cores: usize,
    started: Instant,
}

struct Worker {
    /// Milliseconds since the start at which the turn in hand began, plus 1; 0 while waiting.
    busy_since: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Pool {
    /// Starts the configured number of threads, or one per core.
    pub fn start(config: &Config) -> Result<Self, DaemonError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.node.workers > 0 { config.node.workers } else { cores };
        // Who waits for a GPU uses no core; a batch fills up only if as many can wait as fit in.
        let batched: usize = config.models.values().filter(|m| m.batch_max > 1).map(|m| m.batch_max).sum();
        let started = Instant::now();
        let queue = Arc::new(Queue::default());
        let start = |index: usize| {
            let busy_since = Arc::new(AtomicU64::new(0));
            let (busy, queue) = (Arc::clone(&busy_since), Arc::clone(&queue));
            let thread = std::thread::Builder::new()
                .name(format!("analysis-{index}"))
                .spawn(move || queue.work(&busy, started))?;
            Ok(Worker { busy_since, thread })
        };
        let threads = (0..count + batched).map(start).collect::<Result<_, std::io::Error>>()?;
        Ok(Self { queue, threads, cores: count.min(cores), started })
    }

    /// The queue, to add tasks to.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Takes up a camera.
    pub fn station(&self, camera: CameraId, analysis: Analysis) -> Arc<Station> {
        lock(&self.queue.line).stations += 1;
        let post = analysis.post().clone();
        Arc::new(Station {
            camera,
            post,
            mail: Mutex::default(),
            analysis: Mutex::new(Some(analysis)),
            over: watch::Sender::new(false),
        })
    }

    /// False when a thread has been busy with one turn for too long, or is dead.
    pub fn is_moving(&self) -> bool {
        let now_ms = self.started.elapsed().as_millis() as u64;
        self.threads.iter().all(|worker| {
            let since = worker.busy_since.load(Relaxed);
            let stuck = since > 0 && now_ms.saturating_sub(since - 1) > STUCK_AFTER.as_millis() as u64;
            !stuck && !worker.thread.is_finished()
        })
    }

    /// Cores that the threads really had since the last call: fewer than there are threads when others use them too.
    /// `None` if too little was done to tell.
    pub fn take_cores(&self) -> Option<f64> {
        let mut turnover = lock(&self.queue.turnover);
        if turnover.took < TOLD_BY {
            return None;
        }
        let Turnover { ran, took } = std::mem::take(&mut *turnover);
        Some(self.cores as f64 * (ran.as_secs_f64() / took.as_secs_f64()).min(1.0))
    }

    /// Cores that the threads could have.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Waits until all cameras are over and their last clips written; gives what their pictures went through.
    pub async fn join(self) -> Counts {
        lock(&self.queue.line).closing = true;
        self.queue.ready.notify_all();
        for Worker { thread, .. } in self.threads {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        *lock(&self.queue.counts)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is half done while one of these is held; a panic inside an analysis is caught before.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{AccessUnit, Captured, Clock, Codec};
    use crate::sampler::Need;

    /// `K` a key picture, `F` two units to be decoded forward, `f` the same from a key picture on, `I` a unit in order,
    /// `T` tend.
    fn task(kind: char, at_s: u64) -> Task {
        let captured = Captured {
            wall: jiff::Timestamp::UNIX_EPOCH,
            media: Duration::from_secs(at_s),
            clock: Clock::File,
        };
        let unit = |key| AccessUnit {
            captured,
            codec: Codec::H264,
            key,
            after_loss: false,
            data: vec![0; 8].into(),
            pts_90k: 0,
        };
        let work = match kind {
            'K' => Work::Key(unit(true)),
            'F' => Work::Forward(vec![unit(false), unit(false)]),
            'f' => Work::Forward(vec![unit(true), unit(false)]),
            'I' => Work::InOrder(unit(at_s == 0)),
            _ => Work::Tend,
        };
        let deadline = Instant::now() + Duration::from_secs(at_s);
        Task { work, at: captured, need: Need::default(), deadline, arrived: Instant::now(), spared: false }
    }

    fn shown(mail: &Mail) -> String {
        let kind = |task: &Task| match &task.work {
            Work::Key(_) => "K".to_owned(),
            Work::Forward(units) => format!("F{}", units.len()),
            Work::InOrder(_) => "I".to_owned(),
            Work::Poll(..) => "P".to_owned(),
            Work::Tend => "T".to_owned(),
        };
        mail.tasks.iter().map(kind).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_waits_is_bounded_and_the_newest_wins() {
        let check = |script: &str, left: &str, overtaken: u64| {
            let mut mail = Mail::default();
            let lost: u64 =
                script.chars().zip(0..).map(|(kind, at_s)| mail.add(task(kind, at_s)).unwrap()).sum();
            assert_eq!((shown(&mail).as_str(), lost), (left, overtaken), "{script}");
        };
        check("K", "K", 0);
        check("KKK", "K", 2);
        check("KF", "K F2", 0);
        check("FFF", "F6", 2);
        check("FFf", "F2", 2);
        check("FFK", "K", 2);
        check("KT", "K", 0);
        check("TT", "T", 0);
        check("TK", "K", 0);
        check("IIT", "I I", 0);
    }

    #[test]
    fn a_picture_takes_over_the_deadline_of_the_one_it_overtakes() {
        let mut mail = Mail::default();
        mail.add(task('K', 3)).unwrap();
        let first = mail.tasks[0].deadline;
        mail.add(task('K', 60)).unwrap();
        assert_eq!(mail.tasks[0].deadline, first);
        assert_eq!(mail.tasks[0].at.media, Duration::from_secs(60));
    }

    #[test]
    fn cameras_of_which_every_picture_counts_skip_to_a_key_picture_when_full() {
        let mut mail = Mail::default();
        for at_s in 0..IN_ORDER_MAX as u64 {
            assert_eq!(mail.add(task('I', at_s)), Ok(0));
        }
        assert_eq!(mail.add(task('I', 999)), Err(Overflow::InOrder));
        let turn = mail.next();
        assert_eq!(turn.len(), TURN_UNITS);
        assert_eq!(turn.last().map(|task| task.at.media.as_secs()), Some(TURN_UNITS as u64 - 1));
        assert_eq!(mail.add(task('I', 999)), Ok(0));
    }
}
