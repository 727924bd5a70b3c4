//! Neighbours (ARP and NDP entries), as in ip-neighbour(8).

use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use types::{Family, MacAddr};

use crate::addr::family;
use crate::link::Dev;
use crate::netlink::attributes::{Attributes, u16_at, u32_at};
use crate::netlink::{Action, REPLACE, Request, RequestError, Socket};

/// A neighbour at the moment it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Neigh {
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address, where known.
    pub mac: Option<MacAddr>,
    /// Index of the link it is on.
    pub index: u32,
    /// `NUD_` bits of `linux/neighbour.h`: 0x80 permanent, 0x02 reachable.
    pub state: u16,
}

impl Neigh {
    /// Whether somebody set it and the kernel never changes it.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.state == u16::from(NeighbourState::Permanent)
    }

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        const HEADER_BYTES: usize = 12;
        let (mut ip, mut mac) = (None, None);
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                libc::NDA_DST => ip = attribute.ip(),
                libc::NDA_LLADDR => mac = attribute.mac(),
                _ => {}
            }
        }
        Some(Self { ip: ip?, mac, index: u32_at(body, 4)?, state: u16_at(body, 8)? })
    }
}

/// The request that makes `ip` on `dev` permanently `mac`, whatever was known of it.
#[must_use]
pub fn replace(dev: &Dev, ip: IpAddr, mac: MacAddr) -> Request {
    let mut message = message(dev, ip);
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec()));
    request("replace", libc::RTM_NEWNEIGH, REPLACE, &message, (dev, ip))
}

/// The request that forgets `ip` on `dev`. `ENOENT` when it is not known.
#[must_use]
pub fn del(dev: &Dev, ip: IpAddr) -> Request {
    request("del", libc::RTM_DELNEIGH, 0, &message(dev, ip), (dev, ip))
}

/// Reads the neighbours on one link; the kernel filters.
///
/// # Errors
/// When they cannot be read.
pub fn list(socket: &Socket, dev: &Dev) -> Result<Vec<Neigh>, RequestError> {
    socket.dump(&list_request(dev), Neigh::parse)
}

pub(crate) fn list_request(dev: &Dev) -> Request {
    let mut message = NeighbourMessage::default();
    message.attributes.push(NeighbourAttribute::IfIndex(dev.index));
    let action = Action::List { what: format!("neighbours on {dev}") };
    Request::new(libc::RTM_GETNEIGH, 0, &message, action)
}

fn message(dev: &Dev, ip: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(Family::of(ip));
    message.header.ifindex = dev.index;
    let address = match ip {
        IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
        IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
    };
    message.attributes.push(NeighbourAttribute::Destination(address));
    message
}

fn request(
    verb: &'static str,
    kind: u16,
    flags: u16,
    message: &NeighbourMessage,
    (dev, ip): (&Dev, IpAddr),
) -> Request {
    let action = Action::Neigh { verb, neigh: ip.to_string(), link: dev.name.clone() };
    Request::new(kind, flags, message, action)
}
