//! The control socket: who may ask, and what is done about it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ::control::MOST_BYTES;
use cni::{Error, code};
use kernel::descriptors;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};
use nix::unistd::geteuid;
use types::Attachment;

use super::adopt::adopt;
use super::poller::{Poller, READABLE, Source, WRITABLE};
use super::{Daemon, PATIENCE, RELIEF, TURN};
use crate::client::Served;
use crate::mapping::{Mapping, Protocol};
use crate::message::{Reply, Request, listing};

/// How long a client may keep us waiting for its next word, or for reading ours.
const SILENCE: Duration = Duration::from_secs(5);

/// Most clients at once; for one more, the one that was silent longest is sent away.
const MOST: usize = 32;

/// Clients of the control socket, by number.
#[derive(Default)]
pub(super) struct Peers {
    all: HashMap<u64, Peer>,
}

struct Peer {
    socket: UnixStream,
    /// What it has not read yet. Nothing more is heard of it meanwhile.
    replies: VecDeque<Vec<u8>>,
    until: Instant,
}

impl Peers {
    /// Sends away whoever has been silent longest, as long as there are too many for one more.
    fn make_room(&mut self) {
        while self.all.len() >= MOST {
            let longest = self.all.iter().min_by_key(|(_, peer)| peer.until).map(|(id, _)| *id);
            self.all.remove(&longest.expect("where there are too many, there is one"));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.all.values().map(|peer| peer.until).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.all.retain(|_, peer| peer.until > now);
    }

    fn answer(&mut self, id: u64, replies: &[Reply], poller: &Poller) {
        if let Some(peer) = self.all.get_mut(&id) {
            peer.replies.extend(replies.iter().map(Reply::encode));
            peer.until = Instant::now() + SILENCE;
            self.flush(id, poller);
        }
    }

    /// Sends what can be sent; a client that went away is forgotten.
    fn flush(&mut self, id: u64, poller: &Poller) {
        let Some(peer) = self.all.get_mut(&id) else { return };
        let flushed = peer.flush().and_then(|()| {
            let wanted = if peer.replies.is_empty() { READABLE } else { WRITABLE };
            poller.modify(&peer.socket, Source::Peer(id), wanted)
        });
        if flushed.is_err() {
            self.all.remove(&id);
        }
    }
}

impl Peer {
    fn flush(&mut self) -> io::Result<()> {
        while let Some(reply) = self.replies.front() {
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            match send(self.socket.as_raw_fd(), reply, flags) {
                Ok(_) => drop(self.replies.pop_front()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Daemon {
    /// Takes clients that wait.
    pub(super) fn take_peers(&mut self) {
        for _ in 0..TURN {
            match self.control.accept() {
                Ok((socket, _)) => self.take_peer(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // Files or memory are short, and the poller would report those who wait again
                    // and again.
                    self.relief = Some(Instant::now() + RELIEF);
                    self.poller.remove(&self.control);
                    self.open = false;
                    return;
                }
            }
        }
    }

    fn take_peer(&mut self, socket: UnixStream) {
        self.peers.make_room();
        let id = self.number();
        let taken = socket
            .set_nonblocking(true)
            .and_then(|()| self.poller.add(&socket, Source::Peer(id), READABLE));
        if taken.is_err() {
            return;
        }
        let allowed = getsockopt(&socket, sockopt::PeerCredentials)
            .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw());
        let peer = Peer { socket, replies: VecDeque::new(), until: Instant::now() + SILENCE };
        self.peers.all.insert(id, peer);
        if !allowed {
            let text = "only root, and the user that cais-proxy runs as, may tell it what to do";
            let refused = Reply::Refused(Error::new(code::IO, text));
            self.peers.answer(id, &[refused], &self.poller);
            self.peers.all.remove(&id);
        }
    }

    /// Hears a client's next request and answers it.
    pub(super) fn hear(&mut self, id: u64) {
        let Some(peer) = self.peers.all.get(&id) else { return };
        if !peer.replies.is_empty() {
            return self.peers.flush(id, &self.poller);
        }
        let mut buffer = vec![0; MOST_BYTES];
        let received = match descriptors::receive(&peer.socket, &mut buffer) {
            Ok(received) if received.length > 0 => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            _ => return drop(self.peers.all.remove(&id)),
        };
        let bytes = &buffer[..received.length];
        let replies = match received.truncated {
            true => Err(Error::new(code::DECODE, "the message, or what came with it, did not fit")),
            false => Request::parse(bytes).and_then(|request| {
                self.obey(request, received.descriptors)
                    .map_err(|error| error.in_step("cais-proxy refuses"))
            }),
        };
        self.lonely = Instant::now() + PATIENCE;
        let replies = replies.unwrap_or_else(|error| vec![Reply::Refused(error)]);
        self.peers.answer(id, &replies, &self.poller);
    }

    fn obey(&mut self, request: Request, sockets: Vec<OwnedFd>) -> Result<Vec<Reply>, Error> {
        match request {
            Request::Serve { key, replace, mappings } => {
                self.publish(&key, replace, mappings, sockets)?;
            }
            Request::Drop { key } => {
                let had = self.withdraw(&key);
                if had && self.published.is_empty() {
                    self.leave();
                }
            }
            Request::List => return Ok(listing(std::process::id(), self.served())),
        }
        Ok(vec![Reply::Done])
    }

    /// Serves all of `mappings` or none.
    fn publish(
        &mut self,
        key: &Attachment,
        replace: bool,
        mappings: Vec<Mapping>,
        sockets: Vec<OwnedFd>,
    ) -> Result<(), Error> {
        if mappings.len() != sockets.len() {
            let text = format!("{} mappings with {} sockets", mappings.len(), sockets.len());
            return Err(Error::new(code::INVALID_CONFIG, text));
        }
        let had = if replace { self.published.of(key).len() } else { 0 };
        if self.published.len() - had + mappings.len() > self.limits.mappings {
            let text = format!("{} mappings are all that open files allow", self.limits.mappings);
            return Err(Error::new(code::EXHAUSTED, text)
                .with_hint("raise the runtime's limit of open files (LimitNOFILE of its unit)"));
        }
        let adopted: Vec<_> = mappings
            .into_iter()
            .zip(sockets)
            .map(|(mapping, socket)| Ok((mapping, adopt(socket, &mapping, &self.control)?)))
            .collect::<Result<_, Error>>()?;
        if replace {
            self.withdraw(key);
        }
        for with_socket in adopted {
            let (id, mapping) = (self.number(), with_socket.0);
            self.published.insert(id, key, with_socket, &self.poller).map_err(|error| {
                self.withdraw(key);
                crate::failed(format!("watch {mapping}"), error)
            })?;
        }
        Ok(())
    }

    /// Closes all of a key; whether there was anything.
    fn withdraw(&mut self, key: &Attachment) -> bool {
        let ids = self.published.of(key);
        for id in &ids {
            self.published.remove(*id, &self.poller);
            self.connections.drop_mapping(*id);
            self.sessions.drop_mapping(*id);
        }
        !ids.is_empty()
    }

    fn served(&self) -> Vec<Served> {
        let one = |(id, key, mapping): (u64, &Attachment, &Mapping)| {
            let active = match mapping.protocol {
                Protocol::Tcp => self.connections.count(id),
                Protocol::Udp => self.sessions.count(id),
            };
            let active = u32::try_from(active).unwrap_or(u32::MAX);
            Served { key: key.clone(), mapping: *mapping, active }
        };
        self.published.iter().map(one).collect()
    }
}
