//! [`Watch`]: no camera may fill the memory of all with a message that never ends.
//!
//! The RTSP library keeps what it has of a message (a header line, a body, a picture of many packets) until the rest has come,
//! without a limit, reads a line from its beginning whenever more of it has come, and shows neither how much that is nor its
//! socket. So what is watched is what must not happen: that one wait keeps a network thread busy, or that this process grows
//! while more and more comes and it comes to nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::processor::resident_bytes;

/// How often it is looked, once the wait has become long.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time of a network thread that one wait may take: an honest answer or picture takes a thousandth.
const BUSY_MAX: Duration = Duration::from_secs(1);
/// Growth of the process that is not this camera's right: 10 s of video of all but the largest cameras are less.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// Of the 128 reads from a socket that tokio lets a task do before others have their turn, those that are not for a camera:
/// one wake-up of an honest camera brings a few reads, and each of another's may take a tenth of a second.
const READS_WITHHELD: usize = 112;

/// How patiently something is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time after which it is looked for being endless.
    pub time: Duration,
    /// How often more may come without an end: below that little can have come.
    pub steps: u32,
}

/// A wait was given up because it took too much of what belongs to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded;

/// One wait, step by step.
#[derive(Debug)]
pub struct Watch {
    patience: Patience,
    look: Instant,
    steps: u32,
    busy: Duration,
    /// What this process held when it was looked first.
    before: Option<u64>,
}

impl Watch {
    /// A wait that begins now.
    pub fn new(patience: Patience) -> Self {
        let look = Instant::now() + patience.time;
        Self { patience, look, steps: 0, busy: Duration::ZERO, before: None }
    }

    /// Goes on because something has come, unless all steps together keep the thread busy for more than [`BUSY_MAX`], or there
    /// have been too many of them and the process has grown by more than [`GROWTH_BYTES_MAX`] meanwhile. That others make it
    /// grow is possible (many cameras that have just started fill their rings); then a camera that is slow at that very moment
    /// is connected once more than needed.
    pub fn step<T>(&mut self, step: impl FnOnce() -> Poll<T>) -> Result<Poll<T>, Flooded> {
        let began = Instant::now();
        let polled = step();
        if polled.is_ready() {
            return Ok(polled);
        }
        let now = Instant::now();
        self.steps = self.steps.saturating_add(1);
        self.busy += now - began;
        if self.busy > BUSY_MAX {
            return Err(Flooded);
        }
        if now >= self.look {
            self.look = now + LOOK_EVERY;
            let before = *self.before.get_or_insert_with(resident_bytes);
            let has_grown = || resident_bytes().saturating_sub(before) > GROWTH_BYTES_MAX;
            if self.steps > self.patience.steps && has_grown() {
                return Err(Flooded);
            }
        }
        Ok(Poll::Pending)
    }
}

/// The result of `work`, unless [`Watch::step`] gives it up.
pub async fn unless_flooded<W: Future>(work: W, patience: Patience) -> Result<W::Output, Flooded> {
    let (mut work, mut watch) = (pin!(work), Watch::new(patience));
    poll_fn(|context| {
        withhold_reads(context);
        watch
            .step(|| work.as_mut().poll(context))
            .map_or_else(|flooded| Poll::Ready(Err(flooded)), |polled| polled.map(Ok))
    })
    .await
}

/// Uses up most of what the task may read before others have their turn.
pub fn withhold_reads(context: &mut Context<'_>) {
    for _ in 0..READS_WITHHELD {
        if pin!(tokio::task::coop::consume_budget()).poll(context).is_pending() {
            return; // It is woken again, with as much as ever.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a megabyte every time it is woken, which is at once.
    async fn hoard(wakes: usize, bytes: usize) -> usize {
        let mut hoard = Vec::new();
        for _ in 0..wakes {
            hoard.push(vec![1u8; bytes]);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        hoard.len()
    }

    #[tokio::test]
    async fn a_wait_that_takes_memory_is_given_up_and_no_other() {
        let patience = Patience { time: Duration::from_millis(10), steps: 128 };
        assert_eq!(unless_flooded(hoard(2000, 1 << 20), patience).await, Err(Flooded));
        assert_eq!(unless_flooded(hoard(300, 1), patience).await, Ok(300));
        let busy = poll_fn(|context| -> Poll<()> {
            std::thread::sleep(Duration::from_millis(50));
            context.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(
            unless_flooded(busy, Patience { time: Duration::from_secs(600), ..patience }).await,
            Err(Flooded)
        );
    }
}
