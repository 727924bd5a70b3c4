//! The table's file: read by anyone at any time, changed by one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::{Error, code};
use kernel::boot;

use crate::table::Table;
use deadline::lock;

/// How long another call may hold the lock; it needs it for less than a millisecond.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// The directory `host-ports`, which is the lock, with the file `claims` in it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    deadline: Duration,
}

/// What to do when the directory is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it.
    Create,
    /// Nothing: then there is no claim to remove either.
    Leave,
}

impl Store {
    pub(crate) fn under(run_dir: &Path) -> Self {
        Self { dir: run_dir.join("host-ports"), deadline: LOCK_DEADLINE }
    }

    /// The table's file, for people.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("claims")
    }

    /// The table as it is. It is replaced as a whole, so no lock is needed to read it.
    pub(crate) fn read(&self) -> Result<Table, Error> {
        let boot = boot::id().map_err(|e| Error::new(code::IO, format!("read boot id: {e}")))?;
        let bytes = match fs::read(self.path()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|e| self.failed("read", &e))?,
        };
        Ok(Table::parse(&String::from_utf8_lossy(&bytes), &boot))
    }

    /// Changes the table by `act`, and writes it unless that fails.
    pub(crate) fn change(
        &self,
        missing: Missing,
        act: impl FnOnce(&mut Table) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(dir) = self.open(missing)? else { return Ok(()) };
        lock(&dir, self.deadline).map_err(|e| self.not_locked(&e))?;
        let mut table = self.read()?;
        act(&mut table)?;
        self.write(&table).map_err(|e| self.failed("write", &e))
    }

    fn open(&self, missing: Missing) -> Result<Option<File>, Error> {
        let opened = match File::open(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => match missing {
                Missing::Leave => return Ok(None),
                Missing::Create => DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(&self.dir)
                    .and_then(|()| File::open(&self.dir)),
            },
            other => other,
        };
        opened.map(Some).map_err(|e| self.failed("open directory of", &e))
    }

    fn write(&self, table: &Table) -> io::Result<()> {
        // Only the holder of the lock writes: one name serves all, and a killed one's rest is
        // overwritten or removed by the next. After a power loss all of it is gone anyway.
        let (path, new) = (self.path(), self.dir.join("claims.new"));
        let Some(text) = table.text() else {
            return remove(&new).and_then(|()| remove(&path));
        };
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, &path)
    }

    fn failed(&self, verb: &str, error: &io::Error) -> Error {
        let text = format!("{verb} host port table {}: {error}", self.path().display());
        Error::new(code::IO, text)
    }

    fn not_locked(&self, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::TimedOut {
            return self.failed("lock", error);
        }
        let text = format!(
            "lock host port table {}: another call held it for {} s",
            self.path().display(),
            self.deadline.as_secs_f32()
        );
        Error::new(code::TRY_AGAIN, text)
            .with_hint(format!("`fuser {}` names the process; try again", self.dir.display()))
    }
}

/// Removes a file; one that is not there is gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    /// A store in a directory of its own that goes with it.
    struct Scratch(Store);

    impl Scratch {
        fn new(name: &str) -> Self {
            let run_dir = std::env::temp_dir().join(format!("cais-host-{name}-{}", process::id()));
            let mut store = Store::under(&run_dir);
            store.deadline = Duration::from_millis(20);
            Self(store)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let run_dir = self.0.dir.parent().expect("the store was made below one");
            // What is left in the temporary directory hurts nobody.
            let _ = fs::remove_dir_all(run_dir);
        }
    }

    #[test]
    fn a_lock_that_stays_taken_ends_in_error_11_and_a_freed_one_is_got() {
        let Scratch(store) = &Scratch::new("lock");
        store.change(Missing::Create, |_| Ok(())).unwrap();
        let holder = File::open(&store.dir).unwrap();
        holder.lock().unwrap();
        let error = store.change(Missing::Create, |_| panic!("without the lock")).unwrap_err();
        assert_eq!(error.code, code::TRY_AGAIN);
        assert!(error.msg.ends_with("another call held it for 0.02 s"), "{}", error.msg);
        assert!(error.hint().is_some_and(|hint| hint.starts_with("`fuser ")), "{error}");
        drop(holder);
        let patient = Store { deadline: Duration::from_secs(60), ..store.clone() };
        patient.change(Missing::Create, |_| Ok(())).unwrap();
    }

    #[test]
    fn a_change_that_fails_writes_nothing_and_one_that_leaves_nothing_removes_the_file() {
        let Scratch(store) = &Scratch::new("write");
        let key = types::Attachment {
            network: "host".parse().unwrap(),
            container: "c".parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        };
        let netns = crate::place::HostNetns { inode: 7 };
        let claims = ["tcp *:80".parse().unwrap()];
        store.change(Missing::Create, |table| table.claim(&key, &netns, &claims)).unwrap();
        let before = fs::read(store.path()).unwrap();
        let failed = store.change(Missing::Create, |table| {
            table.free(|_| true);
            Err(Error::new(code::EXHAUSTED, "on purpose"))
        });
        assert_eq!(failed.unwrap_err().msg, "on purpose");
        assert_eq!(fs::read(store.path()).unwrap(), before);
        store
            .change(Missing::Leave, |table| {
                table.free(|_| true);
                Ok(())
            })
            .unwrap();
        assert!(!store.path().exists());
    }

    #[test]
    fn without_its_directory_there_is_nothing_to_remove_and_nothing_is_made() {
        let Scratch(store) = &Scratch::new("missing");
        store.change(Missing::Leave, |_| panic!("there is no table")).unwrap();
        assert!(!store.dir.exists());
        assert_eq!(store.read().unwrap().text(), None);
    }
}
