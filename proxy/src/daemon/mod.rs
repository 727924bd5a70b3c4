//! The process that passes traffic on: one thread around epoll(7).

mod adopt;
mod ages;
mod control;
mod limits;
mod poller;
mod published;
mod tcp;
mod udp;

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::Error;

use crate::failed;
use control::Peers;
use limits::Limits;
use poller::{Poller, READABLE, Ready, Source};
use published::{Published, Socket};
use tcp::{Accepted, Connections};
use udp::{Listening, Sessions};

pub use ::control::{SERVE, START, start_detached as start};

/// How long a daemon lives that nobody gave a mapping: its starter may have been killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long no connection is taken after the system refused one for want of something.
const RELIEF: Duration = Duration::from_secs(1);

/// How many connections or datagrams are taken from one socket before others have their turn.
const TURN: u32 = 32;

/// Serves until the last mapping is dropped. Standard input is the listening control socket, which
/// is known as `path`.
///
/// # Errors
/// What keeps it from serving at all.
pub fn serve(path: &Path) -> Result<(), Error> {
    let control = ::control::inherited().map_err(|error| {
        failed("take the control socket from standard input", error)
            .with_hint("plugins start this program, nobody else")
    })?;
    control.set_nonblocking(true).map_err(|error| failed("take the control socket", error))?;
    kernel::privileges::drop_all().map_err(|error| failed("give up privileges", error))?;
    let daemon = Daemon::new(control, path.to_owned());
    daemon.and_then(Daemon::run).map_err(|error| failed("pass on traffic", error))
}

/// Everything that the process knows.
struct Daemon {
    poller: Poller,
    limits: Limits,
    /// Path of the control socket.
    path: PathBuf,
    control: UnixListener,
    /// Whether clients are taken; they wait while the system lacks something.
    open: bool,
    peers: Peers,
    published: Published,
    connections: Connections,
    sessions: Sessions,
    /// The number that the next mapping, connection, session or peer gets. None is used twice.
    next: u64,
    /// No connection is taken before.
    relief: Option<Instant>,
    /// When to end if there is no mapping then.
    lonely: Instant,
    /// The last mapping is dropped, and the control socket has lost its name.
    leaving: bool,
}

impl Daemon {
    fn new(control: UnixListener, path: PathBuf) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&control, Source::Control, READABLE)?;
        Ok(Self {
            poller,
            limits: Limits::raise(),
            path,
            control,
            open: true,
            peers: Peers::default(),
            published: Published::default(),
            connections: Connections::default(),
            sessions: Sessions::default(),
            next: 0,
            relief: None,
            lonely: Instant::now() + PATIENCE,
            leaving: false,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(self.deadline(), &mut ready)?;
            for event in ready.drain(..) {
                self.serve(event);
                if self.leaving {
                    return Ok(());
                }
            }
            let now = Instant::now();
            self.connections.give_up(now);
            self.sessions.expire(now);
            self.peers.expire(now);
            self.resume(now);
            if self.published.is_empty() && now >= self.lonely {
                self.leave();
                return Ok(());
            }
        }
    }

    /// When something has to be done though nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let lonely = self.published.is_empty().then_some(self.lonely);
        let all = [
            lonely,
            self.relief,
            self.connections.deadline(),
            self.sessions.deadline(),
            self.peers.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    fn serve(&mut self, event: Ready) {
        match event.source {
            Source::Control => self.take_peers(),
            Source::Peer(id) => self.hear(id),
            Source::Mapping(id) => match self.published.socket(id) {
                Some(Socket::Stream(_)) => self.take_connections(id),
                Some(Socket::Datagram(_)) => self.take_datagrams(id),
                None => {}
            },
            Source::Client(id) | Source::Target(id) => {
                self.connections.serve(id, event, &self.poller);
            }
            Source::Session(id) => self.sessions.answer(id, &self.published),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes waiting connections of a mapping as long as there is room for more.
    fn take_connections(&mut self, mapping: u64) {
        for _ in 0..TURN {
            let id = self.number();
            let Some((Socket::Stream(listener), target)) = self.published.get(mapping) else {
                return;
            };
            if !self.connections.has_room(mapping, &self.limits) {
                return self.published.pause(mapping, &self.poller);
            }
            match self.connections.accept(id, mapping, (listener, target), &self.poller) {
                Accepted::One => {}
                Accepted::None => return,
                Accepted::Exhausted => {
                    self.relief = Some(Instant::now() + RELIEF);
                    return self.published.pause(mapping, &self.poller);
                }
            }
        }
    }

    fn take_datagrams(&mut self, mapping: u64) {
        for _ in 0..TURN {
            let id = self.number();
            let Some((Socket::Datagram(listener), target)) = self.published.get(mapping) else {
                return;
            };
            let at = Listening { mapping, socket: listener, target, limits: &self.limits };
            if !self.sessions.forward(id, &at, &self.poller) {
                return;
            }
        }
    }

    /// Listens again where there is room again.
    fn resume(&mut self, now: Instant) {
        if self.relief.is_some_and(|relief| now < relief) {
            return;
        }
        self.relief = None;
        let (connections, limits) = (&self.connections, &self.limits);
        self.published.resume(&self.poller, |mapping| connections.has_room(mapping, limits));
        if !self.open {
            self.open = self.poller.add(&self.control, Source::Control, READABLE).is_ok();
        }
    }

    /// Gives the control socket's name away while it still listens: whoever is refused afterwards
    /// may put a new one there, and this process never touches the name again.
    fn leave(&mut self) {
        // When it is gone already, or cannot go, the next starter replaces it.
        let _ = fs::remove_file(&self.path);
        self.leaving = true;
    }
}
