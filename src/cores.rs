//! How many cores a computation may use by itself.

use std::cell::Cell;
use std::sync::OnceLock;

thread_local! {
    static SHARED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread beside others of its kind, one for each core: what it computes takes one core.
pub(crate) fn beside_others<T>(work: impl FnOnce() -> T) -> T {
    let before = SHARED.replace(true);
    let result = work();
    SHARED.set(before);
    result
}

/// The cores that a computation on this thread may use.
pub(crate) fn free() -> usize {
    if SHARED.get() { 1 } else { all() }
}

/// All cores.
pub(crate) fn all() -> usize {
    // candle asks the system each time, which takes longer than a small product.
    static ALL: OnceLock<usize> = OnceLock::new();
    *ALL.get_or_init(candle_core::utils::get_num_threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_beside_others_has_one_core() {
        let all = free();
        assert!(all >= 1);
        assert_eq!(beside_others(|| (free(), beside_others(free), free())), (1, 1, 1));
        assert_eq!(free(), all);
    }
}
