//! Files that are complete or not there.

use std::path::Path;

use crate::error::{Error, Result, error};

/// Lets `write` fill a temporary file beside `path`, then moves it into place.
pub(crate) fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write(&temporary).and_then(|()| std::fs::rename(&temporary, path).map_err(|e| cannot_write(path, e)));
    written.inspect_err(|_| {
        // The error that matters is the one of writing; a leftover is only litter.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// The error of a file that cannot be written.
pub(crate) fn cannot_write(path: &Path, why: impl std::fmt::Display) -> Error {
    error!(File, "cannot write {}: {why}: is the folder there and writable?", path.display())
}
