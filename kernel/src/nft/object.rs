use std::net::{Ipv4Addr, Ipv6Addr};

use super::type_of::TypeOf;

/// A table: a family and a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// `NFPROTO_*`: which packets it sees.
    pub(super) family: u8,
    /// Its name.
    pub(super) name: &'static str,
}

impl Table {
    /// A table that sees IPv4 and IPv6.
    #[must_use]
    pub const fn inet(name: &'static str) -> Self {
        Self { family: libc::NFPROTO_INET as u8, name }
    }

    /// A table that sees IPv4 alone.
    #[must_use]
    pub const fn ip(name: &'static str) -> Self {
        Self { family: libc::NFPROTO_IPV4 as u8, name }
    }

    /// A table that sees IPv6 alone.
    #[must_use]
    pub const fn ip6(name: &'static str) -> Self {
        Self { family: libc::NFPROTO_IPV6 as u8, name }
    }

    /// A table that sees the frames of bridges.
    #[must_use]
    pub const fn bridge(name: &'static str) -> Self {
        Self { family: libc::NFPROTO_BRIDGE as u8, name }
    }

    /// The same table of one family or the other.
    #[must_use]
    pub const fn of_family(family: types::Family, name: &'static str) -> Self {
        match family {
            types::Family::V4 => Self::ip(name),
            types::Family::V6 => Self::ip6(name),
        }
    }

    /// Its name without the family.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl std::fmt::Display for Table {
    /// As nft(8) names it: `inet cais`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match i32::from(self.family) {
            libc::NFPROTO_INET => "inet",
            libc::NFPROTO_IPV4 => "ip",
            libc::NFPROTO_IPV6 => "ip6",
            libc::NFPROTO_BRIDGE => "bridge",
            _ => "?",
        };
        write!(f, "{family} {}", self.name)
    }
}

/// Where packets enter a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// What it may do.
    pub kind: Kind,
    /// Where on a packet's way it is.
    pub hook: Hook,
    /// The lower, the earlier; nft(8) has names for some.
    pub priority: i32,
}

/// The type of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accepts and drops.
    Filter,
    /// Sees the first packet of each connection and changes its addresses.
    Nat,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

/// `NF_INET_*`, which the bridge family numbers alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// As it arrives.
    Prerouting = 0,
    /// To the host itself.
    Input = 1,
    /// Through the host.
    Forward = 2,
    /// From the host itself.
    Output = 3,
    /// As it leaves.
    Postrouting = 4,
}

impl Hook {
    /// The hook with this number.
    pub(super) fn of(number: u32) -> Option<Self> {
        let all = [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];
        all.into_iter().find(|hook| *hook as u32 == number)
    }
}

/// One part of the key or of the value of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `ipv4_addr`
    Ipv4,
    /// `ipv6_addr`
    Ipv6,
    /// `inet_proto`
    L4Proto,
    /// `inet_service`
    Port,
    /// `ifname`
    IfName,
    /// `ether_addr`
    Ether,
    /// `mark`
    Mark,
    /// A number of so many bytes in network order: only for sets that say what it is
    /// ([`Set::type_of`]).
    Number(u32),
}

impl Field {
    /// Number of the type in nft(8), which the kernel only keeps, and length in bytes.
    const fn describe(self) -> (u32, u32) {
        match self {
            Self::Ipv4 => (7, 4),
            Self::Ipv6 => (8, 16),
            Self::Ether => (9, 6),
            Self::L4Proto => (12, 1),
            Self::Port => (13, 2),
            Self::Mark => (19, 4),
            Self::Number(bytes) => (4, bytes),
            Self::IfName => (41, 16),
        }
    }

    /// A value of it as nft(8) writes it.
    fn shown(self, value: &[u8]) -> String {
        match (self, value) {
            (Self::Ipv4, &[a, b, c, d]) => Ipv4Addr::new(a, b, c, d).to_string(),
            (Self::Ipv6, _) => <[u8; 16]>::try_from(value)
                .map(|octets| Ipv6Addr::from(octets).to_string())
                .unwrap_or_default(),
            (Self::L4Proto, [6]) => "tcp".to_owned(),
            (Self::L4Proto, [17]) => "udp".to_owned(),
            (Self::L4Proto, [132]) => "sctp".to_owned(),
            (Self::Port, &[high, low]) => u16::from_be_bytes([high, low]).to_string(),
            (Self::IfName, _) => {
                let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
                String::from_utf8_lossy(&value[..end]).into_owned()
            }
            _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Length in bytes.
    pub(super) const fn length(self) -> u32 {
        self.describe().1
    }
}

/// What a map holds for each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// What becomes of a packet.
    Verdict,
    /// Something to put into registers.
    Fields(&'static [Field]),
}

/// A named set, or a map where it has values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// Parts of its key.
    pub key: &'static [Field],
    /// Values, for a map.
    pub values: Option<Values>,
    /// Whether elements are ranges; needs a key of several parts.
    pub ranges: bool,
    /// What the parts of its key are in the words of nft(8), where their types do not say it.
    pub type_of: Option<&'static [TypeOf]>,
}

impl Set {
    /// A set of single keys.
    #[must_use]
    pub const fn new(name: &'static str, key: &'static [Field]) -> Self {
        Self { name, key, values: None, ranges: false, type_of: None }
    }

    /// A map of single keys.
    #[must_use]
    pub const fn map(name: &'static str, key: &'static [Field], values: Values) -> Self {
        Self { name, key, values: Some(values), ranges: false, type_of: None }
    }

    /// The same with elements that are ranges.
    #[must_use]
    pub const fn of_ranges(self) -> Self {
        Self { ranges: true, ..self }
    }

    /// The same with the words of nft(8) for all parts of its key, of which there are several.
    #[must_use]
    pub const fn type_of(self, parts: &'static [TypeOf]) -> Self {
        Self { type_of: Some(parts), ..self }
    }

    /// `element {tcp . 8080} of map dnat4_any`: for errors.
    #[must_use]
    pub fn shown(&self, element: &super::Element) -> String {
        let mut key = self.shown_key(element.key.wire());
        if let Some(last) = &element.last {
            key = format!("{key} - {}", self.shown_key(last.wire()));
        }
        format!("element {key} of {} {}", self.noun(), self.name)
    }

    fn shown_key(&self, mut wire: &[u8]) -> String {
        let mut parts = Vec::with_capacity(self.key.len());
        for field in self.key {
            let length = field.length() as usize;
            let Some(value) = wire.get(..length) else { break };
            parts.push(field.shown(value));
            wire = wire.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        parts.join(" . ")
    }

    /// Whether it has values.
    #[must_use]
    pub const fn is_map(&self) -> bool {
        self.values.is_some()
    }

    /// `set` or `map`.
    pub(super) fn noun(&self) -> &'static str {
        if self.values.is_some() { "map" } else { "set" }
    }
}

/// Type and length of a concatenation as the kernel wants them: six bits a part, each part padded
/// to four bytes.
pub(super) fn concatenation(fields: &[Field]) -> (u32, u32) {
    match fields {
        [one] => one.describe(),
        many => many.iter().fold((0, 0), |(kind, length), field| {
            let (number, bytes) = field.describe();
            ((kind << 6) | number, length + bytes.next_multiple_of(4))
        }),
    }
}
