//! A worker, as its keeper sees it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use control::MOST_BYTES;
use kernel::descriptors;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::link::{ToKeeper, ToWorker};
use crate::{OPTIONS, WORK};

/// A worker that was started.
pub(super) struct Successor {
    /// The process until it was waited for, as a number that can be handed on.
    child: Cell<Option<Pid>>,
    link: UnixStream,
    /// Whether its program can go on where ours is.
    pub(super) can_resume: Cell<bool>,
}

/// What was heard of it.
pub(super) enum Heard {
    Message(ToKeeper, Vec<OwnedFd>),
    Nothing,
    End,
}

impl Successor {
    /// Starts the program that is installed now, with these options as they are written.
    pub(super) fn start(control: &UnixListener, path: &Path, options: &str) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let child = Command::new(program()?)
            .arg(WORK)
            .arg(path)
            .env_clear()
            .env(OPTIONS, options)
            .stdin(OwnedFd::from(control.try_clone()?))
            .stdout(theirs)
            .spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self::resumed(Pid::from_raw(pid), UnixStream::from(ours)))
    }

    /// One that was started before this process became the program that it is.
    pub(super) fn resumed(pid: Pid, link: UnixStream) -> Self {
        Self { child: Cell::new(Some(pid)), link, can_resume: Cell::new(false) }
    }

    /// The process, which was not waited for yet.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.child.get()
    }

    pub(super) fn link(&self) -> &UnixStream {
        &self.link
    }

    pub(super) fn say(&self, message: &ToWorker, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = message.encode();
        let raw: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(&bytes)];
        sendmsg::<()>(self.link.as_raw_fd(), &parts, rights, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    /// Hears the next message. What cannot be understood is as its end: it would not get better.
    pub(super) fn hear(&self) -> io::Result<Heard> {
        let mut buffer = vec![0; MOST_BYTES];
        match descriptors::receive(&self.link, &mut buffer) {
            Ok(received) if received.length == 0 || received.truncated => Ok(Heard::End),
            Ok(received) => match ToKeeper::parse(&buffer[..received.length]) {
                Ok(message) => Ok(Heard::Message(message, received.descriptors)),
                Err(error) => {
                    eprintln!("cais-dnsd: {error}");
                    Ok(Heard::End)
                }
            },
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(Heard::Nothing),
                io::ErrorKind::ConnectionReset => Ok(Heard::End),
                _ => Err(error),
            },
        }
    }

    /// Lets it finish what it is about.
    pub(super) fn ask_to_end(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it, however it is.
    pub(super) fn end(&self) {
        self.signal(Signal::SIGKILL);
        if let Some(pid) = self.child.take() {
            while waitpid(pid, None) == Err(Errno::EINTR) {}
        }
    }

    /// One that is dead already keeps its number until it is waited for: nobody else is hit.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.get() {
            let _ = kill(pid, signal);
        }
    }
}

/// The file that this program was started from, or what took its place.
pub(super) fn program() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let Some(text) = own.to_str() else { return Ok(own) };
    Ok(PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(text)))
}
