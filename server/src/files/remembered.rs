//! Small files that were read before, kept while they are unchanged.
//!
//! Only files directly in the folder are kept: no link leads to them, and no folder on the way can be
//! replaced by another.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

const MOST_FILES: usize = 64;
const MOST_BYTES: usize = 64 << 10;
/// Two changes within the clock's resolution look the same, so a file that has just changed is read again.
const SETTLED: Duration = Duration::from_secs(2);

/// Small files of one folder that were read before.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<Files>);

type Files = HashMap<PathBuf, (Identity, Arc<[u8]>)>;

/// A file and its state, which the system changes with every write and with the permissions. (Writing
/// through a memory mapping may not change it.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: (u32, u32),
    inode: u64,
    bytes: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Identity {
    /// The identity of an open file that has not just changed.
    pub(crate) fn of_settled(file: impl AsFd) -> Option<Self> {
        Self::of(file, Path::new("")).filter(Self::is_settled)
    }

    /// The identity of a file in a folder. It asks the server of a network file system too, since this machine's
    /// copy may be old.
    #[cfg(target_os = "linux")]
    fn of(folder: impl AsFd, path: &Path) -> Option<Self> {
        use rustix::fs::{AtFlags, StatxFlags, statx};

        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
        let facts = statx(folder, path, flags, StatxFlags::BASIC_STATS).ok()?;
        Some(Self {
            device: (facts.stx_dev_major, facts.stx_dev_minor),
            inode: facts.stx_ino,
            bytes: facts.stx_size,
            modified: (facts.stx_mtime.tv_sec, facts.stx_mtime.tv_nsec),
            changed: (facts.stx_ctime.tv_sec, facts.stx_ctime.tv_nsec),
        })
    }

    /// `None`: other systems cannot be made to ask, so nothing is remembered there.
    #[cfg(not(target_os = "linux"))]
    fn of(_folder: impl AsFd, _path: &Path) -> Option<Self> {
        None
    }

    fn is_settled(&self) -> bool {
        let last = self.modified.max(self.changed).0;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(SETTLED).is_some_and(|then| last < then.as_secs() as i64)
    }
}

impl Remembered {
    /// The content of a file in the folder, if it was read before and is unchanged.
    pub(crate) fn get(&self, folder: impl AsFd, path: &Path) -> Option<Arc<[u8]>> {
        let (then, bytes) = self.files().get(path).cloned()?;
        let now = Identity::of(folder, path)?;
        (now == then).then_some(bytes)
    }

    /// Remembers the content of a file that had this identity when it was opened.
    pub(crate) fn keep(&self, path: &Path, identity: Identity, bytes: &Arc<[u8]>) {
        let mut parts = path.components();
        let lies_in_the_folder = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !lies_in_the_folder || bytes.len() > MOST_BYTES || bytes.len() as u64 != identity.bytes {
            return;
        }
        let mut files = self.files();
        if files.len() >= MOST_FILES && !files.contains_key(path) {
            files.clear();
        }
        files.insert(path.to_path_buf(), (identity, bytes.clone()));
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::File;

    use super::*;

    const TABLE: &[u8] = b"a\n1\n";

    struct Folder {
        path: PathBuf,
        open: File,
        remembered: Remembered,
    }

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("candle-explain-remembered-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self { open: File::open(&path).unwrap(), path, remembered: Remembered::default() }
        }

        fn write(&self, name: &str, content: &[u8]) -> Identity {
            std::fs::write(self.path.join(name), content).unwrap();
            Identity::of(&self.open, Path::new(name)).unwrap()
        }

        fn keep(&self, name: &str, identity: Identity, content: &[u8]) {
            self.remembered.keep(Path::new(name), identity, &Arc::from(content));
        }

        fn get(&self, name: &str) -> Option<Arc<[u8]>> {
            self.remembered.get(&self.open, Path::new(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }

    fn settle() {
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
    }

    #[test]
    fn what_has_just_changed_is_not_remembered() {
        let folder = Folder::new("young");
        folder.write("a.csv", TABLE);
        // The time of modification can be set back; that of the change cannot.
        let file = File::options().write(true).open(folder.path.join("a.csv")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        assert_eq!(Identity::of_settled(&file), None);
    }

    #[test]
    fn a_file_is_remembered_until_it_changes() {
        let folder = Folder::new("old");
        let long = b"a\n".repeat(MOST_BYTES);
        let (small, large) = (folder.write("a.csv", TABLE), folder.write("large.csv", &long));
        let others = ["b.csv", "c.csv", "d.csv"].map(|name| (name, folder.write(name, TABLE)));
        settle();
        others[1..].iter().for_each(|(name, identity)| folder.keep(name, *identity, TABLE));
        folder.keep("a.csv", small, TABLE);
        folder.keep("large.csv", large, &long);
        assert_eq!(folder.get("a.csv").as_deref(), Some(TABLE));
        assert_eq!((folder.get("large.csv"), folder.get("b.csv")), (None, None));
        let path = folder.path.join("a.csv");
        let before = path.metadata().unwrap().modified().unwrap();
        // The same size and time of modification.
        folder.write("a.csv", b"a\n3\n");
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        assert_eq!(folder.get("a.csv"), None);
        assert!(folder.get("c.csv").is_some());
        std::fs::rename(folder.path.join("b.csv"), folder.path.join("c.csv")).unwrap();
        assert_eq!(folder.get("c.csv"), None);
        assert!(folder.get("d.csv").is_some());
        std::fs::remove_file(folder.path.join("d.csv")).unwrap();
        assert_eq!(folder.get("d.csv"), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let folder = Folder::new("many");
        let identity = folder.write("a.csv", TABLE);
        settle();
        (0..3 * MOST_FILES).for_each(|number| folder.keep(&number.to_string(), identity, TABLE));
        assert!((1..=MOST_FILES).contains(&folder.remembered.files().len()));
    }
}
