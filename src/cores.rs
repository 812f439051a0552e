//! How many cores a computation may use by itself.

use std::cell::Cell;
use std::sync::OnceLock;

use rayon::prelude::*;

thread_local! {
    /// The cores of this thread, where it has not all.
    static OWN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `work` on a thread beside others of its kind, one for each core: what it computes takes one core.
pub(crate) fn beside_others<T>(work: impl FnOnce() -> T) -> T {
    with(1, work)
}

/// Runs `work` on one of so many threads, which share the cores that are free.
pub(crate) fn as_one_of<T>(threads: usize, cores: usize, work: impl FnOnce() -> T) -> T {
    with((cores / threads.max(1)).max(1), work)
}

fn with<T>(cores: usize, work: impl FnOnce() -> T) -> T {
    let before = OWN.replace(Some(cores));
    let result = work();
    OWN.set(before);
    result
}

/// The cores that a computation on this thread may use.
pub(crate) fn free() -> usize {
    OWN.get().unwrap_or_else(all)
}

/// All cores.
pub(crate) fn all() -> usize {
    // candle asks the system each time, which takes longer than a small product.
    static ALL: OnceLock<usize> = OnceLock::new();
    *ALL.get_or_init(candle_core::utils::get_num_threads)
}

/// Runs `work` on all parts, on the cores that are free.
pub(crate) fn each<P: Send, E: Send>(
    mut parts: impl Iterator<Item = P>,
    work: impl Fn(P) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if free() == 1 {
        return parts.try_for_each(work);
    }
    let parts: Vec<P> = parts.collect();
    parts.into_par_iter().try_for_each(|part| beside_others(|| work(part)))
}

/// How many numbers each core gets of so many.
pub(crate) fn share(numbers: usize) -> usize {
    numbers.div_ceil(free()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_shared_and_the_first_failure_is_told() {
        let mut numbers = vec![1; 1000];
        each(numbers.chunks_mut(share(1000)), |part| {
            assert_eq!(free(), 1);
            part.iter_mut().for_each(|number| *number += 1);
            Ok::<_, ()>(())
        })
        .unwrap();
        assert_eq!(numbers, vec![2; 1000]);
        assert_eq!(each([1, 2].into_iter(), |part| if part == 2 { Err(part) } else { Ok(()) }), Err(2));
        assert_eq!(beside_others(|| share(1000)), 1000);
    }

    #[test]
    fn who_works_beside_others_has_one_core() {
        let all = free();
        assert!(all >= 1);
        assert_eq!(beside_others(|| (free(), beside_others(free), free())), (1, 1, 1));
        assert_eq!(free(), all);
    }

    #[test]
    fn threads_share_the_cores() {
        for (threads, cores, own) in [(2, 8, 4), (2, 7, 3), (8, 2, 1), (1, 4, 4), (3, 3, 1)] {
            assert_eq!(as_one_of(threads, cores, || (free(), beside_others(free), free())), (own, 1, own));
        }
    }
}
