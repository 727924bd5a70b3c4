//! Neighbours (ARP and NDP entries), as in ip-neighbour(8).

use std::net::IpAddr;

use types::{Family, MacAddr};

use crate::addr::family;
use crate::link::Dev;
use crate::netlink::attributes::{Attributes, u16_at, u32_at};
use crate::netlink::encoder::Encoder;
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

pub(crate) const HEADER_BYTES: usize = 12;

impl Neigh {
    /// Whether somebody set it and the kernel never changes it.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.state == libc::NUD_PERMANENT
    }

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
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
    let mut message = message(dev, ip, libc::NUD_PERMANENT);
    message.mac(libc::NDA_LLADDR, mac);
    request("replace", libc::RTM_NEWNEIGH, REPLACE, message, (dev, ip))
}

/// The request that forgets `ip` on `dev`. `ENOENT` when it is not known.
#[must_use]
pub fn del(dev: &Dev, ip: IpAddr) -> Request {
    request("del", libc::RTM_DELNEIGH, 0, message(dev, ip, libc::NUD_NONE), (dev, ip))
}

/// Reads the neighbours on one link; the kernel filters.
///
/// # Errors
/// When they cannot be read.
pub fn list(socket: &Socket, dev: &Dev) -> Result<Vec<Neigh>, RequestError> {
    socket.dump(&list_request(dev), Neigh::parse)
}

pub(crate) fn list_request(dev: &Dev) -> Request {
    let mut message = Encoder::after(&[0; HEADER_BYTES]);
    message.u32(libc::NDA_IFINDEX, dev.index);
    let action = Action::List { what: format!("neighbours on {dev}") };
    Request::new(libc::RTM_GETNEIGH, 0, message, action)
}

fn message(dev: &Dev, ip: IpAddr, state: u16) -> Encoder {
    let mut message = Encoder::after(&header(family(Family::of(ip)), dev, (state, 0)));
    message.ip(libc::NDA_DST, ip);
    message
}

/// `struct ndmsg`: family, padding, link, state, flags, type.
pub(crate) fn header(family: u8, dev: &Dev, (state, flags): (u16, u8)) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0] = family;
    header[4..8].copy_from_slice(&dev.index.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    header
}

fn request(
    verb: &'static str,
    kind: u16,
    flags: u16,
    message: Encoder,
    (dev, ip): (&Dev, IpAddr),
) -> Request {
    let action = Action::Neigh { verb, neigh: ip.to_string(), link: dev.name.clone() };
    Request::new(kind, flags, message, action)
}
