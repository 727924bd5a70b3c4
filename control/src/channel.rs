//! A client's end of the control socket. Everything on it ends at a deadline.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use cni::{Error, code};
use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, SetSockOpt, SockFlag, SockType, UnixAddr,
    sockopt,
};
use nix::sys::time::TimeVal;

use crate::{Daemon, failed};

/// Most bytes of one message, either way.
pub const MOST_BYTES: usize = 64 * 1024;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Channel<'a> {
    daemon: Daemon,
    socket: OwnedFd,
    path: &'a Path,
    until: Instant,
}

impl<'a> Channel<'a> {
    /// Connects to the socket at `path`; `None` when nobody listens there.
    pub(crate) fn connect(
        daemon: Daemon,
        path: &'a Path,
        until: Instant,
    ) -> Result<Option<Self>, Error> {
        let step = || format!("connect to {}", path.display());
        let address = UnixAddr::new(path).map_err(|error| failed(step(), error))?;
        let kind = SockType::SeqPacket;
        let socket = socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|error| failed(step(), error))?;
        let channel = Self { daemon, socket, path, until };
        channel.limit(sockopt::SendTimeout)?;
        match retried(|| socket::connect(channel.socket.as_raw_fd(), &address)) {
            Ok(()) => Ok(Some(channel)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ECONNREFUSED) => Ok(None),
            Err(Errno::EAGAIN) => Err(daemon.unanswered(path)),
            Err(error) => Err(failed(step(), error)),
        }
    }

    /// Says `message`, with `descriptors` beside it, and hears the first reply; `None` when the daemon
    /// ended meanwhile.
    ///
    /// # Errors
    /// Code 7 when the message is longer than [`MOST_BYTES`]; code 11 at the deadline; code 5 with
    /// what the system said.
    pub fn ask(
        &self,
        message: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Option<Vec<u8>>, Error> {
        self.say(message, descriptors)?;
        self.hear()
    }

    /// Says `message`, with `descriptors` beside it. Whether the daemon ended meanwhile is learnt when
    /// the reply is to be heard.
    ///
    /// # Errors
    /// As [`Channel::ask`].
    pub fn say(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        if message.len() > MOST_BYTES {
            let length = message.len();
            let program = self.daemon.program;
            let text = format!("tell {program} of {length} bytes: {MOST_BYTES} fit");
            return Err(Error::new(code::INVALID_CONFIG, text).with_hint("choose shorter ids"));
        }
        self.limit(sockopt::SendTimeout)?;
        let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(message)];
        let sent = retried(|| {
            let to = self.socket.as_raw_fd();
            socket::sendmsg::<()>(to, &parts, rights, MsgFlags::MSG_NOSIGNAL, None)
        });
        match sent {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => Ok(()),
            Err(Errno::EAGAIN) => Err(self.daemon.unanswered(self.path)),
            Err(error) => Err(failed(format!("write to {}", self.path.display()), error)),
        }
    }

    /// Hears a reply; `None` when the daemon ended meanwhile.
    ///
    /// # Errors
    /// Code 11 at the deadline; code 5 with what the system said.
    pub fn hear(&self) -> Result<Option<Vec<u8>>, Error> {
        self.limit(sockopt::ReceiveTimeout)?;
        let receive = |buffer: &mut [u8], flags| {
            retried(|| socket::recv(self.socket.as_raw_fd(), buffer, flags))
        };
        // First how long it is: most are short, and the longest would cost a page fault for each page.
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        let mut message = Vec::new();
        let received = receive(&mut [], peek).and_then(|length| {
            message.resize(length.min(MOST_BYTES), 0);
            receive(&mut message, MsgFlags::empty())
        });
        match received {
            Ok(0) | Err(Errno::ECONNRESET | Errno::ENOTCONN) => Ok(None),
            Ok(_) => Ok(Some(message)),
            Err(Errno::EAGAIN) => Err(self.daemon.unanswered(self.path)),
            Err(error) => Err(failed(format!("read from {}", self.path.display()), error)),
        }
    }

    /// Lets the next step end at the deadline.
    fn limit(&self, what: impl SetSockOpt<Val = TimeVal>) -> Result<(), Error> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.daemon.unanswered(self.path));
        }
        // Zero would mean to wait for ever.
        let left = left.max(Duration::from_millis(1));
        let left = TimeVal::new(left.as_secs().cast_signed(), i64::from(left.subsec_micros()));
        socket::setsockopt(&self.socket, what, &left)
            .map_err(|error| failed("set a deadline on a socket", io::Error::from(error)))
    }
}

fn retried<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}
