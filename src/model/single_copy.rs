//! Refuses to compute with two copies of the crate in one process.
//!
//! If a notebook cell links its own copy of candle, that copy numbers its tensors from 1 again, and
//! gradients are wrong without an error. The crate is a dylib so that cells share one
//! copy. If a setting defeats that, this check is an error instead of a wrong number.

use std::sync::OnceLock;

use crate::error::{Error, Result, error};

static WITNESS: &str = "CANDLE_EXPLAIN_COPY";

/// An error if another copy of this crate has already computed in this process of the kernel.
pub(crate) fn check() -> Result<()> {
    static RESULT: OnceLock<Option<Error>> = OnceLock::new();
    match RESULT.get_or_init(|| witness(std::env::var_os("EVCXR_IS_RUNTIME").is_some())) {
        None => Ok(()),
        Some(error) => Err(error.clone()),
    }
}

fn witness(in_notebook: bool) -> Option<Error> {
    if !in_notebook {
        return None;
    }
    let here = format!("{}-{:p}", std::process::id(), &raw const WITNESS);
    match std::env::var(WITNESS) {
        Ok(other) if other != here && other.starts_with(&format!("{}-", std::process::id())) => Some(error!(
            Gradient,
            "two copies of candle-explain are loaded in this kernel, so gradients would be wrong: \
             restart the kernel and add the crate with one `:dep candle-explain = {{ path = \"..\" }}`, \
             with no `:dep` of candle beside it"
        )),
        _ => {
            // SAFETY: the kernel runs one cell at a time and this is the first use of the crate,
            // before any thread of it was started.
            unsafe { std::env::set_var(WITNESS, here) };
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_in_the_same_process_is_refused() {
        assert!(witness(false).is_none());
        assert!(witness(true).is_none());
        assert!(witness(true).is_none(), "the same copy again");
        let set = |value: String| {
            // SAFETY: no other test reads or writes the environment while this one runs.
            unsafe { std::env::set_var(WITNESS, value) }
        };
        set(format!("{}-0x1", std::process::id()));
        assert!(witness(true).unwrap().to_string().contains("two copies"));
        set("1-0x1".to_string());
        assert!(witness(true).is_none(), "a copy of another process is none of ours");
    }
}
