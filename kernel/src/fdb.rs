//! Forwarding entries of a device, as in bridge(8), `fdb … self`: which frames a VXLAN end sends to
//! which host.

use std::net::IpAddr;

use types::MacAddr;

use crate::link::Dev;
use crate::neigh::{HEADER_BYTES, header};
use crate::netlink::attributes::{Attributes, u16_at, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, REPLACE, Request, RequestError, Socket};

/// An entry at the moment it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fdb {
    /// Frames to this address…
    pub mac: MacAddr,
    /// …go to this host, where the device is a tunnel's end.
    pub dst: Option<IpAddr>,
    /// Index of the device.
    pub index: u32,
    /// `NUD_` bits: 0x80 permanent, 0x02 learnt.
    pub state: u16,
}

/// `linux/neighbour.h`: the device's own entry, not its bridge's.
const NTF_SELF: u8 = 2;

impl Fdb {
    /// Whether somebody set it and the kernel never changes it.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.state & libc::NUD_PERMANENT != 0
    }

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        if body.first() != Some(&(libc::AF_BRIDGE as u8)) || body.get(10)? & NTF_SELF == 0 {
            return None;
        }
        let (mut mac, mut dst) = (None, None);
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                libc::NDA_LLADDR => mac = attribute.mac(),
                libc::NDA_DST => dst = attribute.ip(),
                _ => {}
            }
        }
        Some(Self { mac: mac?, dst, index: u32_at(body, 4)?, state: u16_at(body, 8)? })
    }
}

/// The request that sends frames to `mac` to `dst` for good, wherever they went.
#[must_use]
pub fn replace(dev: &Dev, mac: MacAddr, dst: IpAddr) -> Request {
    let mut message = message(dev, mac, libc::NUD_PERMANENT);
    message.ip(libc::NDA_DST, dst);
    request("replace", libc::RTM_NEWNEIGH, REPLACE, message, (dev, mac))
}

/// The request that forgets `mac` on `dev`. `ENOENT` when it is not known.
#[must_use]
pub fn del(dev: &Dev, mac: MacAddr) -> Request {
    let message = message(dev, mac, libc::NUD_NONE);
    request("del", libc::RTM_DELNEIGH, 0, message, (dev, mac))
}

/// Reads the entries of one device; the kernel filters.
///
/// # Errors
/// When they cannot be read.
pub fn list(socket: &Socket, dev: &Dev) -> Result<Vec<Fdb>, RequestError> {
    let mut entries = socket.dump(&list_request(dev), Fdb::parse)?;
    // Kernels before 4.20 do not filter.
    entries.retain(|entry| entry.index == dev.index);
    Ok(entries)
}

pub(crate) fn list_request(dev: &Dev) -> Request {
    let mut header = [0; HEADER_BYTES];
    header[0] = libc::AF_BRIDGE as u8;
    let mut message = Encoder::after(&header);
    message.u32(libc::NDA_IFINDEX, dev.index);
    let action = Action::List { what: format!("forwarding entries of {dev}") };
    Request::new(libc::RTM_GETNEIGH, 0, message, action)
}

fn message(dev: &Dev, mac: MacAddr, state: u16) -> Encoder {
    let mut message = Encoder::after(&header(libc::AF_BRIDGE as u8, dev, (state, NTF_SELF)));
    message.mac(libc::NDA_LLADDR, mac);
    message
}

fn request(
    verb: &'static str,
    kind: u16,
    flags: u16,
    message: Encoder,
    (dev, mac): (&Dev, MacAddr),
) -> Request {
    let action = Action::Fdb { verb, mac: mac.to_string(), link: dev.name.clone() };
    Request::new(kind, flags, message, action)
}
