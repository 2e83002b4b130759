//! [`Beats`]: how often sockets are looked at, for all cameras of a thread together instead of whenever a packet comes.
//!
//! To be woken up costs more than what a picture's packets have to say. What comes between two beats waits in the socket, and
//! TCP slows the sender down when that is full. UDP would lose it: such cameras know no beat.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How soon what comes is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// Nothing is decided by a picture that comes now: some of them at a time.
    AtLeisure,
    /// Something may be: a fraction of what decoding and looking at it takes.
    Promptly,
}

impl Haste {
    const ALL: [Self; 2] = [Self::AtLeisure, Self::Promptly];

    const fn every(self) -> Duration {
        Duration::from_millis(match self {
            Self::AtLeisure => 100,
            Self::Promptly => 20,
        })
    }
}

/// What gives a thread's beat.
pub struct Beat {
    began: Instant,
    /// Who waits, and when the next of their beats is, in milliseconds since the beginning.
    waiting: [(Notify, AtomicU64); 2],
}

thread_local! {
    /// The beat of this thread, if it has one.
    static HERE: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

impl Beat {
    /// A beat for this thread, which must [`Beat::rest`] whenever it has nothing to do, and [`Beats::keep`] it.
    pub fn begin() -> Arc<Self> {
        let waiting = Haste::ALL.map(|_| (Notify::new(), AtomicU64::new(0)));
        let beat = Arc::new(Self { began: Instant::now(), waiting });
        HERE.set(Some(Arc::clone(&beat)));
        beat
    }

    /// Sleeps until the next beat, and wakes whose it is.
    pub fn rest(&self) {
        std::thread::sleep(Haste::Promptly.every());
        let now_ms = self.began.elapsed().as_millis() as u64;
        for (haste, (who, next_ms)) in Haste::ALL.into_iter().zip(&self.waiting) {
            if now_ms >= next_ms.load(Relaxed) {
                next_ms.store(now_ms + haste.every().as_millis() as u64, Relaxed);
                who.notify_waiters();
            }
        }
    }
}

/// The beats of the thread that this was made on; on one without, a time like theirs.
pub struct Beats(Option<Arc<Beat>>);

impl Beats {
    /// Those of this thread.
    pub fn here() -> Self {
        Self(HERE.with_borrow(Clone::clone))
    }

    /// Keeps them going: a thread that nothing wakes would rest once and then sleep for good.
    pub async fn keep(&self) {
        loop {
            self.next(Haste::Promptly).await;
        }
    }

    /// Waits for the next one.
    pub async fn next(&self, haste: Haste) {
        match &self.0 {
            Some(beat) => beat.waiting[haste as usize].0.notified().await,
            None => tokio::time::sleep(haste.every()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beats within 300 ms on a thread of its own.
    fn counted(haste: Haste) -> u32 {
        let count = move || {
            let beat = Beat::begin();
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.on_thread_park(move || beat.rest()).build().unwrap().block_on(async {
                let (beats, began, mut count) = (Beats::here(), Instant::now(), 0);
                let counting = async {
                    while began.elapsed() < Duration::from_millis(300) {
                        beats.next(haste).await;
                        count += 1;
                    }
                };
                tokio::select! {
                    () = counting => {}
                    () = beats.keep() => {}
                }
                count
            })
        };
        std::thread::spawn(count).join().unwrap()
    }

    #[test]
    fn each_has_its_beat() {
        // A busy machine makes them rarer, none more frequent.
        let (leisure, prompt) = (counted(Haste::AtLeisure), counted(Haste::Promptly));
        assert!((1..=4).contains(&leisure) && (1..=16).contains(&prompt), "{leisure} {prompt}");
    }
}
