//! The file by which a notebook's kernel asks the cell to stop.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::error::{Result, bail};

/// The variable that names the file. It exists from the moment when the user asks until the cell has ended.
const FILE: &str = "CANDLE_EXPLAIN_INTERRUPT";
/// How many microseconds lie between two looks for a file that was not there.
const BETWEEN_LOOKS: u64 = 50_000;

struct Watch {
    file: PathBuf,
    started: Instant,
    /// When the next look is due, in microseconds since the start.
    next: AtomicU64,
}

fn watch() -> Option<&'static Watch> {
    static WATCH: OnceLock<Option<Watch>> = OnceLock::new();
    let of_environment = || {
        let file = std::env::var_os(FILE).filter(|file| !file.is_empty())?;
        Some(Watch { file: file.into(), started: Instant::now(), next: AtomicU64::new(0) })
    };
    WATCH.get_or_init(of_environment).as_ref()
}

/// Whether there is a kernel that may ask.
pub(crate) fn may_come() -> bool {
    watch().is_some()
}

/// An error once the user has asked the cell to stop. Long work calls it between its passes.
pub(crate) fn check() -> Result<()> {
    match watch() {
        Some(watch) if watch.finds_it() => {
            bail!(Cancelled, "interrupted: the cell was asked to stop; variables are kept")
        }
        _ => Ok(()),
    }
}

impl Watch {
    fn finds_it(&self) -> bool {
        let now = self.started.elapsed().as_micros() as u64;
        if now < self.next.load(Ordering::Relaxed) {
            return false;
        }
        let there = self.file.exists();
        // As long as it is there, every pass finds it.
        if !there {
            self.next.store(now + BETWEEN_LOOKS, Ordering::Relaxed);
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_there_is_looked_for_again_after_a_while() {
        let file = std::env::temp_dir().join(format!("candle-explain-interrupt-{}", std::process::id()));
        let mut watch = Watch { file: file.clone(), started: Instant::now(), next: AtomicU64::new(0) };
        assert!(!watch.finds_it());
        std::fs::write(&file, "").unwrap();
        *watch.next.get_mut() = u64::MAX;
        assert!(!watch.finds_it());
        *watch.next.get_mut() = 0;
        assert!(watch.finds_it() && watch.finds_it());
        std::fs::remove_file(&file).unwrap();
        assert!(!watch.finds_it());
    }
}
