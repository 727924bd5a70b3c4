//! Policy routing rules, as in ip-rule(8).

use std::fmt;

use types::{Cidr, Family, IfName};

use crate::addr::family;
use crate::netlink::attributes::Attributes;
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, CREATE, Request, RequestError, Socket};

/// A rule that sends some packets to a routing table.
///
/// What is `None` matches anything, also when deleting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of which packets.
    pub family: Family,
    /// From this network.
    pub from: Option<Cidr>,
    /// To this network.
    pub to: Option<Cidr>,
    /// Arrived by this link (`lo` for what the host itself sends).
    pub iif: Option<String>,
    /// Bound to leave by this link.
    pub oif: Option<String>,
    /// With this mark, under this mask.
    pub fwmark: Option<(u32, u32)>,
    /// Order among rules, the lowest first; the kernel picks one when `None`.
    pub priority: Option<u32>,
    /// The routing table.
    pub table: u32,
}

const HEADER_BYTES: usize = 12;
/// `linux/fib_rules.h`: look up a table.
const FR_ACT_TO_TBL: u8 = 1;

impl Rule {
    /// A rule for all packets of a family.
    #[must_use]
    pub fn lookup(family: Family, table: u32) -> Self {
        Self {
            family,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            priority: None,
            table,
        }
    }

    /// Only packets from `network`.
    #[must_use]
    pub fn from(self, network: Cidr) -> Self {
        Self { from: Some(network.network()), ..self }
    }

    /// Only packets to `network`.
    #[must_use]
    pub fn to(self, network: Cidr) -> Self {
        Self { to: Some(network.network()), ..self }
    }

    /// Only packets that arrived by `link`.
    #[must_use]
    pub fn iif(self, link: &IfName) -> Self {
        Self { iif: Some(link.to_string()), ..self }
    }

    /// Only packets with `mark`.
    #[must_use]
    pub fn fwmark(self, mark: u32) -> Self {
        Self { fwmark: Some((mark, u32::MAX)), ..self }
    }

    /// At this place among the rules.
    #[must_use]
    pub fn priority(self, priority: u32) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// The request that adds it. `EEXIST` when there is the same one.
    #[must_use]
    pub fn add(&self) -> Request {
        self.request("add", libc::RTM_NEWRULE, CREATE)
    }

    /// The request that deletes the first rule that matches. `ENOENT` when there is none.
    #[must_use]
    pub fn del(&self) -> Request {
        self.request("del", libc::RTM_DELRULE, 0)
    }

    fn request(&self, verb: &'static str, kind: u16, flags: u16) -> Request {
        let action = Action::Rule { verb, rule: self.to_string() };
        Request::new(kind, flags, self.message(), action)
    }

    fn message(&self) -> Encoder {
        let mut message = Encoder::after(&self.header());
        message.u32(fra::TABLE, self.table);
        if let Some(network) = self.to {
            message.ip(fra::DST, network.ip());
        }
        if let Some(network) = self.from {
            message.ip(fra::SRC, network.ip());
        }
        if let Some(link) = &self.iif {
            message.text(fra::IIFNAME, link);
        }
        if let Some(link) = &self.oif {
            message.text(fra::OIFNAME, link);
        }
        if let Some(priority) = self.priority {
            message.u32(fra::PRIORITY, priority);
        }
        if let Some((mark, mask)) = self.fwmark {
            message.u32(fra::FWMARK, mark);
            message.u32(fra::FWMASK, mask);
        }
        message
    }

    /// `struct fib_rule_hdr`.
    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0] = family(self.family);
        header[1] = self.to.map_or(0, Cidr::prefix);
        header[2] = self.from.map_or(0, Cidr::prefix);
        // Tables above 255 exist only as an attribute.
        header[4] = u8::try_from(self.table).unwrap_or(libc::RT_TABLE_UNSPEC);
        header[7] = FR_ACT_TO_TBL;
        header
    }

    /// `None` for rules that do something else than send packets to a table.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let (&header, _) = body.split_first_chunk::<8>()?;
        let [af, dst_len, src_len, _, table, _, _, action] = header;
        let family = match i32::from(af) {
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            _ => return None,
        };
        if action != FR_ACT_TO_TBL {
            return None;
        }
        let mut rule = Self::lookup(family, table.into());
        let (mut mark, mut mask) = (None, u32::MAX);
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                fra::DST => rule.to = attribute.ip().and_then(|ip| Cidr::new(ip, dst_len)),
                fra::SRC => rule.from = attribute.ip().and_then(|ip| Cidr::new(ip, src_len)),
                fra::IIFNAME => rule.iif = Some(attribute.text()),
                fra::OIFNAME => rule.oif = Some(attribute.text()),
                fra::PRIORITY => rule.priority = attribute.u32(),
                fra::FWMARK => mark = attribute.u32(),
                fra::FWMASK => mask = attribute.u32().unwrap_or(mask),
                fra::TABLE => rule.table = attribute.u32().unwrap_or(rule.table),
                _ => {}
            }
        }
        rule.fwmark = mark.map(|mark| (mark, mask));
        Some(rule)
    }
}

/// Attribute numbers of `linux/fib_rules.h`.
mod fra {
    pub(super) const DST: u16 = 1;
    pub(super) const SRC: u16 = 2;
    pub(super) const IIFNAME: u16 = 3;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const FWMARK: u16 = 10;
    pub(super) const TABLE: u16 = 15;
    pub(super) const FWMASK: u16 = 16;
    pub(super) const OIFNAME: u16 = 17;
}

impl fmt::Display for Rule {
    /// As ip-rule(8) writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Some(network) => write!(f, "from {network}")?,
            None => write!(f, "from all ({})", self.family)?,
        }
        if let Some(network) = self.to {
            write!(f, " to {network}")?;
        }
        if let Some(link) = &self.iif {
            write!(f, " iif {link}")?;
        }
        if let Some(link) = &self.oif {
            write!(f, " oif {link}")?;
        }
        if let Some((mark, mask)) = self.fwmark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        write!(f, " lookup {}", self.table)?;
        match self.priority {
            Some(priority) => write!(f, " priority {priority}"),
            None => Ok(()),
        }
    }
}

/// Reads the rules of a family that send packets to a table, in their order.
///
/// # Errors
/// When they cannot be read.
pub fn list(socket: &Socket, of: Family) -> Result<Vec<Rule>, RequestError> {
    socket.dump(&list_request(of), Rule::parse)
}

pub(crate) fn list_request(of: Family) -> Request {
    let mut header = [0; HEADER_BYTES];
    header[0] = family(of);
    let action = Action::List { what: format!("{of} rules") };
    Request::new(libc::RTM_GETRULE, 0, Encoder::after(&header), action)
}
