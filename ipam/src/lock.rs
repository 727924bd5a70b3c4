use std::fs::{File, TryLockError};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The helper only sits in one system call.
const HELPER_STACK_BYTES: usize = 64 * 1024;

/// Why a lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Somebody else held it all the time.
    Timeout,
    /// The kernel refused it.
    Io(io::Error),
}

/// Takes the exclusive lock of `file` (flock(2)), waiting at most `deadline`. Closing the file
/// gives it back, and so does the end of the process, however it ends.
///
/// When the lock is not free a thread waits in the kernel, which wakes it at once when it is its
/// turn, while we wait for the thread. A thread whose lock comes too late drops its copy of the
/// descriptor, and the lock with it.
pub(crate) fn lock(file: &File, deadline: Duration) -> Result<(), LockError> {
    match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
    }
    let copy = file.try_clone().map_err(LockError::Io)?;
    let (done, outcome) = mpsc::channel();
    thread::Builder::new()
        .stack_size(HELPER_STACK_BYTES)
        .spawn(move || {
            let result = copy.lock();
            drop(copy);
            // Nobody listens any more when the deadline has passed.
            let _ = done.send(result);
        })
        .map_err(LockError::Io)?;
    match outcome.recv_timeout(deadline) {
        Ok(result) => result.map_err(LockError::Io),
        Err(RecvTimeoutError::Timeout) => Err(LockError::Timeout),
        Err(RecvTimeoutError::Disconnected) => {
            Err(LockError::Io(io::Error::other("the waiting thread ended without an answer")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_lock_that_stays_taken_ends_in_a_timeout_and_a_freed_one_is_got() {
        let dir = Scratch::new();
        let path = dir.path().join("lock");
        let holder = File::create(&path).unwrap();
        lock(&holder, Duration::ZERO).unwrap();
        let waiter = File::open(&path).unwrap();
        assert!(matches!(lock(&waiter, Duration::from_millis(20)), Err(LockError::Timeout)));
        let patient = File::open(&path).unwrap();
        let thread = thread::spawn(move || lock(&patient, Duration::from_secs(60)).is_ok());
        drop(waiter);
        drop(holder);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_lock_that_comes_too_late_is_given_back() {
        let dir = Scratch::new();
        let path = dir.path().join("lock");
        let holder = File::create(&path).unwrap();
        lock(&holder, Duration::ZERO).unwrap();
        let waiter = File::open(&path).unwrap();
        assert!(matches!(lock(&waiter, Duration::ZERO), Err(LockError::Timeout)));
        drop(waiter);
        drop(holder);
        let next = File::open(&path).unwrap();
        assert!(lock(&next, Duration::from_secs(60)).is_ok());
    }
}
