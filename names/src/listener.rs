//! The sockets at which the daemon answers, made by whoever attaches a container.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use cni::{Error, code};
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt,
};

use types::IfName;

use crate::failed;
use crate::record::Place;

/// Where names are asked for within a container. Programs and their configurations name it.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port that is tried first, then those below it. Only root may listen below 1024, so nobody
/// else can ever answer in the daemon's place.
pub const PORT: u16 = 1021;

/// Bytes of queries that wait while nobody reads them, as when one worker follows another, or behind a
/// flood: some thousands. The kernel keeps some 270 without it, and takes memory for none that is not
/// there.
const QUEUE: usize = 2 << 20;

/// How many ports are tried.
const PORTS: u16 = 20;

/// A socket for each protocol, at the same port. Closed when dropped.
#[derive(Debug)]
pub struct Sockets {
    /// Receives datagrams.
    pub udp: OwnedFd,
    /// Listens.
    pub tcp: OwnedFd,
}

impl Sockets {
    /// Listens at `place` in the calling thread's network namespace: at its port, else at the next
    /// free one below. An address may be bound that is not there yet, or still being probed.
    ///
    /// # Errors
    /// Code 100 when all ports are taken; code 5 with what the system said.
    pub fn bind(place: &Place) -> Result<(Self, Place), Error> {
        let first = place.port();
        for port in (first.saturating_sub(PORTS)..=first).rev() {
            let place = place.at_port(port);
            match open(address(&place), device(&place)) {
                Ok(sockets) => return Ok((sockets, place)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(failed(format!("listen for names at {}", address(&place)), error)
                        .with_hint("ports below 1024 need CAP_NET_BIND_SERVICE"));
                }
            }
        }
        let text =
            format!("listen for names at {}: it and {PORTS} below are taken", address(place));
        Err(Error::new(code::EXHAUSTED, text).with_hint("`ss -lnp` names who has these ports"))
    }

    /// Listens at an address and a port, whatever link queries come by.
    ///
    /// # Errors
    /// What the system said: the port is taken, say.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        open(address, None)
    }

    /// Both, datagrams first: the order in which they are handed over.
    #[must_use]
    pub fn both(&self) -> [BorrowedFd<'_>; 2] {
        [self.udp.as_fd(), self.tcp.as_fd()]
    }
}

fn address(place: &Place) -> SocketAddr {
    match place {
        Place::Gateway { address, port, .. } => SocketAddr::new(*address, *port),
        Place::Container { port } => SocketAddr::new(IpAddr::V4(ADDRESS), *port),
    }
}

fn device(place: &Place) -> Option<&IfName> {
    match place {
        Place::Gateway { link, .. } => Some(link),
        Place::Container { .. } => None,
    }
}

fn open(address: SocketAddr, link: Option<&IfName>) -> io::Result<Sockets> {
    let udp = bound(address, link, SockType::Datagram)?;
    let tcp = bound(address, link, SockType::Stream)?;
    socket::listen(&tcp, Backlog::MAXCONN)?;
    Ok(Sockets { udp, tcp })
}

fn bound(address: SocketAddr, link: Option<&IfName>, kind: SockType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(family, kind, flags, None)?;
    if kind == SockType::Datagram {
        // A user who is not root of the machine has what its `rmem_max` allows.
        let _ = socket::setsockopt(&socket, sockopt::RcvBufForce, &QUEUE)
            .or_else(|_| socket::setsockopt(&socket, sockopt::RcvBuf, &QUEUE));
    } else {
        // A port whose last connections are in TIME_WAIT is free. UDP has nothing of that kind, and
        // with this option two sockets could share a port.
        socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    // An IPv6 gateway may still be probed, and `lo` of a new namespace is down.
    socket::setsockopt(&socket, sockopt::IpFreebind, &true)?;
    if let Some(link) = link {
        // Nobody but the bridge's neighbours gets an answer, whatever the host routes.
        socket::setsockopt(&socket, sockopt::BindToDevice, &link.as_str().into())?;
    }
    if address.is_ipv6() {
        socket::setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}
