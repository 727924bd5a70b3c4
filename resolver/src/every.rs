//! What is done again and again.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe::Receiver;

/// A clock that goes by itself. Tokio's would be set anew with each query that wakes the process.
#[derive(Debug)]
pub(crate) struct Every {
    timer: Receiver,
}

impl Every {
    /// Begins now.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(crate) fn new(period: Duration) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let period = Expiration::Interval(TimeSpec::from_duration(period));
        timer.set(period, TimerSetTimeFlags::empty())?;
        Ok(Self { timer: receiver(&timer)? })
    }

    /// Waits for the end of a period; of those that went by meanwhile only for one.
    ///
    /// Cancel-safe: it is waited for by the next call then.
    pub(crate) async fn over(&self) {
        let mut expirations = [0; 8];
        loop {
            // Only the end of the runtime is an error.
            if self.timer.readable().await.is_err() {
                return pending().await;
            }
            if self.timer.try_read(&mut expirations).is_ok() {
                return;
            }
        }
    }
}

/// Tokio's pipe is no more than a descriptor that can be waited for and read.
pub(crate) fn receiver(source: impl AsFd) -> io::Result<Receiver> {
    let same = source.as_fd().try_clone_to_owned()?;
    Receiver::from_file_unchecked(File::from(same))
}
