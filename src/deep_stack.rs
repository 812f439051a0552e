//! Room for graphs that are walked and dropped by recursion: a stack of gigabytes, of which only
//! the used part takes memory.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, ScopedJoinHandle};

use candle_core::{DType, Device, Tensor, TensorId};

use crate::error::{Result, bail};

/// The stack sizes that are tried, the largest first: what the system grants depends on its settings.
const STACKS: [usize; 4] = [4 << 30, 1 << 30, 256 << 20, 64 << 20];
/// The stack that each tensor of a chain takes when its graph is walked or dropped, with a margin.
const STACK_BYTES_PER_TENSOR: usize = if cfg!(debug_assertions) { 4096 } else { 512 };
/// Any thread has room for a graph of this many tensors.
const FEW_TENSORS: usize = 256;

thread_local! {
    /// The bytes of this thread's stack, if it is a deep one.
    static DEEP: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whether any thread has room for a graph of this many tensors.
pub(crate) fn any_stack_holds(tensors: usize) -> bool {
    tensors <= FEW_TENSORS
}

/// The largest stack that the system grants, found once.
fn stack_bytes() -> usize {
    static GRANTED: OnceLock<usize> = OnceLock::new();
    *GRANTED.get_or_init(|| {
        let granted =
            |bytes: &&usize| Builder::new().stack_size(**bytes).spawn(|| ()).is_ok_and(|thread| thread.join().is_ok());
        STACKS.iter().find(granted).copied().unwrap_or(STACKS[STACKS.len() - 1])
    })
}

/// Starts `work` on a thread of this scope with a deep stack, or a smaller one if others have taken the room; `None` if
/// the system refuses. The thread always returns a value.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, Option<T>>> {
    let work = Arc::new(Mutex::new(Some(work)));
    let start = |bytes: usize| {
        let work = work.clone();
        let marked = move || {
            DEEP.set(Some(bytes));
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            work.map(|work| work())
        };
        Builder::new().stack_size(bytes).spawn_scoped(scope, marked).ok()
    };
    STACKS.into_iter().filter(|bytes| *bytes <= stack_bytes()).find_map(start)
}

/// Runs `work` where graphs of any reasonable depth can be walked and dropped: on this thread, if its
/// stack is already deep. The result must not hold a deep graph.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if DEEP.get().is_some() {
        return work();
    }
    std::thread::scope(|scope| match spawn(scope, work) {
        Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        None => None,
    })
    .unwrap_or_else(|| {
        bail!(
            Tensor,
            "the system gives this program no thread with a stack of {} MiB: allow it more memory or threads",
            STACKS[STACKS.len() - 1] >> 20
        )
    })
}

/// How many tensors the process had made at some moment. Those of other threads count as well, so the number made
/// since is a bound of a graph's depth, not its measure.
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

impl Mark {
    /// This moment.
    pub(crate) fn now() -> Result<Self> {
        Ok(Self(number(Tensor::zeros((), DType::U8, &Device::Cpu)?.id())))
    }

    /// How many tensors were made from this mark to `last`: at least the depth of its graph.
    fn tensors_until(self, last: &Tensor) -> usize {
        number(last.id()).saturating_sub(self.0)
    }

    /// On a deep stack, an error if the graph of `last`, begun after this mark, may be too deep for the
    /// stack. The graph then stays in memory, since nothing can drop it.
    pub(crate) fn require_room(self, last: &Tensor) -> Result<()> {
        let Some(bytes) = DEEP.get() else { return Ok(()) };
        let (tensors, room) = (self.tensors_until(last), bytes / STACK_BYTES_PER_TENSOR);
        if tensors > room && last.track_op() {
            std::mem::forget(last.clone());
            bail!(
                Tensor,
                "one pass of the model made {tensors} tensors, and there is room for a graph {room} deep: its backward \
                 is a recursion of that depth. Use a shorter input, or attribute to a layer further up"
            )
        }
        Ok(())
    }

    /// The tensor without its graph, which was begun after this mark and is dropped where there is room
    /// for it.
    pub(crate) fn without_graph(self, tensor: Tensor) -> Result<Tensor> {
        let detached = tensor.detach();
        if tensor.track_op() && self.tensors_until(&tensor) > FEW_TENSORS {
            on_deep_stack(move || {
                self.require_room(&tensor)?;
                drop(tensor);
                Ok(())
            })?;
        }
        Ok(detached)
    }
}

/// The number of a tensor: candle numbers its tensors, but shows the number only in the debug form.
fn number(id: TensorId) -> usize {
    format!("{id:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    fn chain(length: usize) -> (Mark, Tensor) {
        let mark = Mark::now().unwrap();
        let start = Var::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
        let mut end = start.as_tensor().clone();
        for _ in 0..length {
            end = end.affine(1., 0.).unwrap();
        }
        (mark, end)
    }

    #[test]
    fn a_mark_counts_what_was_made_since() {
        let (mark, end) = chain(200);
        assert!(mark.tensors_until(&end) >= 200);
        assert_eq!(Mark(usize::MAX).tensors_until(&end), 0);
    }

    #[test]
    fn a_long_chain_is_dropped_from_a_thread_with_a_small_stack() {
        let work = || {
            let (mark, end) = chain(100_000);
            mark.without_graph(end).unwrap().track_op()
        };
        let thread = Builder::new().stack_size(256 << 10).spawn(work).unwrap();
        assert!(!thread.join().unwrap());
    }

    #[test]
    fn a_graph_beyond_the_stack_is_an_error_that_tells_its_depth() {
        let (mark, end) = chain(5_000);
        on_deep_stack(|| mark.require_room(&end)).unwrap();
        DEEP.set(Some(1 << 20));
        let error = mark.require_room(&end).unwrap_err().to_string();
        assert!(error.contains("there is room for a graph"), "{error}");
    }

    #[test]
    fn a_deep_stack_is_not_taken_twice_and_panics_pass_through() {
        let outer = on_deep_stack(|| {
            let here = std::thread::current().id();
            Ok(on_deep_stack(|| Ok(std::thread::current().id()))? == here)
        });
        assert!(outer.unwrap());
        let caught = std::panic::catch_unwind(|| on_deep_stack(|| -> Result<()> { std::panic::panic_any("mine") }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
    }
}
