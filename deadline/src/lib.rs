//! Waiting with a deadline for what has none of its own: a file's lock, the end of a stream.
//!
//! ```
//! use std::time::{Duration, Instant};
//! let sum = deadline::Pending::start(|| 1 + 2)?;
//! assert_eq!(sum.wait(Instant::now() + Duration::from_secs(10)), Some(3));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A thread sits in the system call, and the caller waits for the thread: nobody polls. This crate
//! knows neither CNI nor netlink.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The thread only sits in system calls.
const STACK_BYTES: usize = 64 * 1024;

/// Work on a thread of its own whose outcome may come too late.
#[derive(Debug)]
pub struct Pending<T> {
    outcome: Arc<Mutex<Option<T>>>,
}

impl<T: Send + 'static> Pending<T> {
    /// Starts `work`. The calling thread is the one that has to [`wait`](Self::wait).
    ///
    /// # Errors
    /// When there may be no more threads.
    pub fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let outcome = Arc::new(Mutex::new(None));
        let (place, waiter) = (Arc::clone(&outcome), thread::current());
        spawn(Box::new(move || {
            let done = work();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            waiter.unpark();
        }))?;
        Ok(Self { outcome })
    }

    /// The outcome, or `None` when it is not there at `until`. What comes later is dropped.
    #[must_use]
    pub fn wait(self, until: Instant) -> Option<T> {
        loop {
            let done = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
            let left = until.saturating_duration_since(Instant::now());
            if done.is_some() || left.is_zero() {
                return done;
            }
            thread::park_timeout(left);
        }
    }
}

fn spawn(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map(drop)
}

/// Takes the exclusive lock of `file` (flock(2)), waiting for at most `limit`. Closing the file
/// gives it back, and so does the end of the process, however it ends.
///
/// When the lock is not free, a thread waits for it in the kernel, which wakes it at once when it
/// is its turn. One whose lock comes too late drops its copy of the descriptor, and the lock with it.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when somebody else held it all the time, or what the kernel said.
pub fn lock(file: &File, limit: Duration) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let copy = file.try_clone()?;
    let pending = Pending::start(move || copy.lock())?;
    pending.wait(Instant::now() + limit).unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("cais-deadline-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_lock_that_stays_taken_ends_in_a_timeout_and_a_freed_one_is_got() {
        let path = scratch("taken");
        let holder = File::create(&path).unwrap();
        lock(&holder, Duration::ZERO).unwrap();
        let waiter = File::open(&path).unwrap();
        let error = lock(&waiter, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let patient = File::open(&path).unwrap();
        let thread = thread::spawn(move || lock(&patient, Duration::from_secs(60)).is_ok());
        drop(waiter);
        drop(holder);
        assert!(thread.join().unwrap());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_lock_that_comes_too_late_is_given_back() {
        let path = scratch("late");
        let holder = File::create(&path).unwrap();
        lock(&holder, Duration::ZERO).unwrap();
        let waiter = File::open(&path).unwrap();
        lock(&waiter, Duration::ZERO).unwrap_err();
        drop(waiter);
        drop(holder);
        let next = File::open(&path).unwrap();
        assert!(lock(&next, Duration::from_secs(60)).is_ok());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn work_that_panics_is_work_that_never_ends() {
        let pending = Pending::<()>::start(|| panic!("on purpose")).unwrap();
        assert_eq!(pending.wait(Instant::now() + Duration::from_millis(50)), None);
    }
}
