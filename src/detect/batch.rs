//! The queue before one model's session: pictures of all cameras, earliest deadline first, taken in batches.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::DetectError;
use crate::detection::Detection;
use crate::frame::Picture;

/// One picture to analyse, and where the answer goes.
pub struct Job {
    /// The picture.
    pub picture: Picture,
    /// When the answer is wanted.
    pub deadline: Instant,
    /// Where the answer goes.
    pub reply: Sender<Result<Vec<Detection>, DetectError>>,
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Job {}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Job {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline.cmp(&other.deadline)
    }
}

#[derive(Default)]
struct Line {
    jobs: BinaryHeap<Reverse<Job>>,
    /// Nobody will ask, or nobody will answer, any more.
    closed: bool,
}

/// What waits for a session. Whoever asks waits for the answer, so there are never more pictures than threads that ask.
#[derive(Default)]
pub struct Queue {
    line: Mutex<Line>,
    more: Condvar,
}

impl Queue {
    /// Adds a picture; gives it back if nobody will answer any more.
    pub fn add(&self, job: Job) -> Result<(), Box<Job>> {
        let mut line = self.lock();
        if line.closed {
            return Err(Box::new(job));
        }
        line.jobs.push(Reverse(job));
        self.more.notify_one();
        Ok(())
    }

    /// Lets go of what waits; from now on nothing is taken.
    pub fn close(&self) {
        let mut line = self.lock();
        line.closed = true;
        line.jobs.clear();
        self.more.notify_all();
    }

    /// How many pictures wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// The most urgent pictures, at least one and at most `pictures_max`; `None` when the queue is closed.
    ///
    /// It waits for the batch to fill up as long as no deadline suffers, and never longer than half of a run (`run` is
    /// how long one takes): while one batch runs, the next one fills anyway.
    pub fn next(&self, pictures_max: usize, run: Duration) -> Option<Vec<Job>> {
        let mut line = self.lock();
        while line.jobs.is_empty() {
            if line.closed {
                return None;
            }
            line = self.more.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        let full_by = Instant::now() + run / 2;
        while line.jobs.len() < pictures_max && !line.closed {
            let in_time = line.jobs.peek().and_then(|Reverse(job)| job.deadline.checked_sub(run));
            let wait = in_time
                .map_or(Duration::ZERO, |by| full_by.min(by).saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                break;
            }
            line = self.more.wait_timeout(line, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(std::iter::from_fn(|| line.jobs.pop()).take(pictures_max).map(|Reverse(job)| job).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Every change is a single push or pop.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Captured, Clock};

    fn job(number: u64, deadline: Instant) -> Job {
        let media = Duration::from_secs(number);
        let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File };
        let picture = Picture {
            captured,
            width: 0,
            height: 0,
            y: [].into(),
            u: [].into(),
            v: [].into(),
            full_range: false,
        };
        Job { picture, deadline, reply: crossbeam_channel::bounded(1).0 }
    }

    fn numbers(jobs: &[Job]) -> Vec<u64> {
        jobs.iter().map(|job| job.picture.captured.media.as_secs()).collect()
    }

    #[test]
    fn the_most_urgent_go_first_and_together() {
        let queue = Queue::default();
        let soon = Instant::now() + Duration::from_secs(60);
        for number in [3, 1, 4, 2, 5] {
            assert!(queue.add(job(number, soon + Duration::from_secs(number))).is_ok());
        }
        let run = Duration::from_millis(1);
        assert_eq!(numbers(&queue.next(3, run).unwrap()), [1, 2, 3]);
        assert_eq!(queue.len(), 2);
        // Not full: what there is goes after half a run.
        assert_eq!(numbers(&queue.next(3, run).unwrap()), [4, 5]);
        queue.close();
        assert!(queue.next(3, run).is_none());
        assert!(queue.add(job(6, soon)).is_err());
    }

    #[test]
    fn a_batch_waits_for_company_unless_its_deadline_is_near() {
        let queue = std::sync::Arc::new(Queue::default());
        let run = Duration::from_secs(20);
        // Overdue: it goes at once, alone, although a run is long.
        assert!(queue.add(job(1, Instant::now())).is_ok());
        let began = Instant::now();
        assert_eq!(numbers(&queue.next(4, run).unwrap()), [1]);
        assert!(began.elapsed() < Duration::from_secs(5));
        // Time enough: the other three are waited for.
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(queue.add(job(1, later)).is_ok());
        let others = std::sync::Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            for number in 2..=4 {
                std::thread::sleep(Duration::from_millis(20));
                assert!(others.add(job(number, later)).is_ok());
            }
        });
        let mut together = numbers(&queue.next(4, run).unwrap());
        together.sort_unstable();
        assert_eq!(together, [1, 2, 3, 4]);
        thread.join().unwrap();
    }
}
