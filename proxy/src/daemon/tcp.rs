//! TCP connections: two streams each, and what is on its way between them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{
    self, AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

use super::limits::Limits;
use super::poller::{Poller, READABLE, Ready, Source, WRITABLE};

/// How long a container may take to accept. The client's own patience is usually longer.
const CONNECT: Duration = Duration::from_secs(10);

/// Most bytes that are read at once, and so the most that one direction of a connection holds back
/// while its receiver is slow.
const CHUNK: usize = 32 * 1024;

/// How many chunks one direction moves before others have their turn.
const TURN: u32 = 16;

/// What became of an attempt to take a connection.
pub(super) enum Accepted {
    /// There was one; whether its container answers will be seen.
    One,
    /// None waits.
    None,
    /// The system lacks something for one more.
    Exhausted,
}

/// All connections, by number.
pub(super) struct Connections {
    all: HashMap<u64, Connection>,
    of: HashMap<u64, HashSet<u64>>,
    /// Those whose container has not answered yet, by the time when that is given up.
    pending: BTreeSet<(Instant, u64)>,
    chunk: Box<[u8]>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            of: HashMap::new(),
            pending: BTreeSet::new(),
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }
}

struct Connection {
    mapping: u64,
    client: End,
    target: End,
    /// Until the container answers: when that is given up.
    give_up: Option<Instant>,
    /// From the client to the container.
    up: Flow,
    /// From the container to the client.
    down: Flow,
}

/// One stream, and what the poller watches it for; `None` when it does not.
struct End {
    stream: TcpStream,
    source: Source,
    watched: Option<EpollFlags>,
    /// It has hung up: there is nothing to watch unless somebody waits for it.
    over: bool,
}

/// One direction.
#[derive(Default)]
struct Flow {
    /// Read and not yet written. Nothing is read while there is some.
    waiting: Vec<u8>,
    /// How much of `waiting` is written.
    written: usize,
    /// The sender has ended its side, and so have we towards the receiver.
    ended: bool,
}

impl Connections {
    /// How many connections a mapping has.
    pub(super) fn count(&self, mapping: u64) -> usize {
        self.of.get(&mapping).map_or(0, HashSet::len)
    }

    pub(super) fn has_room(&self, mapping: u64, limits: &Limits) -> bool {
        self.all.len() < limits.connections && self.count(mapping) < limits.connections_each
    }

    /// When the next container has to have answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.first().map(|(when, _)| *when)
    }

    /// Takes one waiting connection, and begins to connect to the container.
    pub(super) fn accept(
        &mut self,
        id: u64,
        mapping: u64,
        (listener, target): (&TcpListener, SocketAddr),
        poller: &Poller,
    ) -> Accepted {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) => return refusal(&error),
        };
        let target = match connect(target) {
            Ok(target) => target,
            Err(error) => {
                reset(&client);
                return if is_exhaustion(&error) { Accepted::Exhausted } else { Accepted::One };
            }
        };
        let end = |stream, source| End { stream, source, watched: None, over: false };
        let give_up = Instant::now() + CONNECT;
        let mut connection = Connection {
            mapping,
            client: end(client, Source::Client(id)),
            target: end(target, Source::Target(id)),
            give_up: Some(give_up),
            up: Flow::default(),
            down: Flow::default(),
        };
        if connection.prepare().and_then(|()| connection.watch(poller)).is_err() {
            connection.reset();
            return Accepted::One;
        }
        self.pending.insert((give_up, id));
        self.of.entry(mapping).or_default().insert(id);
        self.all.insert(id, connection);
        Accepted::One
    }

    /// Moves what can be moved.
    pub(super) fn serve(&mut self, id: u64, event: Ready, poller: &Poller) {
        let Some(connection) = self.all.get_mut(&id) else { return };
        let was_pending = connection.give_up;
        let outcome = connection.advance(event, &mut self.chunk, poller);
        if let Some(until) = was_pending.filter(|_| connection.give_up.is_none()) {
            self.pending.remove(&(until, id));
        }
        match outcome {
            Ok(false) => {}
            Ok(true) => drop(self.forget(id)),
            Err(_) => self.reset(id),
        }
    }

    /// Resets those whose container did not answer in time.
    pub(super) fn give_up(&mut self, now: Instant) {
        while let Some((_, id)) = self.pending.first().copied().filter(|(when, _)| *when <= now) {
            self.reset(id);
        }
    }

    /// Resets all connections of a mapping.
    pub(super) fn drop_mapping(&mut self, mapping: u64) {
        for id in self.of.remove(&mapping).unwrap_or_default() {
            self.reset(id);
        }
    }

    fn reset(&mut self, id: u64) {
        if let Some(connection) = self.forget(id) {
            connection.reset();
        }
    }

    fn forget(&mut self, id: u64) -> Option<Connection> {
        let connection = self.all.remove(&id)?;
        if let Some(until) = connection.give_up {
            self.pending.remove(&(until, id));
        }
        if let Some(ids) = self.of.get_mut(&connection.mapping) {
            ids.remove(&id);
            if ids.is_empty() {
                self.of.remove(&connection.mapping);
            }
        }
        Some(connection)
    }
}

impl Connection {
    /// Nobody waits in vain for a peer that is gone, or for more bytes in a segment.
    fn prepare(&self) -> io::Result<()> {
        self.client.stream.set_nonblocking(true)?;
        for stream in [&self.client.stream, &self.target.stream] {
            stream.set_nodelay(true)?;
            setsockopt(stream, sockopt::KeepAlive, &true)?;
        }
        Ok(())
    }

    /// Moves what can be moved after `event`; `true` when both directions have ended.
    fn advance(&mut self, event: Ready, chunk: &mut [u8], poller: &Poller) -> io::Result<bool> {
        if self.give_up.is_some() && !event.failed {
            if !matches!(event.source, Source::Target(_)) {
                self.rest(event, poller);
                return Ok(false);
            }
            self.give_up = None;
        }
        // One direction that fails does not keep the other from handing over what has arrived: a
        // server may answer and then refuse to read on.
        let up = self.up.pump(&self.client.stream, &self.target.stream, chunk);
        let down = self.down.pump(&self.target.stream, &self.client.stream, chunk);
        up.and(down)?;
        if event.failed {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.up.ended && self.down.ended {
            return Ok(true);
        }
        self.watch(poller)?;
        self.rest(event, poller);
        Ok(false)
    }

    /// Watches each end for what it can do for a direction.
    fn watch(&mut self, poller: &Poller) -> io::Result<()> {
        let connected = self.give_up.is_none();
        let mut client = self.up.wants_of_sender(connected);
        client |= self.down.wants_of_receiver();
        let mut target = self.down.wants_of_sender(connected);
        target |= self.up.wants_of_receiver();
        target.set(WRITABLE, target.contains(WRITABLE) || !connected);
        self.client.watch(client, poller)?;
        self.target.watch(target, poller)
    }

    /// Stops watching an end that has hung up and is waited for by nobody: the poller would report
    /// it again and again until the other end has taken what is left.
    fn rest(&mut self, event: Ready, poller: &Poller) {
        let end = match event.source {
            Source::Client(_) => &mut self.client,
            _ => &mut self.target,
        };
        if event.hung_up && end.watched == Some(EpollFlags::empty()) {
            poller.remove(&end.stream);
            end.watched = None;
            end.over = true;
        }
    }

    /// Ends it as a lost connection ends, so that neither side takes half for the whole.
    fn reset(&self) {
        reset(&self.client.stream);
        reset(&self.target.stream);
    }
}

impl End {
    fn watch(&mut self, wanted: EpollFlags, poller: &Poller) -> io::Result<()> {
        match self.watched {
            Some(watched) if watched == wanted => return Ok(()),
            Some(_) => poller.modify(&self.stream, self.source, wanted)?,
            None if self.over && wanted.is_empty() => return Ok(()),
            // Errors are reported for what is watched for nothing as well.
            None => poller.add(&self.stream, self.source, wanted)?,
        }
        self.watched = Some(wanted);
        Ok(())
    }
}

impl Flow {
    fn wants_of_sender(&self, connected: bool) -> EpollFlags {
        let wants = connected && !self.ended && self.waiting.is_empty();
        if wants { READABLE } else { EpollFlags::empty() }
    }

    fn wants_of_receiver(&self) -> EpollFlags {
        if self.waiting.is_empty() { EpollFlags::empty() } else { WRITABLE }
    }

    /// Moves bytes until one side has to be waited for, or others have waited long enough.
    fn pump(
        &mut self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        chunk: &mut [u8],
    ) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        for _ in 0..TURN {
            if !self.waiting.is_empty() {
                self.written += written(&mut to, &self.waiting[self.written..])?;
                if self.written < self.waiting.len() {
                    return Ok(());
                }
                // The memory goes back: most connections are idle most of the time.
                *self = Self::default();
            }
            match from.read(chunk) {
                // At once: nothing else would wake us for it.
                Ok(0) => {
                    self.ended = true;
                    return to.shutdown(Shutdown::Write);
                }
                Ok(length) => {
                    let sent = written(&mut to, &chunk[..length])?;
                    self.waiting.extend_from_slice(&chunk[sent..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How much of `bytes` the receiver takes now.
fn written(to: &mut &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match to.write(bytes) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(0)
        }
        other => other,
    }
}

/// Begins to connect.
fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let family = match target {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket::socket(family, SockType::Stream, flags, None)?;
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(target)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Lets a stream end by a reset when it is closed.
fn reset(stream: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    // Where this fails, the stream ends in the usual way.
    let _ = setsockopt(stream, sockopt::Linger, &at_once);
}

fn refusal(error: &io::Error) -> Accepted {
    if is_exhaustion(error) {
        return Accepted::Exhausted;
    }
    match error.kind() {
        io::ErrorKind::WouldBlock => Accepted::None,
        // This one was gone before we came; the next may not be.
        _ => Accepted::One,
    }
}

/// Whether the system lacks files or memory, which others may give back.
fn is_exhaustion(error: &io::Error) -> bool {
    let lacks = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| lacks.contains(&code))
}
