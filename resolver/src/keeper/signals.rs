//! What the process is told by signals, which wait until it listens: nothing is interrupted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that are heard as messages are.
pub(super) struct Signals(SignalFd);

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM and SIGINT: end, after what is on its way was answered.
    End,
    /// SIGHUP: start the program that is installed now.
    Upgrade,
}

impl Signals {
    /// Takes them from now on. One that comes while the process becomes another program waits too.
    pub(super) fn take() -> io::Result<Self> {
        let mut all = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            all.add(signal);
        }
        all.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&all, flags)?))
    }

    /// The next one that came.
    pub(super) fn next(&self) -> io::Result<Option<Wish>> {
        let Some(come) = self.0.read_signal()? else { return Ok(None) };
        let hangup = Signal::SIGHUP as u32;
        Ok(Some(if come.ssi_signo == hangup { Wish::Upgrade } else { Wish::End }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets signals interrupt the process again, which was started by one that takes
/// them.
///
/// # Errors
/// What the kernel says.
pub fn release() -> io::Result<()> {
    Ok(SigSet::all().thread_unblock()?)
}
