//! The reading of large bodies, where no other client waits for it.

use std::sync::{Arc, LazyLock};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Failure;
use super::lanes::cores;

/// A body of more bytes takes longer to read than a connection of the same lane should wait.
const LARGE: usize = 16 << 10;

/// As many are read at once as there are cores: each may take much memory.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(cores())));

/// Reads a body of so many bytes: in this thread, or in one of its own if they are many.
pub(crate) async fn read<T: Send + 'static>(
    bytes: usize,
    reading: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= LARGE {
        return reading.await;
    }
    let room = ROOM.clone().acquire_owned().await;
    let lane = Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        let read = lane.block_on(reading);
        drop(room);
        read
    });
    read.await.unwrap_or_else(|_| Err(Failure::internal("the body could not be read; the server's log says why")))
}
