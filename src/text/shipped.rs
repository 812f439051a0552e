//! Where the files of models and texts are.

use std::path::{Path, PathBuf};

/// The path itself or, if it does not exist, the same path in the crate's own folder. So notebooks
/// and programs can use the same paths for shipped data.
pub(super) fn find(path: &Path) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if !path.exists() && path.is_relative() && own.exists() { own } else { path.to_path_buf() }
}
