//! Taking a listening socket that came with a message, if it is what the message says.

use std::io;
use std::net::{SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use cni::{Error, code};
use kernel::descriptors::namespace_of;
use nix::sys::socket::{self, SockType, SockaddrIn6, sockopt};

use super::published::Socket;
use crate::failed;
use crate::mapping::{Mapping, Protocol};

/// Makes `socket` ours, without ever waiting on it. `control` is a socket of our own namespace.
pub(super) fn adopt(
    socket: OwnedFd,
    mapping: &Mapping,
    control: impl AsFd,
) -> Result<Socket, Error> {
    let what = look_at(&socket).map_err(|error| failed(format!("take {mapping}"), error))?;
    let refused = |why: &str| {
        Err(Error::new(code::INVALID_CONFIG, format!("take {mapping}: the socket {why}")))
    };
    let kind = match mapping.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    if what.kind != kind {
        return refused("is for another protocol");
    }
    if mapping.protocol == Protocol::Tcp && !what.listens {
        return refused("does not listen");
    }
    if (what.bound.ip(), what.bound.port()) != (mapping.listen.ip(), mapping.listen.port()) {
        return refused(&format!("is bound to {}", what.bound));
    }
    // Traffic would be passed on from another namespace than it came in by.
    if namespace_of(&socket) != namespace_of(&control) {
        return refused("is of another network namespace than cais-proxy");
    }
    prepared(socket, mapping.protocol).map_err(|error| failed(format!("take {mapping}"), error))
}

struct Looks {
    kind: SockType,
    listens: bool,
    bound: SocketAddrV6,
}

fn look_at(socket: &OwnedFd) -> io::Result<Looks> {
    let bound: SockaddrIn6 = socket::getsockname(socket.as_raw_fd())?;
    Ok(Looks {
        kind: socket::getsockopt(socket, sockopt::SockType)?,
        listens: socket::getsockopt(socket, sockopt::AcceptConn)?,
        bound: bound.into(),
    })
}

fn prepared(socket: OwnedFd, protocol: Protocol) -> io::Result<Socket> {
    Ok(match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            Socket::Stream(listener)
        }
        Protocol::Udp => {
            // Replies have to leave from the address that was asked.
            socket::setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            let listener = UdpSocket::from(socket);
            listener.set_nonblocking(true)?;
            Socket::Datagram(listener)
        }
    })
}
