//! Standing in for a command: its signals, its end.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitCode, ExitStatus};

use cni::{Error, code};
use nix::libc::SI_KERNEL;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::Pid;

/// Signals that ask a process to do something; we pass them on.
const PASSED_ON: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// Of these, the ones that mean "end".
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// Holds signals back from this process until they are asked for.
#[derive(Debug)]
pub(crate) struct Guard(SignalFd);

impl Guard {
    /// To be made while there is one thread; threads and processes started later hold them back
    /// too, so that no plugin is stopped half way by somebody's Ctrl-C.
    pub(crate) fn new() -> Result<Self, Error> {
        let failed = |e| Error::new(code::IO, format!("hold signals back: {e}"));
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        PASSED_ON.into_iter().for_each(|signal| set.add(signal));
        set.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&set, flags).map(Self).map_err(failed)
    }

    /// A signal that came meanwhile and means "end". Others that came are forgotten: there is
    /// nobody yet to hand them to.
    pub(crate) fn ending(&self) -> Option<Signal> {
        std::iter::from_fn(|| self.0.read_signal().ok().flatten())
            .find_map(|news| signal_of(&news).filter(|signal| ENDING.contains(signal)))
    }

    /// Waits for the child's end, handing it the signals that come for us.
    pub(crate) fn stand_in_for(&self, mut child: Child) -> Result<ExitCode, Error> {
        let failed = |e: io::Error| Error::new(code::IO, format!("wait for the command: {e}"));
        let pid = i32::try_from(child.id()).map(Pid::from_raw);
        let pid = pid.map_err(|e| failed(io::Error::other(e)))?;
        loop {
            while let Some(news) = self.0.read_signal().map_err(|e| failed(e.into()))? {
                if let Some(signal) = to_pass_on(&news) {
                    // It may have ended just now; then the next round says so.
                    let _ = signal::kill(pid, signal);
                }
            }
            // Asked after the signals were taken: its end is one of them, and comes only once.
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(ExitCode::from(status_of(status)));
            }
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(failed(e.into())),
            }
        }
    }
}

fn signal_of(news: &siginfo) -> Option<Signal> {
    i32::try_from(news.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
}

/// What the child has not got already: the terminal sends its signals to both of us.
fn to_pass_on(news: &siginfo) -> Option<Signal> {
    let from_terminal = news.ssi_code == SI_KERNEL;
    signal_of(news).filter(|signal| !from_terminal && *signal != Signal::SIGCHLD)
}

/// The exit status that stands for an end by `signal`.
pub(crate) fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)
}

fn status_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
