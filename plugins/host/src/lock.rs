//! An exclusive lock with a deadline.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Takes the exclusive lock of `file` (flock(2)) within `deadline`. Closing the file gives it back,
/// and so does the end of the process, however it ends.
///
/// A thread waits in the kernel while we wait for the thread. One whose lock comes too late drops
/// its copy of the descriptor and exits.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`], or what the kernel said.
pub(crate) fn lock(file: &File, deadline: Duration) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let copy = file.try_clone()?;
    let (done, outcome) = channel();
    thread::Builder::new().spawn(move || {
        let locked = copy.lock();
        drop(copy);
        // Nobody listens any more when the deadline has passed.
        let _ = done.send(locked);
    })?;
    match outcome.recv_timeout(deadline) {
        Ok(locked) => locked,
        Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => {
            Err(io::Error::other("the waiting thread ended without an answer"))
        }
    }
}
