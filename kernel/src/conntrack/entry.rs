//! An entry of the connection table, borrowed from the listing.

use std::net::IpAddr;

use super::{cta, verb};
use crate::netlink::attributes::{Attribute, Attributes};
use crate::netlink::netfilter::{HEADER_BYTES, header};
use crate::netlink::{Action, Request};

/// One tracked connection. Nothing of it is copied before it is to be deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Packets of whoever began it, before translation.
    pub(super) original: Tuple,
    /// The packets that answer them, before translation back.
    pub(super) reply: Tuple,
    family: u8,
    /// What names the entry to the kernel, as it came.
    tuple: &'a [u8],
    zone: Option<&'a [u8]>,
    id: &'a [u8],
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// `IPPROTO_*`
    pub(super) protocol: u8,
    /// Where the protocol has ports.
    pub(super) destination_port: Option<u16>,
}

impl<'a> Entry<'a> {
    /// `None` for what is not a whole entry: without its tuple and its id it could not be deleted
    /// without touching others.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (mut original, mut reply) = (None, None);
        let (mut zone, mut id) = (None, None);
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                cta::TUPLE_ORIG => original = Some((Tuple::parse(attribute)?, attribute.value)),
                cta::TUPLE_REPLY => reply = Tuple::parse(attribute),
                cta::ZONE => zone = Some(attribute.value),
                cta::ID => id = Some(attribute.value),
                _ => {}
            }
        }
        let (original, tuple) = original?;
        Some(Self { original, reply: reply?, family: *body.first()?, tuple, zone, id: id? })
    }

    /// The request that deletes exactly this entry. `ENOENT` when it is gone.
    pub(super) fn delete(&self) -> Request {
        let mut body = header(self.family);
        // Without a tuple this message would empty the whole table.
        body.bytes(cta::TUPLE_ORIG, self.tuple);
        if let Some(zone) = self.zone {
            body.bytes(cta::ZONE, zone);
        }
        body.bytes(cta::ID, self.id);
        Request::new(verb::DELETE, 0, body, Action::Conntrack { verb: "delete" })
    }
}

impl Tuple {
    /// `None` without both addresses.
    fn parse(attribute: Attribute<'_>) -> Option<Self> {
        let (mut source, mut destination) = (None, None);
        let (mut protocol, mut destination_port) = (0, None);
        let parts = attribute.nested().filter(|part| part.kind == cta::tuple::IP);
        for address in parts.flat_map(Attribute::nested) {
            match address.kind {
                cta::ip::V4_SRC | cta::ip::V6_SRC => source = address.ip(),
                cta::ip::V4_DST | cta::ip::V6_DST => destination = address.ip(),
                _ => {}
            }
        }
        let parts = attribute.nested().filter(|part| part.kind == cta::tuple::PROTO);
        for number in parts.flat_map(Attribute::nested) {
            match number.kind {
                cta::proto::NUM => protocol = number.u8().unwrap_or_default(),
                cta::proto::DST_PORT => destination_port = number.u16_be(),
                _ => {}
            }
        }
        Some(Self { source: source?, destination: destination?, protocol, destination_port })
    }
}
