//! Small files that were read before, for as long as they are the same.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

const MOST_FILES: usize = 64;
const MOST_BYTES: usize = 64 << 10;
/// Two changes within the clock's grain cannot be told apart: what has just changed is read again.
const SETTLED: Duration = Duration::from_secs(2);

/// Small files that were read before.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<Files>);

type Files = HashMap<PathBuf, (Identity, Arc<[u8]>)>;

/// A file and its state: the system gives it another one with every change, of its permissions too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Identity {
    fn from(facts: &Metadata) -> Self {
        Self {
            device: facts.dev(),
            number: facts.ino(),
            bytes: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

impl Identity {
    fn is_settled(&self) -> bool {
        let last = self.modified.max(self.changed).0;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(SETTLED).is_some_and(|then| last < then.as_secs() as i64)
    }
}

impl Remembered {
    /// What the file at a path holds, if it is one that was read, unchanged.
    pub(crate) fn get(&self, path: &Path) -> Option<Arc<[u8]>> {
        let (then, bytes) = self.files().get(path).cloned()?;
        let now = Identity::from(&std::fs::metadata(path).ok()?);
        (now == then).then_some(bytes)
    }

    /// Remembers what was read from a file after these facts were known of it.
    pub(crate) fn keep(&self, path: &Path, facts: &Metadata, bytes: &Arc<[u8]>) {
        let identity = Identity::from(facts);
        if bytes.len() > MOST_BYTES || bytes.len() as u64 != identity.bytes || !identity.is_settled() {
            return;
        }
        let mut files = self.files();
        if files.len() >= MOST_FILES {
            files.clear();
        }
        files.insert(path.to_path_buf(), (identity, bytes.clone()));
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// A file that last changed `age` ago as far as its times tell, whose change of state is now.
    fn write(path: &Path, content: &str, age: Duration) -> Metadata {
        std::fs::write(path, content).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        std::fs::metadata(path).unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("candle-explain-remembered-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_has_just_changed_is_not_remembered() {
        let folder = folder("young");
        let path = folder.join("a.csv");
        // The time of modification can be set back; that of the change cannot.
        let facts = write(&path, "a\n1\n", Duration::from_secs(100));
        let remembered = Remembered::default();
        remembered.keep(&path, &facts, &Arc::from(&b"a\n1\n"[..]));
        assert_eq!(remembered.get(&path), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_is_remembered_until_it_changes() {
        let folder = folder("old");
        let [path, large, other] = ["a.csv", "large.csv", "b.csv"].map(|name| folder.join(name));
        let facts = write(&path, "a\n1\n", Duration::ZERO);
        let long = "a\n".repeat(MOST_BYTES);
        let facts_of_large = write(&large, &long, Duration::ZERO);
        write(&other, "a\n2\n", Duration::ZERO);
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
        let remembered = Remembered::default();
        remembered.keep(&path, &facts, &Arc::from(&b"a\n1\n"[..]));
        remembered.keep(&large, &facts_of_large, &Arc::from(long.as_bytes()));
        assert_eq!(remembered.get(&path).as_deref(), Some(&b"a\n1\n"[..]));
        assert_eq!((remembered.get(&large), remembered.get(&other)), (None, None));
        // The same size and time of modification.
        std::fs::write(&path, "a\n3\n").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(facts.modified().unwrap()).unwrap();
        assert_eq!(remembered.get(&path), None);
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(remembered.get(&path), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(remembered.get(&path), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_memory_is_bounded() {
        let folder = folder("many");
        let path = folder.join("a.csv");
        let facts = write(&path, "a\n1\n", Duration::ZERO);
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
        let remembered = Remembered::default();
        for number in 0..3 * MOST_FILES {
            remembered.keep(&folder.join(number.to_string()), &facts, &Arc::from(&b"a\n1\n"[..]));
        }
        assert!((1..=MOST_FILES).contains(&remembered.files().len()));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
