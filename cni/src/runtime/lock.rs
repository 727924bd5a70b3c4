//! One operation at a time for one attachment: the specification's rule for runtimes, kept here
//! because two shells may run `cais` at once.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, code};

/// How long an operation waits for another one on the same attachment.
const DEADLINE: Duration = Duration::from_secs(10);

/// Holds an attachment until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Closing it is what unlocks.
    _file: File,
}

impl Lock {
    /// Takes the lock `name` in `directory`, which is made when it is missing.
    pub(super) fn take(directory: &Path, name: &str) -> Result<Self, Error> {
        Self::take_within(directory, name, DEADLINE)
    }

    fn take_within(directory: &Path, name: &str, deadline: Duration) -> Result<Self, Error> {
        let path = directory.join(name);
        let failed = |e: io::Error| {
            let text = format!("lock {}: {e}", path.display());
            Error::new(code::IO, text)
                .with_hint("run as root, inside `cais lab`, or with CAIS_ROOT set to a directory")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let until = Instant::now() + deadline;
        loop {
            let file = open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Ok(Self { path, _file: file }),
                // The holder before us removed the file: what we locked has no name any more.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    let text = format!("another operation on {name} is running");
                    return Err(Error::new(code::TRY_AGAIN, text)
                        .with_hint("wait for it to end and try again"));
                }
                Err(TryLockError::WouldBlock) => {
                    // The kernel tells nobody when a file lock can be had by a given time.
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while held, so that no lock file outlives its attachment. Who waits on it sees
        // that it has no name and opens a new one.
        let _ = fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |m: fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => identity(held) == identity(named),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::Scratch;

    #[test]
    fn a_held_lock_is_waited_for_and_leaves_no_file() {
        let scratch = Scratch::new();
        let held = Lock::take(scratch.path(), "n-c-eth0").unwrap();
        let busy = Lock::take_within(scratch.path(), "n-c-eth0", Duration::ZERO).unwrap_err();
        assert_eq!(
            (busy.code, busy.msg.as_str()),
            (11, "another operation on n-c-eth0 is running")
        );
        Lock::take(scratch.path(), "n-c-eth1").expect("another attachment is free");
        drop(held);
        drop(Lock::take(scratch.path(), "n-c-eth0").expect("free again"));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_many_threads_one_at_a_time_holds_it() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let scratch = Scratch::new();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let _held = Lock::take(scratch.path(), "x").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
