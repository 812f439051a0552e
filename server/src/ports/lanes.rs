//! Threads that answer requests, each with its own connections.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_explain::{Error, Result, error};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Several for each core, so that a busy one holds up few connections.
const LANES_OF_A_CORE: usize = 4;
/// With more cores than this, one for each: a lane takes four open files.
const ENOUGH: usize = 32;

/// Threads that answer requests. A connection stays in its lane, because passing
/// requests between threads takes longer than a small prediction.
pub(crate) struct Lanes {
    lanes: Vec<Handle>,
    next: AtomicUsize,
    /// The threads end when this is dropped.
    _open: watch::Sender<()>,
}

impl Lanes {
    pub(crate) fn start() -> Result<Self> {
        let cores = cores();
        let (open, is_open) = watch::channel(());
        let count = (cores * LANES_OF_A_CORE).min(ENOUGH).max(cores);
        let lanes = (0..count).map(|number| start(number, is_open.clone()));
        Ok(Self { lanes: lanes.collect::<Result<_>>()?, next: AtomicUsize::new(0), _open: open })
    }

    /// Serves a connection in the lane whose turn it is. The stream must not block.
    pub(crate) fn put<S, F>(&self, stream: TcpStream, serve: S)
    where
        S: FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        self.lanes[turn].spawn(async move {
            // If there is no room for one more, it is closed, which its client sees.
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                serve(stream).await;
            }
        });
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn start(number: usize, mut is_open: watch::Receiver<()>) -> Result<Handle> {
    let failed = |e: std::io::Error| -> Error { error!(Input, "the server's threads could not be started: {e}") };
    let events = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = events.handle().clone();
    let run = move || {
        // An error means that the sender is gone.
        let _ = events.block_on(is_open.changed());
        events.shutdown_background();
    };
    std::thread::Builder::new().name(format!("lane {number}")).spawn(run).map_err(failed)?;
    Ok(handle)
}
