//! Files that are written whole or not at all.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result, bail, error};

/// The first bytes of a Git LFS pointer, the small file that replaces a large one.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Lets `write` fill a temporary file next to `path`, then moves it to `path`.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write(&temporary).and_then(|()| std::fs::rename(&temporary, path).map_err(|e| cannot_write(path, e)));
    written.inspect_err(|_| {
        // The writing error matters; a leftover temporary file does not.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// The error for a file that cannot be written.
pub fn cannot_write(path: &Path, why: impl std::fmt::Display) -> Error {
    error!(File, "cannot write {}: {why}: is the folder there and writable?", path.display())
}

/// The bytes of a file; a Git LFS pointer is an error.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    refuse_pointer(path)?;
    std::fs::read(path).map_err(|e| cannot_read(path, e))
}

/// The content of a text file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|e| error!(File, "{} is not UTF-8: {e}: fetch it again", path.display()))
}

/// An error if the file is a Git LFS pointer.
pub(crate) fn refuse_pointer(path: &Path) -> Result<()> {
    let mut start = Vec::with_capacity(LFS_POINTER.len());
    let file = std::fs::File::open(path).map_err(|e| cannot_read(path, e))?;
    file.take(LFS_POINTER.len() as u64).read_to_end(&mut start).map_err(|e| cannot_read(path, e))?;
    if start == LFS_POINTER {
        bail!(
            File,
            "{} is a Git LFS pointer, a few lines that stand for the file: fetch the file itself with `git lfs pull`, \
             or download it again",
            path.display()
        )
    }
    Ok(())
}

fn cannot_read(path: &Path, why: std::io::Error) -> Error {
    error!(File, "cannot read {}: {why}", path.display())
}
