use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{IfName, MacAddr};

use super::{COMMENT, comment};
use crate::netlink::encoder::Encoder;

/// The key or the value of an element, part after part.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: Vec<u8>,
    /// Length of the last part, which alone is not padded where it is the only one.
    parts: usize,
    unpadded: usize,
}

impl Key {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an IPv4 address.
    #[must_use]
    pub fn v4(self, ip: Ipv4Addr) -> Self {
        self.part(&ip.octets())
    }

    /// Appends an IPv6 address.
    #[must_use]
    pub fn v6(self, ip: Ipv6Addr) -> Self {
        self.part(&ip.octets())
    }

    /// Appends an address of either family.
    #[must_use]
    pub fn ip(self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => self.v4(ip),
            IpAddr::V6(ip) => self.v6(ip),
        }
    }

    /// Appends a transport protocol (`IPPROTO_*`).
    #[must_use]
    pub fn l4proto(self, number: u8) -> Self {
        self.part(&[number])
    }

    /// Appends a port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.part(&port.to_be_bytes())
    }

    /// Appends the name of a link.
    #[must_use]
    pub fn ifname(self, name: &IfName) -> Self {
        self.part(&ifname_bytes(name.as_str()))
    }

    /// Appends an Ethernet address.
    #[must_use]
    pub fn ether(self, mac: MacAddr) -> Self {
        self.part(&mac.bytes())
    }

    /// Appends a packet mark.
    #[must_use]
    pub fn mark(self, mark: u32) -> Self {
        self.part(&mark.to_ne_bytes())
    }

    /// A number in network order.
    #[must_use]
    pub fn number(self, bytes: &[u8]) -> Self {
        self.part(bytes)
    }

    fn part(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self.parts += 1;
        self.unpadded = self.bytes.len();
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// The key of an element that was read.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Self {
        // Padded already: as of several parts, unless its length says that it is one.
        Self { bytes: wire.to_vec(), parts: 1, unpadded: wire.len() }
    }

    /// As the kernel wants it: each part padded, unless there is only one.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        if self.parts == 1 { &self.bytes[..self.unpadded] } else { &self.bytes }
    }

    /// Whether these are the bytes of an element that was read.
    #[must_use]
    pub fn is(&self, wire: &[u8]) -> bool {
        self.wire() == wire
    }
}

/// A link's name as the kernel compares it: 16 bytes, zeros behind.
pub(super) fn ifname_bytes(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let length = name.len().min(15);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, past this base chain.
    Accept,
    /// It is gone.
    Drop,
    /// On with the calling chain.
    Return,
    /// On with another chain, and back.
    Jump(String),
    /// On with another chain, and not back.
    Goto(String),
}

impl Verdict {
    /// `NF_*` and `NFT_*`.
    fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Goto(_) => -4,
            Self::Return => -5,
        }
    }

    /// Appends the attribute `kind` that holds this verdict as data.
    pub(super) fn encode(&self, out: &mut Encoder, kind: u16) {
        out.nested(kind, |data| {
            data.nested(NFTA_DATA_VERDICT, |verdict| {
                verdict.u32_be(1, self.code().cast_unsigned());
                if let Self::Jump(chain) | Self::Goto(chain) = self {
                    verdict.text(2, chain);
                }
            });
        });
    }
}

pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;

/// What a map gives for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// What becomes of the packet.
    Verdict(Verdict),
    /// Something to put into registers.
    Value(Key),
}

/// One element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub(super) key: Key,
    pub(super) last: Option<Key>,
    pub(super) data: Option<Data>,
    pub(super) comment: Option<String>,
}

impl Element {
    /// An element of a set.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { key, last: None, data: None, comment: None }
    }

    /// The same reaching to `last`, included. Each part of a key is a range of its own.
    #[must_use]
    pub fn to(self, last: Key) -> Self {
        Self { last: Some(last), ..self }
    }

    /// The same with a verdict.
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        Self { data: Some(Data::Verdict(verdict)), ..self }
    }

    /// The same with a value.
    #[must_use]
    pub fn value(self, value: Key) -> Self {
        Self { data: Some(Data::Value(value)), ..self }
    }

    /// The same with a comment: whose it is.
    #[must_use]
    pub fn comment(self, text: impl Into<String>) -> Self {
        Self { comment: Some(text.into()), ..self }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The end of its range, where it is one.
    #[must_use]
    pub fn last(&self) -> Option<&Key> {
        self.last.as_ref()
    }

    /// Its comment.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Appends it as one `NFTA_LIST_ELEM`; the value and the comment only where it is added.
    pub(super) fn encode(&self, out: &mut Encoder, whole: bool) {
        out.nested(1, |element| {
            element.nested(attr::KEY, |data| data.bytes(NFTA_DATA_VALUE, self.key.wire()));
            if let Some(last) = &self.last {
                element.nested(attr::KEY_END, |data| data.bytes(NFTA_DATA_VALUE, last.wire()));
            }
            if !whole {
                return;
            }
            match &self.data {
                None => {}
                Some(Data::Verdict(verdict)) => verdict.encode(element, attr::DATA),
                Some(Data::Value(value)) => {
                    element.nested(attr::DATA, |data| data.bytes(NFTA_DATA_VALUE, value.wire()));
                }
            }
            if let Some(text) = &self.comment {
                element.bytes(attr::USERDATA, &comment(COMMENT, text));
            }
        });
    }
}

/// `NFTA_SET_ELEM_*`.
pub(super) mod attr {
    pub(in super::super) const KEY: u16 = 1;
    pub(in super::super) const DATA: u16 = 2;
    pub(in super::super) const USERDATA: u16 = 6;
    pub(in super::super) const KEY_END: u16 = 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_several_parts_is_padded_and_one_of_a_single_part_is_not() {
        assert_eq!(Key::new().port(0x1234).wire(), [0x12, 0x34]);
        let key = Key::new().l4proto(6).port(0x1234);
        assert_eq!(key.wire(), [6, 0, 0, 0, 0x12, 0x34, 0, 0]);
        assert_eq!(Key::new().v4([10, 0, 0, 1].into()).port(80).wire(), [10, 0, 0, 1, 0, 80, 0, 0]);
    }

    #[test]
    fn the_name_of_a_link_is_sixteen_bytes_with_its_nul() {
        let key = Key::new().ifname(&"cni0".parse().unwrap());
        assert_eq!(key.wire().len(), 16);
        assert!(key.is(b"cni0\0\0\0\0\0\0\0\0\0\0\0\0"));
    }
}
