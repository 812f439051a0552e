//! The vectors of the processor.

use std::sync::atomic::{AtomicBool, Ordering};

use pulp::Arch;

static WITHOUT: AtomicBool = AtomicBool::new(false);

/// Computes from now on as on a processor that has no wide vectors, or with those of this one again. For measurements: the
/// numbers change by rounding only.
#[doc(hidden)]
pub fn without_vectors(without: bool) {
    WITHOUT.store(without, Ordering::Relaxed);
}

/// Whether to compute so.
#[inline(always)]
pub(super) fn are_off() -> bool {
    WITHOUT.load(Ordering::Relaxed)
}

/// What this processor has.
#[inline(always)]
pub(super) fn arch() -> Arch {
    if are_off() { Arch::Scalar } else { Arch::new() }
}

/// Runs a loop with the widest vectors of this processor.
#[inline(always)]
pub(super) fn vectorized<T>(work: impl FnOnce() -> T) -> T {
    arch().dispatch(work)
}
