//! The bodies of requests in memory: how many bytes at once, and the threads that read large ones.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// A body of more bytes waits for room, and is read in another thread so that the connections of its lane need not
/// wait.
pub(crate) const LARGE: usize = 16 << 10;
/// Room for the larger bodies of all connections together, from their first byte to their answer.
const BODIES: Pool = Pool { bytes: 48 << 20, unit: 1 << 10 };
/// Room for what is parsed from them.
const READING: Pool = Pool { bytes: 96 << 20, unit: 1 << 10 };
/// One byte of a body takes up to this many when parsed: `[],` is a value of about a hundred, a text's piece has its
/// word.
const BYTES_OF_A_BYTE: usize = 100;
/// How long a body waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

static BODIES_ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| BODIES.semaphore());
static READING_ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| READING.semaphore());

/// A number of bytes, counted in units.
struct Pool {
    bytes: usize,
    unit: usize,
}

impl Pool {
    fn semaphore(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.bytes / self.unit))
    }

    /// The units of this many bytes, at most all there are.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.bytes).div_ceil(self.unit)).unwrap_or(u32::MAX)
    }
}

/// The room of a body, given back when this is dropped.
pub(crate) struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// The room of a small body, which needs none.
    pub(crate) fn none() -> Self {
        Self { _permit: None }
    }

    /// Waits for room for this many bytes. What a client sends meanwhile stays in its connection.
    pub(crate) async fn of(bytes: usize) -> Result<Self, Failure> {
        if bytes <= LARGE {
            return Ok(Self::none());
        }
        let acquired = BODIES_ROOM.clone().acquire_many_owned(BODIES.units(bytes));
        match tokio::time::timeout(PATIENCE, acquired).await {
            Ok(permit) => Ok(Self { _permit: permit.ok() }),
            Err(_) => Err(Failure::unavailable(format!(
                "other large bodies took all the room for {} seconds: try again, or send fewer rows at once",
                PATIENCE.as_secs()
            ))),
        }
    }
}

/// Reads a body of this many bytes: in this thread, or in one of its own if it is large.
pub(crate) async fn read<T: Send + 'static>(
    bytes: usize,
    reading: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= LARGE {
        return reading.await;
    }
    let weight = READING.units(bytes.saturating_mul(BYTES_OF_A_BYTE));
    let room = READING_ROOM.clone().acquire_many_owned(weight).await;
    let lane = Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        let read = lane.block_on(reading);
        drop(room);
        read
    });
    read.await.unwrap_or_else(|_| Err(Failure::internal("the body could not be read; the server's log says why")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_share_one_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let most = BODIES.bytes;
            let room = Room::of(most + 1).await.unwrap();
            assert!(Room::of(LARGE).await.is_ok(), "small bodies need none");
            let waits = tokio::time::timeout(Duration::from_millis(20), Room::of(LARGE + 1)).await;
            assert!(waits.is_err(), "there is no room beside a body that fills it");
            drop(room);
            let halves = [Room::of(most / 2).await.unwrap(), Room::of(most / 2).await.unwrap()];
            assert!(tokio::time::timeout(Duration::from_millis(20), Room::of(LARGE + 1)).await.is_err());
            drop(halves);
        });
    }
}
