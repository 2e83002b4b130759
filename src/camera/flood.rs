//! [`unless_flooded`]: no camera may fill the memory of all with a message that never ends.
//!
//! The RTSP library keeps what it has of a message (a header line, a body, a picture of many packets) until the rest has come,
//! without a limit, reads a line from its beginning whenever more of it has come, and shows neither how much that is nor its
//! socket. So what is watched is what must not happen: that one wait keeps a network thread busy, or that this process grows
//! while it is woken again and again and comes to nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::processor::resident_bytes;

/// How often it is looked, once the wait has become long.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time of a network thread that one wait may take: an honest answer or picture takes a thousandth.
const BUSY_MAX: Duration = Duration::from_secs(1);
/// Wake-ups of one wait below which little can have come: an honest answer takes some twenty.
const WAKES_MIN: u32 = 128;
/// Growth of the process that is not this camera's right: 10 s of video of all but the largest cameras are less.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// Of the 128 reads from a socket that tokio lets a task do before others have their turn, those that are not for a camera:
/// one wake-up of an honest camera brings a few reads, and each of another's may take a tenth of a second.
const READS_WITHHELD: usize = 112;

/// A wait was given up because it took too much of what belongs to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded;

/// The result of `work`, unless it keeps the thread busy for more than [`BUSY_MAX`] in all, or it takes longer than `patience`,
/// keeps being woken by its socket, and the process grows by more than [`GROWTH_BYTES_MAX`] meanwhile. That others make it grow
/// is possible (many cameras that have just started fill their rings); then a camera that is slow at that very moment is
/// connected once more than needed.
pub async fn unless_flooded<W: Future>(work: W, patience: Duration) -> Result<W::Output, Flooded> {
    let mut work = pin!(work);
    let (mut wakes, mut busy) = (0u32, Duration::ZERO);
    let (mut before, mut pause) = (None, patience);
    loop {
        let step = poll_fn(|context| {
            withhold_reads(context);
            let began = Instant::now();
            let polled = work.as_mut().poll(context).map(Ok);
            wakes = wakes.saturating_add(1);
            busy += began.elapsed();
            if polled.is_pending() && busy > BUSY_MAX { Poll::Ready(Err(Flooded)) } else { polled }
        });
        tokio::select! {
            done = step => return done,
            () = tokio::time::sleep(pause) => {
                // A camera that is merely silent is not worth asking the system for, once it is known where it began.
                let begin = *before.get_or_insert_with(resident_bytes);
                if wakes > WAKES_MIN && resident_bytes().saturating_sub(begin) > GROWTH_BYTES_MAX {
                    return Err(Flooded);
                }
                pause = LOOK_EVERY;
            }
        }
    }
}

/// Uses up most of what the task may read before others have their turn.
fn withhold_reads(context: &mut Context<'_>) {
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
        let patience = Duration::from_millis(10);
        assert_eq!(unless_flooded(hoard(2000, 1 << 20), patience).await, Err(Flooded));
        assert_eq!(unless_flooded(hoard(300, 1), patience).await, Ok(300));
        let busy = poll_fn(|context| -> Poll<()> {
            std::thread::sleep(Duration::from_millis(50));
            context.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(unless_flooded(busy, Duration::from_secs(600)).await, Err(Flooded));
    }
}
