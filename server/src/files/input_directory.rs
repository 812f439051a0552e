//! The only folder whose files clients may name.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_explain::{Result, error};
use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::fs::{Dir, OpenOptions};

use super::remembered::{Identity, Remembered};

/// A folder that is open: files are read through it, and neither `..` nor a link leads out of it.
#[derive(Clone, Debug)]
pub(crate) struct InputDirectory {
    /// The folder's path without links.
    path: PathBuf,
    folder: Arc<Dir>,
    remembered: Arc<Remembered>,
}

impl InputDirectory {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let found = path.canonicalize();
        let opened = found.and_then(|path| {
            let folder = Dir::open_ambient_dir(&path, cap_std::ambient_authority())?;
            Ok(Self { path, folder: Arc::new(folder), remembered: Arc::default() })
        });
        opened.map_err(|e| error!(File, "input_directory is {}: there is no such folder: {e}", path.display()))
    }

    /// The content of a file, or the first `most` + 1 bytes of a larger one. The path can be
    /// relative to the folder, relative to where the server was started, or absolute. `None`
    /// if it is not a file below the folder.
    pub(crate) fn read(&self, given: &str, most: usize) -> Option<Arc<[u8]>> {
        if given.contains("://") {
            return None;
        }
        let given = Path::new(given);
        self.read_below(given.strip_prefix(&self.path).unwrap_or(given), most).or_else(|| {
            let absolute = given.canonicalize().ok()?;
            self.read_below(absolute.strip_prefix(&self.path).ok()?, most)
        })
    }

    fn read_below(&self, relative: &Path, most: usize) -> Option<Arc<[u8]>> {
        // Opening, reading and closing a file takes longer than a small prediction.
        if let Some(bytes) = self.remembered.get(&self.folder, relative).filter(|bytes| bytes.len() <= most) {
            return Some(bytes);
        }
        // Without `nonblock`, opening a pipe would wait for a writer.
        let file = self.folder.open_with(relative, OpenOptions::new().read(true).nonblock(true)).ok()?;
        let facts = file.metadata().ok().filter(|facts| facts.is_file())?;
        let identity = Identity::of_settled(&file);
        let most = most.saturating_add(1);
        // Room for one byte more than there are, so that reading to the end need not grow it.
        let mut bytes =
            Vec::with_capacity(usize::try_from(facts.len()).map_or(most, |len| len.saturating_add(1).min(most)));
        file.take(most as u64).read_to_end(&mut bytes).ok()?;
        let bytes = Arc::from(bytes);
        if let Some(identity) = identity {
            self.remembered.keep(relative, identity, &bytes);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_read_is_read_again_where_another_took_its_place() {
        let outer = std::env::temp_dir().join(format!("candle-explain-places-{}", std::process::id()));
        let inside = outer.join("inside");
        std::fs::create_dir_all(inside.join("deeper")).unwrap();
        for name in ["same.csv", "rewritten.csv", "link.csv", "deeper/moved.csv"] {
            std::fs::write(inside.join(name), "a\n1\n").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(3100));
        let inputs = InputDirectory::open(&inside).unwrap();
        let read = |name| inputs.read(name, 100);
        for name in ["same.csv", "rewritten.csv", "link.csv", "deeper/moved.csv"] {
            assert_eq!(read(name).as_deref(), Some(b"a\n1\n".as_slice()), "{name}");
        }
        std::fs::write(inside.join("rewritten.csv"), "a\n2\n").unwrap();
        std::fs::rename(inside.join("link.csv"), outer.join("link.csv")).unwrap();
        std::os::unix::fs::symlink("../link.csv", inside.join("link.csv")).unwrap();
        std::fs::rename(inside.join("deeper"), outer.join("deeper")).unwrap();
        std::os::unix::fs::symlink("../deeper", inside.join("deeper")).unwrap();
        assert_eq!(read("same.csv").as_deref(), Some(b"a\n1\n".as_slice()));
        assert_eq!(inputs.read("same.csv", 2).unwrap().len(), 3);
        assert_eq!(read("rewritten.csv").as_deref(), Some(b"a\n2\n".as_slice()));
        assert_eq!((read("link.csv"), read("deeper/moved.csv")), (None, None));
        std::fs::remove_dir_all(&outer).unwrap();
    }

    #[test]
    fn no_file_outside_the_folder_is_read() {
        let temporary = std::env::temp_dir().canonicalize().unwrap();
        let outer = temporary.join(format!("candle-explain-inputs-{}", std::process::id()));
        let inside = outer.join("inside");
        std::fs::create_dir_all(inside.join("deeper")).unwrap();
        std::fs::write(outer.join("secret.csv"), "a\n1\n").unwrap();
        std::fs::write(inside.join("deeper/rows.csv"), "a\n1\n").unwrap();
        std::os::unix::fs::symlink(outer.join("secret.csv"), inside.join("link.csv")).unwrap();
        std::os::unix::fs::symlink("../inside/deeper", inside.join("out_and_in")).unwrap();
        std::os::unix::fs::symlink("deeper/rows.csv", inside.join("near.csv")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", inside.join("zero.csv")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(inside.join("pipe.csv")).status().unwrap().success());
        let inputs = InputDirectory::open(&inside).unwrap();
        let absolute = inside.join("deeper/rows.csv");
        for allowed in ["deeper/rows.csv", "near.csv", "deeper/../near.csv", absolute.to_str().unwrap()] {
            assert_eq!(inputs.read(allowed, 100).as_deref(), Some(b"a\n1\n".as_slice()), "{allowed}");
        }
        assert_eq!(inputs.read("near.csv", 2).unwrap().len(), 3);
        for outside in [
            "../secret.csv",
            "link.csv",
            "deeper",
            "deeper/../../secret.csv",
            "/etc/passwd",
            "none",
            "a\0b",
            "",
            "zero.csv",
            "pipe.csv",
            "http://127.0.0.1/rows.csv",
        ] {
            assert_eq!(inputs.read(outside, 100), None, "{outside:?}");
        }
        std::fs::remove_dir_all(&outer).unwrap();
        assert!(InputDirectory::open(&outer).unwrap_err().to_string().contains("there is no such folder"));
    }
}
