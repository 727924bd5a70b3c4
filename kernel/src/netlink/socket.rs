use std::cell::{Cell, RefCell};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, send, socket,
};

use super::message::Message;
use super::{Action, Error, Request, RequestError};
use crate::sys;

/// A connected netlink socket, of rtnetlink unless said otherwise. It stays in the namespace in
/// which it was opened, wherever its thread goes later.
///
/// Only the kernel can answer on it (it is connected to port 0). A request is carried out while
/// it is sent: `send` returns when the kernel is done, so only its wait for the kernel's network
/// lock is beyond our deadline; every wait for an answer ends at the deadline.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    place: Box<str>,
    timeout: Duration,
    sequence: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

/// What a query in a batch brought, as the kernel wrote it.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) body: Vec<u8>,
}

/// What arrives while a listing is read.
enum Listing<'a> {
    /// The first message comes next, perhaps once again.
    Begins,
    /// The body of a message.
    Message(&'a [u8]),
}

/// How a listing was read.
enum Read {
    Whole,
    /// It changed meanwhile.
    Changed,
}

/// Kernels build listings in pieces of at most 32 KiB (`netlink_dump`), and no single reply that
/// we ask for comes near that.
const BUFFER_BYTES: usize = 32 * 1024;
/// More requests than this go in several sends, so that their answers always fit the socket.
const BATCH: usize = 64;
const DUMP_ATTEMPTS: u32 = 5;
const NLM_F_DUMP_INTR: u16 = 0x10;

impl Socket {
    /// How long a socket waits for an answer unless told otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Opens a socket in the calling thread's network namespace, called `place` in errors.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel gives no socket.
    pub fn open(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        Self::of(SockProtocol::NetlinkRoute, place.into())
    }

    /// As [`Socket::open`], speaking to the packet filter and to connection tracking
    /// (`NETLINK_NETFILTER`).
    ///
    /// Closing one after objects were deleted through it waits for the end of an RCU grace period:
    /// see [`Deleter::close_later`](crate::link::Deleter::close_later).
    ///
    /// # Errors
    /// [`Error::System`] when the kernel gives no socket.
    pub fn open_netfilter(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        Self::of(SockProtocol::NetlinkNetFilter, place.into())
    }

    /// As [`Socket::open`], asking for the sockets of the namespace (sock_diag(7)).
    ///
    /// # Errors
    /// [`Error::System`] when the kernel gives no socket.
    pub fn open_sock_diag(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        Self::of(SockProtocol::NetlinkSockDiag, place.into())
    }

    fn of(protocol: SockProtocol, place: Box<str>) -> Result<Self, RequestError> {
        let fd = open_fd(protocol).map_err(|source| RequestError {
            action: Box::new(Action::Open),
            place: place.clone(),
            source,
        })?;
        Ok(Self {
            fd,
            place,
            timeout: Self::TIMEOUT,
            sequence: Cell::new(1),
            buffer: RefCell::new(Vec::with_capacity(BUFFER_BYTES)),
        })
    }

    /// Joins a multicast group (`RTNLGRP_`). For a socket that only listens: what it hears carries
    /// other people's sequence numbers.
    pub(crate) fn subscribe(&self, group: u32) -> Result<(), RequestError> {
        sys::set_socket_option(
            self.fd.as_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            group.cast_signed(),
        )
        .map_err(|error| {
            let source = Error::System { call: "setsockopt", errno: errno(&error) };
            self.failed(&Action::Subscribe, source)
        })
    }

    /// The same socket with another limit on each wait.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The limit on each wait.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The namespace's name in errors.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Identity of the network namespace this socket lives in, unique until reboot (Linux 5.14).
    #[must_use]
    pub fn netns_cookie(&self) -> Option<u64> {
        sys::netns_cookie(self.fd.as_fd()).ok()
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// # Errors
    /// What the kernel or the socket said, with the request's action.
    pub fn run(&self, request: &Request) -> Result<(), RequestError> {
        self.ask(request).map(drop)
    }

    /// Sends `requests` together; one answer each, in order.
    ///
    /// The kernel goes on after a refused request, so that later ones may well have been done.
    pub fn batch(&self, requests: &[Request]) -> Vec<Result<Option<Reply>, RequestError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for part in requests.chunks(BATCH) {
            let outcome = self.exchange(part);
            answers.extend(part.iter().zip(outcome).map(|(request, answer)| {
                answer.map_err(|source| self.failed(&request.action, source))
            }));
        }
        answers
    }

    /// Sends `requests` together and fails with the first refusal, if any.
    ///
    /// # Errors
    /// The first request that the kernel refused; those after it may have been done.
    pub fn run_all(&self, requests: &[Request]) -> Result<(), RequestError> {
        self.batch(requests).into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    /// Sends one query; its reply, when the kernel sent one beside the acknowledgement.
    pub(crate) fn ask(&self, request: &Request) -> Result<Option<Reply>, RequestError> {
        self.batch(std::slice::from_ref(request))
            .pop()
            .unwrap_or_else(|| Err(self.failed(&request.action, Error::Malformed("no answer"))))
    }

    /// Reads a listing, each message made into a `T` or left out by `parse`.
    pub(crate) fn dump<T>(
        &self,
        request: &Request,
        parse: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, RequestError> {
        self.dump_until(Instant::now() + self.timeout, request, parse)
    }

    /// As [`Socket::dump`], with a deadline that other requests share.
    pub(crate) fn dump_until<T>(
        &self,
        deadline: Instant,
        request: &Request,
        mut parse: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, RequestError> {
        let mut list = Vec::new();
        self.dump_messages(deadline, request, &mut |news| match news {
            Listing::Begins => list.clear(),
            Listing::Message(body) => list.extend(parse(body)),
        })?;
        Ok(list)
    }

    /// The part of a dump that does not depend on what is listed, compiled once.
    fn dump_messages(
        &self,
        deadline: Instant,
        request: &Request,
        each: &mut dyn FnMut(Listing<'_>),
    ) -> Result<(), RequestError> {
        let failed = |source| self.failed(&request.action, source);
        for _ in 0..DUMP_ATTEMPTS {
            each(Listing::Begins);
            match self.dump_once(deadline, request, each) {
                Ok(Read::Whole) => return Ok(()),
                // The list cannot be trusted, read it again.
                Ok(Read::Changed) | Err(Error::Overrun) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Err(failed(Error::Interrupted { attempts: DUMP_ATTEMPTS }))
    }

    fn dump_once(
        &self,
        deadline: Instant,
        request: &Request,
        each: &mut dyn FnMut(Listing<'_>),
    ) -> Result<Read, Error> {
        let sequence = self.take_sequences(1);
        let mut bytes = Vec::new();
        request.write(sequence, libc::NLM_F_DUMP as u16, &mut bytes);
        self.send(&bytes)?;
        let mut read = Read::Whole;
        self.receive(deadline, |message| {
            if message.sequence != sequence {
                return ControlFlow::Continue(());
            }
            if message.flags & NLM_F_DUMP_INTR != 0 {
                read = Read::Changed;
            }
            match i32::from(message.kind) {
                libc::NLMSG_DONE | libc::NLMSG_ERROR => ControlFlow::Break(message.verdict()),
                _ => {
                    each(Listing::Message(message.body));
                    ControlFlow::Continue(())
                }
            }
        })??;
        Ok(read)
    }

    /// Sends up to [`BATCH`] requests and collects one answer for each.
    fn exchange(&self, requests: &[Request]) -> Vec<Result<Option<Reply>, Error>> {
        let first = self.take_sequences(requests.len());
        let mut bytes = Vec::with_capacity(256 * requests.len());
        for (offset, request) in (0..).zip(requests) {
            let flags = if request.is_query() { 0 } else { libc::NLM_F_ACK as u16 };
            request.write(first.wrapping_add(offset), flags, &mut bytes);
        }
        let mut replies = vec![None; requests.len()];
        let mut verdicts = vec![None; requests.len()];
        let mut open = requests.len();
        let outcome = self.send(&bytes).and_then(|()| {
            self.receive(Instant::now() + self.timeout, |message| {
                let offset = message.sequence.wrapping_sub(first) as usize;
                if offset >= requests.len() {
                    return ControlFlow::Continue(()); // an answer to an older, given-up request
                }
                let verdict = if i32::from(message.kind) == libc::NLMSG_ERROR {
                    message.verdict()
                } else {
                    replies[offset] = Some(Reply { body: message.body.to_vec() });
                    if !requests[offset].is_query() {
                        return ControlFlow::Continue(()); // its acknowledgement is still to come
                    }
                    Ok(())
                };
                if verdicts[offset].replace(verdict).is_none() {
                    open -= 1;
                }
                if open == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        let lost = outcome.err().unwrap_or(Error::Malformed("no acknowledgement"));
        let answers = verdicts.into_iter().zip(replies);
        answers
            .map(|(verdict, reply)| verdict.unwrap_or_else(|| Err(lost.clone())).map(|()| reply))
            .collect()
    }

    /// Hands each arriving message to `each` until it breaks or the deadline passes.
    pub(crate) fn receive<T>(
        &self,
        deadline: Instant,
        mut each: impl FnMut(Message<'_>) -> ControlFlow<T>,
    ) -> Result<T, Error> {
        let mut value = None;
        self.receive_until(deadline, &mut |message| match each(message) {
            ControlFlow::Break(wanted) => {
                value = Some(wanted);
                ControlFlow::Break(())
            }
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
        })?;
        Ok(value.expect("it is set right before the only way to end well"))
    }

    /// The part of receiving that does not depend on what is wanted, compiled once.
    fn receive_until(
        &self,
        deadline: Instant,
        each: &mut dyn FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut buffer = self.buffer.borrow_mut();
        loop {
            match sys::receive_now(self.fd.as_fd(), &mut buffer) {
                Ok(length) if length > buffer.len() => {
                    return Err(Error::Malformed("longer than 32 KiB"));
                }
                Ok(_) => {}
                Err(error) => match errno(&error) {
                    Errno::EAGAIN => {
                        self.wait(deadline)?;
                        continue;
                    }
                    Errno::EINTR => continue,
                    Errno::ENOBUFS => return Err(Error::Overrun),
                    errno => return Err(Error::System { call: "recv", errno }),
                },
            }
            let mut datagram = buffer.as_slice();
            while let Some(message) = Message::take(&mut datagram) {
                if each(message).is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Hands each message that has arrived to `each`, and waits for no other. None is left, also
    /// where some were lost: the next answer would not fit.
    pub(crate) fn drain(&self, mut each: impl FnMut(Message<'_>)) -> Result<(), Error> {
        let mut buffer = self.buffer.borrow_mut();
        let mut complete = Ok(());
        loop {
            match sys::receive_now(self.fd.as_fd(), &mut buffer) {
                Ok(_) => {
                    let mut datagram = buffer.as_slice();
                    while let Some(message) = Message::take(&mut datagram) {
                        each(message);
                    }
                }
                Err(error) => match errno(&error) {
                    Errno::EAGAIN => return complete,
                    Errno::EINTR => {}
                    Errno::ENOBUFS => complete = Err(Error::Overrun),
                    errno => return Err(Error::System { call: "recv", errno }),
                },
            }
        }
    }

    /// Waits until there is something to read.
    fn wait(&self, deadline: Instant) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Timeout(self.timeout));
        }
        // Whole milliseconds, rounded up, so that the last poll does not spin.
        let left =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], left) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::System { call: "poll", errno }),
        }
    }

    /// Sends whole messages in one datagram.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        use std::os::fd::AsRawFd;
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::System { call: "send", errno }),
            }
        }
    }

    /// Takes `count` sequence numbers, none of which an earlier answer can carry.
    pub(crate) fn take_sequences(&self, count: usize) -> u32 {
        let first = self.sequence.get();
        self.sequence.set(first.wrapping_add(count as u32));
        first
    }

    /// A failure of this socket with its action and place.
    pub(crate) fn failed(&self, action: &Action, source: Error) -> RequestError {
        RequestError { action: Box::new(action.clone()), place: self.place.clone(), source }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_fd(protocol: SockProtocol) -> Result<OwnedFd, Error> {
    use std::os::fd::AsRawFd;
    let failed = |call| move |errno| Error::System { call, errno };
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
        .map_err(failed("socket"))?;
    connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(failed("connect"))?;
    // Refuse what we do not filter by (strict), answer errors without echo, and say why.
    for option in [libc::NETLINK_GET_STRICT_CHK, libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK] {
        sys::set_socket_option(fd.as_fd(), libc::SOL_NETLINK, option, 1)
            .map_err(|error| failed("setsockopt")(errno(&error)))?;
    }
    Ok(fd)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}
