//! Filters of kind `u32`, which look at numbers in a packet; tc-u32(8).

use std::fmt;
use std::net::IpAddr;

use types::{Cidr, Family};

use super::{HEADER_BYTES, Handle, Header, tca};
use crate::link::Dev;
use crate::netlink::attributes::{Attribute, Attributes, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, CREATE, Request, RequestError, Socket};

/// Which of a packet's addresses is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// Which packets a filter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// All.
    All,
    /// Those with an address of a network.
    Network(End, Cidr),
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The queue that it sorts for.
    pub parent: Handle,
    /// Its place among others, the lowest first; filters of one place have one protocol.
    pub priority: u16,
    /// Its number within its place; 0 lets the kernel choose.
    pub handle: u32,
    /// Which packets it takes; `None` when it was read and is none of ours.
    pub matches: Option<Match>,
    /// What packets are called from here on: a class of the queue, or any name.
    pub class: Handle,
    /// Index of the link that they leave by instead; 0 of one that is gone.
    pub redirect: Option<u32>,
}

const ETH_P_ALL: u16 = 0x0003;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// `linux/pkt_cls.h` and `linux/tc_act/tc_mirred.h`.
const TC_U32_TERMINAL: u8 = 1;
const TC_ACT_STOLEN: i32 = 4;
const TCA_EGRESS_REDIR: i32 = 1;

/// Numbers of `linux/pkt_cls.h` and `linux/tc_act/tc_mirred.h`.
mod number {
    pub(super) const U32_CLASSID: u16 = 1;
    pub(super) const U32_SEL: u16 = 5;
    pub(super) const U32_ACT: u16 = 7;
    pub(super) const ACT_KIND: u16 = 1;
    pub(super) const ACT_OPTIONS: u16 = 2;
    pub(super) const MIRRED_PARMS: u16 = 2;
}

/// One number to compare: mask, value and where it is, as in the kernel's messages.
type Key = ([u8; 4], [u8; 4], u32);

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all packets"),
            Self::Network(End::Source, network) => write!(f, "packets from {network}"),
            Self::Network(End::Destination, network) => write!(f, "packets to {network}"),
        }
    }
}

impl Match {
    /// Whether both take the same packets. Of a family's whole, the end does not matter, and is lost
    /// on the way to the kernel.
    #[must_use]
    pub fn is_same_as(self, other: Self) -> bool {
        self.protocol() == other.protocol() && self.keys() == other.keys()
    }

    fn protocol(self) -> u16 {
        match self {
            Self::All => ETH_P_ALL,
            Self::Network(_, network) if network.family() == Family::V4 => ETH_P_IP,
            Self::Network(..) => ETH_P_IPV6,
        }
    }

    fn keys(self) -> Vec<Key> {
        let (side, network) = match self {
            Self::All => return vec![EVERYTHING],
            Self::Network(side, network) => (side, network.network()),
        };
        let octets = match network.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let offset = offset(network.family(), side);
        let mut keys = Vec::new();
        for (number, word) in (0_u8..).zip(octets.chunks_exact(4)) {
            let bits = network.prefix().saturating_sub(32 * number).min(32);
            if bits > 0 {
                let mask = u32::MAX << (32 - bits);
                let value = [word[0], word[1], word[2], word[3]];
                keys.push((mask.to_be_bytes(), value, offset + 4 * u32::from(number)));
            }
        }
        if keys.is_empty() { vec![EVERYTHING] } else { keys }
    }

    fn parse(protocol: u16, keys: &[Key]) -> Option<Self> {
        let family = match protocol {
            ETH_P_ALL => return (keys == [EVERYTHING]).then_some(Self::All),
            ETH_P_IP => Family::V4,
            ETH_P_IPV6 => Family::V6,
            _ => return None,
        };
        if keys == [EVERYTHING] {
            return Some(Self::Network(End::Source, family.default_route()));
        }
        let &(_, _, offset) = keys.first()?;
        let sides = [End::Source, End::Destination];
        let side = sides.into_iter().find(|side| self::offset(family, *side) == offset)?;
        let bits: u32 =
            keys.iter().map(|(mask, ..)| u32::from_be_bytes(*mask).leading_ones()).sum();
        let octets = keys.iter().flat_map(|(_, value, _)| value);
        let ip = match family {
            Family::V4 => {
                let mut ip = [0; 4];
                ip.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
                IpAddr::from(ip)
            }
            Family::V6 => {
                let mut ip = [0; 16];
                ip.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
                IpAddr::from(ip)
            }
        };
        let found = Self::Network(side, Cidr::new(ip, u8::try_from(bits).ok()?)?);
        // What does not come out the same is no match of ours.
        (found.keys() == keys).then_some(found)
    }
}

const EVERYTHING: Key = ([0; 4], [0; 4], 0);

/// Where an address is in a packet's header.
fn offset(family: Family, side: End) -> u32 {
    match (family, side) {
        (Family::V4, End::Source) => 12,
        (Family::V4, End::Destination) => 16,
        (Family::V6, End::Source) => 8,
        (Family::V6, End::Destination) => 24,
    }
}

impl Filter {
    /// The request that makes it. `EINVAL` or `EEXIST` where its place has filters of another kind
    /// or protocol.
    #[must_use]
    pub fn add(&self, dev: &Dev) -> Request {
        let matches = self.matches.unwrap_or(Match::All);
        let mut message = self.header(dev, matches.protocol()).encode();
        message.text(tca::KIND, "u32");
        message.nested(tca::OPTIONS, |options| {
            options.bytes(number::U32_SEL, &selector(&matches.keys()));
            options.u32(number::U32_CLASSID, self.class.0);
            if let Some(link) = self.redirect {
                options.nested(number::U32_ACT, |list| list.nested(1, |act| mirred(act, link)));
            }
        });
        Request::new(libc::RTM_NEWTFILTER, CREATE, message, self.action("add", dev))
    }

    /// The request that deletes it, as it was read. `ENOENT` when there is none.
    #[must_use]
    pub fn del(&self, dev: &Dev) -> Request {
        let protocol = self.matches.map_or(ETH_P_ALL, Match::protocol);
        let mut message = self.header(dev, protocol).encode();
        message.text(tca::KIND, "u32");
        Request::new(libc::RTM_DELTFILTER, 0, message, self.action("del", dev))
    }

    fn header(&self, dev: &Dev, protocol: u16) -> Header {
        let info = u32::from(self.priority) << 16 | u32::from(protocol.to_be());
        let handle = Handle(self.handle);
        Header { link: dev.index, handle, parent: self.parent, info }
    }

    fn action(&self, verb: &'static str, dev: &Dev) -> Action {
        Action::Filter { verb, link: dev.to_string() }
    }

    /// `None` for what is no filter but the kernel's own frame for one.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let header = Header::parse(body)?;
        let (priority, protocol) = ((header.info >> 16) as u16, u16::from_be(header.info as u16));
        let mut filter = Self {
            parent: header.parent,
            priority,
            handle: header.handle.0,
            matches: None,
            class: Handle::default(),
            redirect: None,
        };
        let (mut is_u32, mut has_selector) = (false, false);
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                tca::KIND => is_u32 = attribute.text() == "u32",
                tca::OPTIONS if is_u32 => {
                    for option in attribute.nested() {
                        has_selector |= option.kind == number::U32_SEL;
                        filter.take(option, protocol);
                    }
                }
                _ => {}
            }
        }
        (!is_u32 || has_selector).then_some(filter)
    }

    fn take(&mut self, option: Attribute<'_>, protocol: u16) {
        match option.kind {
            number::U32_SEL => self.matches = Match::parse(protocol, &keys(option.value)),
            number::U32_CLASSID => self.class = Handle(option.u32().unwrap_or_default()),
            // What the first action does; it steals the packet.
            number::U32_ACT => self.redirect = option.nested().next().and_then(redirect),
            _ => {}
        }
    }
}

/// `struct tc_u32_sel` with its keys.
fn selector(keys: &[Key]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[0] = TC_U32_TERMINAL;
    bytes[2] = u8::try_from(keys.len()).expect("an address has at most four words");
    for (mask, value, offset) in keys {
        bytes.extend_from_slice(mask);
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(&offset.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes
}

fn keys(selector: &[u8]) -> Vec<Key> {
    let of = |key: &[u8]| {
        let offset = u32_at(key, 8)?;
        Some((*key.first_chunk()?, *key.get(4..)?.first_chunk()?, offset))
    };
    selector.get(16..).unwrap_or_default().chunks_exact(16).filter_map(of).collect()
}

/// The action that lets packets leave by `link`.
fn mirred(act: &mut Encoder, link: u32) {
    act.text(number::ACT_KIND, "mirred");
    act.nested(number::ACT_OPTIONS, |options| {
        // `struct tc_mirred`: index, capabilities, verdict, two counts, what to do, link.
        let verdicts = [0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR].map(i32::to_ne_bytes);
        options
            .bytes(number::MIRRED_PARMS, &[&verdicts.concat()[..], &link.to_ne_bytes()].concat());
    });
}

fn redirect(action: Attribute<'_>) -> Option<u32> {
    let kind = action.nested().find(|found| found.kind == number::ACT_KIND)?;
    if kind.text() != "mirred" {
        return None;
    }
    let options = action.nested().find(|found| found.kind == number::ACT_OPTIONS)?;
    let parms = options.nested().find(|found| found.kind == number::MIRRED_PARMS)?;
    u32_at(parms.value, 24)
}

/// Reads the filters of `dev` at `parent`, in their order.
///
/// # Errors
/// When they cannot be read.
pub fn filters(socket: &Socket, dev: &Dev, parent: Handle) -> Result<Vec<Filter>, RequestError> {
    socket.dump(&list_request(dev, parent), Filter::parse)
}

pub(crate) fn list_request(dev: &Dev, parent: Handle) -> Request {
    let header = Header { link: dev.index, parent, ..Header::default() };
    let action = Action::List { what: format!("filters of {dev}") };
    Request::new(libc::RTM_GETTFILTER, 0, header.encode(), action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_is_the_same_after_the_kernel_told_it() {
        let networks = [
            "10.0.0.0/8",
            "10.1.2.3/32",
            "0.0.0.0/1",
            "fd00::/8",
            "2001:db8:1:2:3:4:5:6/128",
            "2001:db8::/33",
        ];
        for network in networks {
            for side in [End::Source, End::Destination] {
                let matches = Match::Network(side, network.parse().unwrap());
                assert_eq!(Match::parse(matches.protocol(), &matches.keys()), Some(matches));
            }
        }
        let all = Match::Network(End::Destination, "::/0".parse().unwrap());
        assert!(Match::parse(ETH_P_IPV6, &all.keys()).unwrap().is_same_as(all));
        assert_eq!(Match::parse(ETH_P_ALL, &Match::All.keys()), Some(Match::All));
        assert_eq!(Match::parse(ETH_P_IP, &[([255, 0, 255, 0], [10, 0, 1, 0], 12)]), None);
    }
}
