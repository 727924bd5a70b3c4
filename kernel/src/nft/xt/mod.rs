//! Rules of iptables, in the form that iptables-nft keeps them in nf_tables: so that `iptables -S`
//! lists what we add as if it had been added there, and that we know again what was.
//!
//! A [`Spec`] is what iptables(8) calls a rule-specification. [`Spec::rule`] writes it with the
//! extensions of xtables wherever there is a choice, since every version of iptables-nft reads
//! those; [`Spec::of`] reads what any version writes, in either form.
//!
//! ```
//! use kernel::nft::xt::{Match, Spec, Target};
//! use types::Family;
//!
//! // -s 10.1.0.0/24 -p tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
//! let spec = Spec::new(Target::Jump("CNI-HOSTPORT-SETMARK".into()))
//!     .source("10.1.0.2/24".parse()?)
//!     .protocol(6)
//!     .with(Match::DestinationPort(8080, 8080));
//! let rule = spec.rule(Family::V4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod info;
mod show;

use std::net::IpAddr;

use types::Cidr;

/// A rule-specification: what a packet must have, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `-s`
    source: Option<Not<Cidr>>,
    /// `-d`
    destination: Option<Not<Cidr>>,
    /// `-i`; a `+` at the end stands for any rest.
    iif: Option<Not<String>>,
    /// `-o`, likewise.
    oif: Option<Not<String>>,
    /// `-p`, as `IPPROTO_*`.
    protocol: Option<Not<u8>>,
    matches: Vec<Match>,
    target: Target,
}

/// A value that must, or where `inverted` must not be there: `! -s 10.1.0.0/24`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Not<T> {
    inverted: bool,
    value: T,
}

/// An extension that looks at a packet: `-m`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `-m comment --comment`: always so. At most [`COMMENT_MAX_BYTES`] of it are kept.
    Comment(String),
    /// `-m addrtype --dst-type LOCAL`: the destination is the host's own.
    ToLocal,
    /// `-m conntrack --ctstate RELATED,ESTABLISHED`: part of a known connection, or belonging to
    /// one.
    Known,
    /// `-m multiport --dports`: from the first to the last of one of these. There is room for
    /// [`MULTIPORT_MAX`] numbers; a single port takes one, a range two.
    DestinationPorts(Vec<(u16, u16)>),
    /// `--dport` of the rule's protocol (TCP, UDP or SCTP): from the first to the last.
    DestinationPort(u16, u16),
    /// `-m mark --mark value/mask`.
    Mark(u32, u32),
}

/// What becomes of a packet that matches: `-j`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `ACCEPT`
    Accept,
    /// `DROP`
    Drop,
    /// `RETURN`
    Return,
    /// On with a chain, and back.
    Jump(String),
    /// `MARK --set-xmark value/mask`: the bits of `mask` cleared, those of `value` flipped.
    Mark(u32, u32),
    /// `MASQUERADE`
    Masquerade,
    /// `DNAT --to-destination`
    Dnat(Destination),
}

/// Where [`Target::Dnat`] sends packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The new address.
    pub ip: IpAddr,
    /// The first new port.
    pub first: u16,
    /// The last new port.
    pub last: u16,
    /// The old port that becomes the first new one, the others counted from there
    /// (`--to-destination ip:first-last/base`); without one, all go to the first, or to any where
    /// there are several.
    pub base: Option<u16>,
}

/// Longest comment in bytes (`XT_MAX_COMMENT_LEN` and its NUL).
pub const COMMENT_MAX_BYTES: usize = 255;
/// Port numbers in one multiport match (`XT_MULTI_PORTS`).
pub const MULTIPORT_MAX: usize = 15;

impl Spec {
    /// For every packet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            source: None,
            destination: None,
            iif: None,
            oif: None,
            protocol: None,
            matches: Vec::new(),
            target,
        }
    }

    /// The ports of its multiport match, where it has one.
    #[must_use]
    pub fn destination_ports(&self) -> Option<&[(u16, u16)]> {
        self.matches.iter().find_map(|one| match one {
            Match::DestinationPorts(ports) => Some(&ports[..]),
            _ => None,
        })
    }

    /// The same for packets from this network.
    #[must_use]
    pub fn source(self, network: Cidr) -> Self {
        Self { source: net(network, false), ..self }
    }

    /// The same for packets that are not from this network.
    #[must_use]
    pub fn not_source(self, network: Cidr) -> Self {
        Self { source: net(network, true), ..self }
    }

    /// The same for packets to this network.
    #[must_use]
    pub fn destination(self, network: Cidr) -> Self {
        Self { destination: net(network, false), ..self }
    }

    /// The same for packets that are not to this network.
    #[must_use]
    pub fn not_destination(self, network: Cidr) -> Self {
        Self { destination: net(network, true), ..self }
    }

    /// The same for packets that come by this link. A `+` at the end of its name stands for any
    /// rest.
    #[must_use]
    pub fn iif(self, name: &str, inverted: bool) -> Self {
        Self { iif: link(name, inverted), ..self }
    }

    /// The same for packets that leave by this link. A `+` at the end of its name stands for any
    /// rest.
    #[must_use]
    pub fn oif(self, name: &str, inverted: bool) -> Self {
        Self { oif: link(name, inverted), ..self }
    }

    /// The same for packets of this protocol (`IPPROTO_*`).
    #[must_use]
    pub fn protocol(self, number: u8) -> Self {
        Self { protocol: Some(Not { inverted: false, value: number }), ..self }
    }

    /// The same for packets of any other protocol.
    #[must_use]
    pub fn not_protocol(self, number: u8) -> Self {
        Self { protocol: Some(Not { inverted: true, value: number }), ..self }
    }

    /// The same with one more extension, after the others.
    #[must_use]
    pub fn with(mut self, one: Match) -> Self {
        self.matches.push(match one {
            Match::Comment(mut text) => {
                text.truncate(text.floor_char_boundary(COMMENT_MAX_BYTES));
                Match::Comment(text)
            }
            other => other,
        });
        self
    }

    /// The same with a comment, after the other extensions.
    #[must_use]
    pub fn comment(self, text: impl Into<String>) -> Self {
        self.with(Match::Comment(text.into()))
    }

    /// What becomes of the packet.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The chain that it leads to.
    #[must_use]
    pub fn jump(&self) -> Option<&str> {
        match &self.target {
            Target::Jump(chain) => Some(chain),
            _ => None,
        }
    }

    /// Its comment, if it has one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.matches.iter().find_map(|one| match one {
            Match::Comment(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

/// What iptables keeps of a network: no host bits, and nothing where it is all there is.
fn net(network: Cidr, inverted: bool) -> Option<Not<Cidr>> {
    let all = network.prefix() == 0 && !inverted;
    (!all).then(|| Not { inverted, value: network.network() })
}

/// What iptables keeps of a link's name: nothing where it stands for every one.
fn link(name: &str, inverted: bool) -> Option<Not<String>> {
    let all = name == "+" && !inverted;
    (!all).then(|| Not { inverted, value: name.to_owned() })
}
