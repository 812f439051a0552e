//! Where the files of models and texts are.

use std::path::{Path, PathBuf};

/// The path itself, or, if there is nothing, the same path in the crate's own folder: a notebook
/// and a program then name the shipped data alike.
pub(super) fn find(path: &Path) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if !path.exists() && path.is_relative() && own.exists() { own } else { path.to_path_buf() }
}
