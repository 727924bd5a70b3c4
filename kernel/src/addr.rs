//! Addresses of links, as in ip-address(8).

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use types::{Cidr, Family};

use crate::link::Dev;
use crate::netlink::attributes::{Attributes, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, CREATE, Error, REPLACE, Request, RequestError, Socket};

/// An address to give to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addr {
    /// The address with its network's prefix.
    pub cidr: Cidr,
    /// Whether IPv6 looks for a duplicate before the address is used.
    pub dad: Dad,
    /// Whether the kernel makes the route to the address's network.
    pub prefix_route: PrefixRoute,
}

/// IPv6 duplicate address detection (RFC 4862 §5.4): one to two seconds during which an address
/// cannot be used. IPv4 has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dad {
    /// Leave it out: for addresses that came from a pool of our own.
    #[default]
    Skip,
    /// Do it.
    Detect,
}

/// Whether an address brings the route to its network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrefixRoute {
    /// Yes, as usual.
    #[default]
    Make,
    /// No (`noprefixroute`).
    Leave,
}

impl Addr {
    /// `cidr` without duplicate detection, with the route to its network.
    #[must_use]
    pub fn new(cidr: Cidr) -> Self {
        Self { cidr, dad: Dad::default(), prefix_route: PrefixRoute::default() }
    }

    /// The same with the given duplicate detection.
    #[must_use]
    pub fn dad(self, dad: Dad) -> Self {
        Self { dad, ..self }
    }

    /// The same with or without the route to its network.
    #[must_use]
    pub fn prefix_route(self, prefix_route: PrefixRoute) -> Self {
        Self { prefix_route, ..self }
    }

    fn message(&self, dev: &Dev) -> Encoder {
        /// `linux/if_addr.h`.
        const IFA_F_NOPREFIXROUTE: u32 = 0x200;
        let mut message = message(self.cidr, dev);
        let mut flags = 0;
        if self.cidr.family() == Family::V6 && self.dad == Dad::Skip {
            flags |= libc::IFA_F_NODAD;
        }
        if self.prefix_route == PrefixRoute::Leave {
            flags |= IFA_F_NOPREFIXROUTE;
        }
        message.u32(libc::IFA_FLAGS, flags);
        if let Some(broadcast) = self.cidr.broadcast() {
            message.ip(libc::IFA_BROADCAST, broadcast.into());
        }
        message
    }
}

impl From<Cidr> for Addr {
    fn from(cidr: Cidr) -> Self {
        Self::new(cidr)
    }
}

/// The request that adds an address, with the broadcast address of its network (IPv4, shorter
/// than /31). `EEXIST` when the link has it.
pub fn add(dev: &Dev, addr: impl Into<Addr>) -> Request {
    request("add", libc::RTM_NEWADDR, CREATE, dev, addr.into())
}

/// The request that adds an address or updates the flags of the one that is there.
pub fn replace(dev: &Dev, addr: impl Into<Addr>) -> Request {
    request("replace", libc::RTM_NEWADDR, REPLACE, dev, addr.into())
}

/// The request that removes an address. `EADDRNOTAVAIL` when the link has no such one.
#[must_use]
pub fn del(dev: &Dev, cidr: Cidr) -> Request {
    let action = action("del", cidr, dev);
    Request::new(libc::RTM_DELADDR, 0, message(cidr, dev), action)
}

/// An address at the moment it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The address with its network's prefix.
    pub cidr: Cidr,
    /// Index of its link.
    pub index: u32,
    /// `IFA_F_` bits of `linux/if_addr.h`.
    pub flags: u32,
    /// 0 global, 253 link, 254 host: `RT_SCOPE_`.
    pub scope: u8,
}

impl Found {
    /// Whether duplicate detection is still running.
    #[must_use]
    pub fn is_tentative(&self) -> bool {
        self.flags & libc::IFA_F_TENTATIVE != 0
    }

    /// Whether duplicate detection found another owner.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.flags & libc::IFA_F_DADFAILED != 0
    }

    /// Whether it stays until somebody removes it.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.flags & libc::IFA_F_PERMANENT != 0
    }

    /// Whether the kernel makes the route to its network.
    #[must_use]
    pub fn prefix_route(&self) -> PrefixRoute {
        match self.flags & libc::IFA_F_NOPREFIXROUTE {
            0 => PrefixRoute::Make,
            _ => PrefixRoute::Leave,
        }
    }

    /// Whether it is meant for use beyond its link.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.scope == libc::RT_SCOPE_UNIVERSE
    }

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        const HEADER_BYTES: usize = 8;
        let (&[_, prefix, flags, scope], _) = body.split_first_chunk()?;
        let (mut local, mut address, mut all_flags) = (None, None, u32::from(flags));
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                libc::IFA_LOCAL => local = attribute.ip(),
                libc::IFA_ADDRESS => address = attribute.ip(),
                libc::IFA_FLAGS => all_flags = attribute.u32().unwrap_or(all_flags),
                _ => {}
            }
        }
        // On a point-to-point link IFA_ADDRESS is the other end and IFA_LOCAL ours.
        let cidr = Cidr::new(local.or(address)?, prefix)?;
        Some(Self { cidr, index: u32_at(body, 4)?, flags: all_flags, scope })
    }
}

/// Reads the addresses of one link; the kernel filters.
///
/// # Errors
/// When they cannot be read; a link that does not exist is [`RequestError::is_missing`].
pub fn list(socket: &Socket, dev: &Dev) -> Result<Vec<Found>, RequestError> {
    dump(socket, dev.index, format!("addresses of {dev}"))
}

/// Reads all addresses of the namespace.
///
/// # Errors
/// When they cannot be read.
pub fn list_all(socket: &Socket) -> Result<Vec<Found>, RequestError> {
    dump(socket, 0, "addresses".into())
}

/// Waits until an IPv6 address of `dev` changes (duplicate detection ends, …), at most until
/// `deadline`. It also returns after 50 ms, since a change may have come before anybody listened:
/// look again, then call again.
///
/// `socket` and the calling thread must be in the same namespace.
///
/// # Errors
/// When the events cannot be heard; the deadline alone is no error.
pub fn wait_for_change(socket: &Socket, dev: &Dev, deadline: Instant) -> Result<(), RequestError> {
    /// `linux/rtnetlink.h`: IPv6 addresses.
    const RTNLGRP_IPV6_IFADDR: u32 = 9;
    /// An end of detection that came before we listened is seen after this at the latest.
    const ROUND: Duration = Duration::from_millis(50);
    let events = Socket::open(socket.place())?;
    events.subscribe(RTNLGRP_IPV6_IFADDR)?;
    let until = deadline.min(Instant::now() + ROUND);
    let heard = events.receive(until, |message| match Found::parse(message.body) {
        Some(found) if found.index == dev.index => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    match heard {
        Ok(()) | Err(Error::Overrun | Error::Timeout(_)) => Ok(()),
        Err(source) => {
            let action = Action::List { what: format!("addresses of {dev}") };
            Err(events.failed(&action, source))
        }
    }
}

fn dump(socket: &Socket, index: u32, what: String) -> Result<Vec<Found>, RequestError> {
    socket.dump(&list_request(index, what), Found::parse)
}

/// Index 0 is all links.
pub(crate) fn list_request(index: u32, what: String) -> Request {
    let message = Encoder::after(&header([0; 4], index));
    Request::new(libc::RTM_GETADDR, 0, message, Action::List { what })
}

fn request(verb: &'static str, kind: u16, flags: u16, dev: &Dev, addr: Addr) -> Request {
    Request::new(kind, flags, addr.message(dev), action(verb, addr.cidr, dev))
}

fn action(verb: &'static str, cidr: Cidr, dev: &Dev) -> Action {
    Action::Addr { verb, addr: cidr.to_string(), link: dev.name.clone() }
}

fn message(cidr: Cidr, dev: &Dev) -> Encoder {
    let flags = 0; // an attribute has them all
    let start = [family(cidr.family()), cidr.prefix(), flags, scope(cidr.ip())];
    let mut message = Encoder::after(&header(start, dev.index));
    message.ip(libc::IFA_LOCAL, cidr.ip());
    message.ip(libc::IFA_ADDRESS, cidr.ip());
    message
}

/// `struct ifaddrmsg`: family, prefix, flags and scope, then the link.
fn header(start: [u8; 4], index: u32) -> [u8; 8] {
    let mut header = [0; 8];
    header[..4].copy_from_slice(&start);
    header[4..].copy_from_slice(&index.to_ne_bytes());
    header
}

/// As ip(8) has it: loopback addresses do not leave the host.
fn scope(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => libc::RT_SCOPE_HOST,
        _ => libc::RT_SCOPE_UNIVERSE,
    }
}

/// The kernel's number for a family.
pub(crate) fn family(family: Family) -> u8 {
    match family {
        Family::V4 => libc::AF_INET as u8,
        Family::V6 => libc::AF_INET6 as u8,
    }
}
