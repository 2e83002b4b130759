//! The threads that analyse: each holds some cameras, so that a camera's state is touched by one thread only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Analysis, Counts, DaemonError};
use crate::camera::Message;
use crate::config::Config;
use crate::decode::KeyDecoder;
use crate::frame::CameraState;

/// Longest time one access unit may take (decode, inference, store) before the thread counts as stuck. A slow disk's
/// fsync and a model on a busy CPU stay far below it.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Hears what becomes of a camera's connection.
pub type StateListener = Box<dyn Fn(CameraState, Option<String>) + Send>;

/// A camera handed to a thread.
pub struct Assignment {
    /// Its state.
    pub analysis: Analysis,
    /// What its connection delivers; the camera is over when the sender is gone.
    pub messages: mpsc::Receiver<Message>,
    /// Hears what becomes of its connection.
    pub states: StateListener,
}

/// The analysing threads.
pub struct Workers {
    threads: Vec<Worker>,
    next: AtomicU64,
    started: Instant,
}

struct Worker {
    assign: mpsc::UnboundedSender<Assignment>,
    /// Milliseconds since the start at which the work in hand began, plus 1; 0 while waiting.
    busy_since: Arc<AtomicU64>,
    thread: JoinHandle<Counts>,
}

impl Workers {
    /// Starts the configured number of threads, or one per core.
    pub fn start(config: &Config) -> Result<Self, DaemonError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.node.workers > 0 { config.node.workers } else { cores };
        let started = Instant::now();
        let start = |index: usize| {
            // Bounded by the number of cameras.
            let (assign, assigned) = mpsc::unbounded_channel();
            let busy_since = Arc::new(AtomicU64::new(0));
            let (busy, runtime) = (Arc::clone(&busy_since), Handle::current());
            let thread = std::thread::Builder::new()
                .name(format!("analysis-{index}"))
                .spawn(move || runtime.block_on(work(assigned, &busy, started)))?;
            Ok(Worker { assign, busy_since, thread })
        };
        let threads = (0..count).map(start).collect::<Result<_, std::io::Error>>()?;
        Ok(Self { threads, next: AtomicU64::new(0), started })
    }

    /// Hands a camera to the next thread in turn.
    pub fn assign(&self, assignment: Assignment) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) as usize % self.threads.len();
        // A thread ends only in `join`, or by a panic that the hook has reported.
        let _ = self.threads[turn].assign.send(assignment);
    }

    /// False when a thread has been busy with one access unit for too long, or is dead.
    pub fn are_moving(&self) -> bool {
        let now_ms = self.started.elapsed().as_millis() as u64;
        self.threads.iter().all(|worker| {
            let since = worker.busy_since.load(Ordering::Relaxed);
            let stuck = since > 0 && now_ms.saturating_sub(since - 1) > STUCK_AFTER.as_millis() as u64;
            !stuck && !worker.thread.is_finished()
        })
    }

    /// Waits until all cameras are over and their last clips written; gives what their pictures went through.
    pub async fn join(self) -> Counts {
        let mut total = Counts::default();
        for Worker { assign, thread, .. } in self.threads {
            drop(assign);
            if let Ok(Ok(counts)) = tokio::task::spawn_blocking(move || thread.join()).await {
                total += counts;
            }
        }
        total
    }
}

/// One thread: whichever of its cameras has something goes next; those with more to say do not starve the others, since
/// each comes back into the set after one message.
async fn work(
    mut assigned: mpsc::UnboundedReceiver<Assignment>,
    busy_since: &AtomicU64,
    started: Instant,
) -> Counts {
    let mut keys = KeyDecoder::new();
    let mut total = Counts::default();
    let mut waiting = FuturesUnordered::new();
    let mut accepting = true;
    while accepting || !waiting.is_empty() {
        tokio::select! {
            new = assigned.recv(), if accepting => match new {
                Some(assignment) => waiting.push(next_message(assignment)),
                None => accepting = false,
            },
            Some((mut assignment, message)) = waiting.next(), if !waiting.is_empty() => {
                busy_since.store(started.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
                match message {
                    // When the connection is closed for good, what still waits is not worth delaying the end for.
                    Some(Message::Unit(_)) if assignment.messages.is_closed() => {}
                    Some(Message::Unit(unit)) => assignment.analysis.take(unit, &mut keys, &mut |_| {}),
                    Some(Message::State { state, detail }) => (assignment.states)(state, detail),
                    None => {
                        assignment.analysis.finish(&mut |_| {});
                        total += assignment.analysis.counts();
                        busy_since.store(0, Ordering::Relaxed);
                        continue;
                    }
                }
                waiting.push(next_message(assignment));
                busy_since.store(0, Ordering::Relaxed);
            }
        }
    }
    total
}

async fn next_message(mut assignment: Assignment) -> (Assignment, Option<Message>) {
    let message = assignment.messages.recv().await;
    (assignment, message)
}
