//! [`Receivers`]: the threads that cameras are received on.

use std::future::Future;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::config::Transport;

use super::beat::{Beat, Beats};

/// A camera of 3 Mbit/s takes about a thousandth of a core to receive.
const CAMERAS_PER_THREAD: usize = 500;
/// More than a box has cores for.
const THREADS_MAX: usize = 8;

/// Threads that look at their cameras' sockets on a beat. One carries hundreds of cameras, and two that wake each other up
/// cost more than one; decoding and models have threads of their own.
pub struct Receivers(Vec<Receiver>);

struct Receiver {
    handle: Handle,
    /// Dropped, it ends the thread, and what still runs there.
    _stop: oneshot::Sender<()>,
}

impl Receivers {
    /// As many as so many cameras need.
    pub fn start(cameras: usize) -> std::io::Result<Self> {
        let count = (cameras / CAMERAS_PER_THREAD).clamp(1, THREADS_MAX);
        (0..count).map(Receiver::start).collect::<Result<_, _>>().map(Self)
    }

    /// Runs what receives a camera, on the thread that has the fewest to run; what comes over UDP where it is called.
    pub fn spawn(
        &self,
        transport: Transport,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let handles = self.0.iter().map(|receiver| &receiver.handle);
        match handles.min_by_key(|handle| handle.metrics().num_alive_tasks()) {
            Some(calmest) if transport == Transport::Tcp => calmest.spawn(task),
            _ => tokio::spawn(task),
        }
    }
}

impl Receiver {
    fn start(index: usize) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let run = move || {
            let beat = Beat::begin();
            let runtime =
                Builder::new_current_thread().enable_all().on_thread_park(move || beat.rest()).build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let _ = tell.send(Ok(runtime.handle().clone()));
            runtime.block_on(async {
                let beats = Beats::here();
                tokio::select! {
                    _ = stopped => {} // An error is what it waits for: the sender is gone.
                    () = beats.keep() => {}
                }
            });
        };
        std::thread::Builder::new().name(format!("receive-{index}")).spawn(run)?;
        let handle = told.recv().map_err(std::io::Error::other)??;
        Ok(Self { handle, _stop: stop })
    }
}
