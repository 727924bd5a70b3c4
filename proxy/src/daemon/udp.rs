//! UDP: each client of a mapping has a socket of its own towards the container, by which replies
//! find back.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg,
};

use super::TURN;
use super::ages::Ages;
use super::limits::Limits;
use super::poller::{Poller, READABLE, Source};
use super::published::{Published, Socket};

/// After so long without a datagram either way, a client is forgotten.
const IDLE: Duration = Duration::from_secs(90);

/// More than any datagram has.
const DATAGRAM: usize = 64 * 1024;

/// Who asked whom: what a client's datagrams have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    mapping: u64,
    client: SocketAddrV6,
    /// The address of ours that it wrote to, and has to be answered from.
    local: Ipv6Addr,
}

struct Session {
    flow: Flow,
    socket: UdpSocket,
    heard: Instant,
}

/// All clients, by number.
pub(super) struct Sessions {
    all: HashMap<u64, Session>,
    ids: HashMap<Flow, u64>,
    ages: Ages,
    datagram: Box<[u8]>,
    control: Vec<u8>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            ids: HashMap::new(),
            ages: Ages::default(),
            datagram: vec![0; DATAGRAM].into_boxed_slice(),
            control: nix::cmsg_space!(libc::in6_pktinfo),
        }
    }
}

/// A mapping's side of it.
pub(super) struct Listening<'a> {
    pub(super) mapping: u64,
    pub(super) socket: &'a UdpSocket,
    pub(super) target: SocketAddr,
    pub(super) limits: &'a Limits,
}

impl Sessions {
    /// How many clients a mapping has.
    pub(super) fn count(&self, mapping: u64) -> usize {
        self.ages.count(mapping)
    }

    /// When the next client is to be forgotten.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ages.oldest().map(|(heard, _)| heard + IDLE)
    }

    /// Takes one datagram of a client and passes it on; `false` when none waits. `id` is the
    /// client's number if it is a new one. What cannot be passed on is lost, as UDP may lose it.
    pub(super) fn forward(&mut self, id: u64, at: &Listening<'_>, poller: &Poller) -> bool {
        let (length, flow) = match receive(at, &mut self.datagram, &mut self.control) {
            Err(Errno::EAGAIN) => return false,
            Ok((length, Some(flow))) => (length, flow),
            Ok((_, None)) | Err(_) => return true,
        };
        let known = self.ids.get(&flow).copied();
        let Some(id) = known.or_else(|| self.begin(id, flow, at, poller)) else {
            return true;
        };
        self.touch(id, Instant::now());
        if let Some(session) = self.all.get(&id) {
            let _ = session.socket.send(&self.datagram[..length]);
        }
        true
    }

    /// Passes replies back to the client.
    pub(super) fn answer(&mut self, id: u64, published: &Published) {
        let Some(session) = self.all.get(&id) else { return };
        let Some(Socket::Datagram(listener)) = published.socket(session.flow.mapping) else {
            return;
        };
        let mut heard = false;
        for _ in 0..TURN {
            match session.socket.recv(&mut self.datagram) {
                Ok(length) => {
                    heard = true;
                    reply(listener, &session.flow, &self.datagram[..length]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // That nobody listens in the container, for example. Somebody may later.
                Err(_) => {}
            }
        }
        if heard {
            self.touch(id, Instant::now());
        }
    }

    /// Forgets those that were silent for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, id)) = self.ages.oldest().filter(|(heard, _)| *heard + IDLE <= now) {
            self.forget(id);
        }
    }

    pub(super) fn drop_mapping(&mut self, mapping: u64) {
        for id in self.ages.of(mapping) {
            self.forget(id);
        }
    }

    /// A new client, for which those go that were silent longest if it has to be. `None` when the
    /// system does not let us.
    fn begin(&mut self, id: u64, flow: Flow, at: &Listening<'_>, poller: &Poller) -> Option<u64> {
        if self.ages.count(flow.mapping) >= at.limits.sessions_each {
            self.forget(self.ages.oldest_of(flow.mapping)?);
        } else if self.all.len() >= at.limits.sessions {
            self.forget(self.ages.oldest()?.1);
        }
        let socket = connected(at.target).ok()?;
        poller.add(&socket, Source::Session(id), READABLE).ok()?;
        let heard = Instant::now();
        self.ages.insert(flow.mapping, id, heard);
        self.ids.insert(flow, id);
        self.all.insert(id, Session { flow, socket, heard });
        Some(id)
    }

    fn touch(&mut self, id: u64, now: Instant) {
        if let Some(session) = self.all.get_mut(&id) {
            self.ages.remove(session.flow.mapping, id, session.heard);
            self.ages.insert(session.flow.mapping, id, now);
            session.heard = now;
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(session) = self.all.remove(&id) {
            self.ids.remove(&session.flow);
            self.ages.remove(session.flow.mapping, id, session.heard);
        }
    }
}

fn connected(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = match target {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One datagram: how long it is, and whose; not whose when the kernel does not say so.
fn receive(
    at: &Listening<'_>,
    datagram: &mut [u8],
    control: &mut [u8],
) -> nix::Result<(usize, Option<Flow>)> {
    let mut parts = [IoSliceMut::new(datagram)];
    let socket = at.socket.as_raw_fd();
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn6>(socket, &mut parts, Some(control), flags)?;
    let local = message.cmsgs()?.find_map(|with| match with {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info.ipi6_addr.s6_addr.into()),
        _ => None,
    });
    let flow = message.address.zip(local).map(|(client, local)| {
        let client = SocketAddrV6::from(client);
        Flow { mapping: at.mapping, client, local }
    });
    Ok((message.bytes, flow))
}

/// Sends a reply from the address that was asked.
fn reply(listener: &UdpSocket, flow: &Flow, bytes: &[u8]) {
    let info = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: flow.local.octets() },
        // Which link it is matters for link-local addresses only, and a client has one as well then.
        ipi6_ifindex: flow.client.scope_id(),
    };
    let client = SockaddrIn6::from(flow.client);
    let with = [ControlMessage::Ipv6PacketInfo(&info)];
    let parts = [IoSlice::new(bytes)];
    // A reply that does not fit now is lost, as UDP may lose it.
    let _ = sendmsg(listener.as_raw_fd(), &parts, &with, MsgFlags::MSG_DONTWAIT, Some(&client));
}
