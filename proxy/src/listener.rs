//! The listening socket, made by whoever publishes a port.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use cni::{Error, code};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, sockopt};

use crate::failed;
use crate::mapping::{Mapping, Protocol};

/// A socket that listens, and nobody serves yet. Closed when dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    protocol: Protocol,
    address: SocketAddrV6,
}

/// A listener and where it leads: what [`Client::serve`](crate::Client::serve) hands over.
#[derive(Debug)]
pub struct Offer {
    socket: OwnedFd,
    mapping: Mapping,
}

/// Listens at `address`, `::1` or `::`, in the calling thread's network namespace, which has to be
/// the host's. Port 0 lets the kernel choose one, see [`Listener::port`]. Only IPv6 arrives here
/// (`IPV6_V6ONLY`).
///
/// # Errors
/// Code 100 when somebody else has the port; code 5 when the host has no IPv6 or such.
pub fn listen(protocol: Protocol, address: Ipv6Addr, port: u16) -> Result<Listener, Error> {
    let wanted = SocketAddrV6::new(address, port, 0, 0);
    let (socket, address) =
        open(protocol, wanted).map_err(|error| explained(protocol, wanted, &error))?;
    Ok(Listener { socket, protocol, address })
}

fn open(protocol: Protocol, wanted: SocketAddrV6) -> io::Result<(OwnedFd, SocketAddrV6)> {
    let kind = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let socket = socket::socket(AddressFamily::Inet6, kind, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    if protocol == Protocol::Tcp {
        // A port whose last connections are in TIME_WAIT is free. UDP has nothing of that kind, and
        // with this option two sockets could share a port.
        socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrIn6::from(wanted))?;
    if protocol == Protocol::Tcp {
        socket::listen(&socket, Backlog::MAXCONN)?;
    }
    let bound: SockaddrIn6 = socket::getsockname(socket.as_raw_fd())?;
    Ok((socket, bound.into()))
}

fn explained(protocol: Protocol, wanted: SocketAddrV6, error: &io::Error) -> Error {
    let step = format!("listen on {wanted}/{protocol}");
    match error.kind() {
        io::ErrorKind::AddrInUse => Error::new(code::EXHAUSTED, format!("{step}: {error}"))
            .with_hint("another program of this host has the port: `ss -lnp` names it"),
        _ => failed(step, error).with_hint("is IPv6 enabled on the host, and on its lo?"),
    }
}

impl Listener {
    /// The port, chosen by the kernel where 0 was asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address and port.
    #[must_use]
    pub fn address(&self) -> SocketAddrV6 {
        self.address
    }

    /// Says where what arrives is passed on to, as the host's namespace reaches it.
    #[must_use]
    pub fn lead_to(self, target: SocketAddr) -> Offer {
        let mapping = Mapping { protocol: self.protocol, listen: self.address, target };
        Offer { socket: self.socket, mapping }
    }
}

impl Offer {
    /// What is offered.
    #[must_use]
    pub fn mapping(&self) -> Mapping {
        self.mapping
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
