//! What one plugin wants of the packet filter for one attachment.

use std::net::{IpAddr, Ipv6Addr};

use cni::record::NetnsId;
use types::{Attachment, Cidr, IfName, MacAddr};

use crate::{Protocol, Publication};

/// Whose claim it is: a chain of plugins makes several for one attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimant {
    /// An interface plugin: masquerade, isolation, frames.
    Interface,
    /// `portmap`: published ports.
    Portmap,
    /// `firewall`: forwarding.
    Firewall,
    /// `dnsname`: names.
    Names,
}

/// Everything that one plugin wants for one attachment. Empty parts are wanted by nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose it is.
    pub key: Attachment,
    /// Which plugin's.
    pub claimant: Claimant,
    /// Path of the container's namespace as the runtime gave it.
    pub netns: String,
    /// Identity of that namespace.
    pub netns_id: NetnsId,
    /// Addresses of the container that are masqueraded when they leave their subnet.
    pub masquerade: Vec<Cidr>,
    /// Host's end of the pair and the address that its frames must bear.
    pub spoof: Option<(IfName, MacAddr)>,
    /// How the network is kept apart from others.
    pub isolation: Option<Isolation>,
    /// Published ports.
    pub ports: Option<Ports>,
    /// Forwarding in the reference's chains.
    pub forward: Option<Forward>,
    /// Packets that iptables' `FORWARD` is to let through by our own table's mark.
    pub passing: Option<Passing>,
    /// Where the network's containers ask for names.
    pub resolvers: Vec<Resolver>,
    /// Rules in the reference's chains, so that nobody has to look for them.
    pub handles: Vec<Handle>,
}

/// The administrator's chain of the reference, whose rules come before all others of `CNI-FORWARD`.
pub const ADMIN_CHAIN: &str = "CNI-ADMIN";

/// A network whose packets pass iptables' `FORWARD`: what its containers send, and the answers. A rule
/// for the whole host does it, where the reference has two for each address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// The network's bridge.
    pub bridge: IfName,
    /// The container's addresses.
    pub addresses: Vec<IpAddr>,
}

/// A gateway whose port 53 leads to a resolver, for the containers of its bridge alone. It serves all
/// attachments of the network, and goes with the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The bridge.
    pub link: IfName,
    /// The gateway's address, where the resolver listens.
    pub address: IpAddr,
    /// The port at which it does, in UDP and TCP.
    pub port: u16,
}

/// Where a rule is: what deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Family of its table (`NFPROTO_*`).
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its number in the table.
    pub number: u64,
}

impl Claim {
    /// A claim that wants nothing yet.
    #[must_use]
    pub fn new(key: Attachment, claimant: Claimant, netns: String, netns_id: NetnsId) -> Self {
        Self {
            key,
            claimant,
            netns,
            netns_id,
            masquerade: Vec::new(),
            spoof: None,
            isolation: None,
            ports: None,
            forward: None,
            passing: None,
            resolvers: Vec::new(),
            handles: Vec::new(),
        }
    }

    /// Whether it wants something of the reference's chains.
    #[must_use]
    pub fn has_chains(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| forward.by != Forwarder::Nobody)
            || self.ports.as_ref().is_some_and(|ports| ports.reference.is_some())
    }

    /// Whether its ports are published on conditions.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.ports.as_ref().is_some_and(|ports| {
            let publication = &ports.publication;
            !publication.conditions_v4.is_empty() || !publication.conditions_v6.is_empty()
        })
    }

    /// The link whose `route_localnet` cais turned on for it, or for one before it.
    #[must_use]
    pub fn opened_link(&self) -> Option<&IfName> {
        let ports = self.ports.as_ref()?;
        ports.link.as_ref().filter(|_| ports.link_opened)
    }

    /// Whether the attachment is proven dead: made in an earlier boot than `boot`, or its path no
    /// longer leads to its namespace.
    #[must_use]
    pub fn is_dead(&self, boot: &str) -> bool {
        !self.netns_id.lives_at(&self.netns, boot)
    }
}

/// How a network is kept apart from others: keys of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Its bridge.
    pub bridge: IfName,
    /// What may come in.
    pub class: Class,
    /// Whether its containers reach each other.
    pub icc: bool,
    /// Links by which the network goes on to other hosts.
    pub uplinks: Vec<IfName>,
}

/// What may come into a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing but answers and published ports.
    Strict,
    /// As strict, and from open networks: `isolate: true`.
    Isolated,
    /// As strict, and from open and isolated networks: `isolate: false`.
    Open,
    /// All but what comes from other networks of ours: `gatewayMode: nat-unprotected`.
    Unprotected,
    /// Published ports and ICMP, at the container's own address: `gatewayMode: routed`.
    Routed,
    /// Nothing, and nothing goes out: `internal`.
    Internal,
    /// All: only its containers are kept from each other.
    Any,
}

/// Published ports with what goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// What leads where.
    pub publication: Publication,
    /// Where clients come in.
    pub entrance: Entrance,
    /// The host's link that leads to the container, where `127.0.0.1` of the host does, too.
    pub link: Option<IfName>,
    /// Whether the host had to be told so (`route_localnet` was off).
    pub link_opened: bool,
    /// Where the proxy listens for what the kernel cannot lead to the container.
    pub proxied: Vec<Proxied>,
    /// How the reference's chains are written; `None` where they are not.
    pub reference: Option<ReferencePorts>,
}

/// Where clients of published ports come in. The network decides: see [`Class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// At ports of the host, which lead to the container.
    Host,
    /// At the container's own address; no port of the host is taken.
    Container,
    /// Nowhere: nothing comes in.
    Nowhere,
}

impl Ports {
    /// Ports of the host that only our own tables publish.
    #[must_use]
    pub fn of(publication: Publication) -> Self {
        Self {
            publication,
            entrance: Entrance::Host,
            link: None,
            link_opened: false,
            proxied: Vec::new(),
            reference: None,
        }
    }
}

impl Class {
    /// Where clients of ports come in that a network of this class publishes.
    #[must_use]
    pub fn entrance(self) -> Entrance {
        match self {
            Self::Routed => Entrance::Container,
            Self::Internal => Entrance::Nowhere,
            _ => Entrance::Host,
        }
    }
}

/// A published port that the proxy serves to IPv6 clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Its protocol.
    pub protocol: Protocol,
    /// At one address of the host, or at all.
    pub host: Option<Ipv6Addr>,
    /// Port of the host.
    pub host_port: u16,
    /// Port at which the proxy listens for it.
    pub proxy_port: u16,
}

/// Keys of `portmap` that matter in the reference's chains alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencePorts {
    /// Bit of the packet mark that asks for masquerade.
    pub mark_bit: u8,
    /// Chain that sets the mark in place of the reference's own.
    pub set_mark_chain: Option<String>,
    /// Whether packets get to these chains.
    pub linked: Linked,
}

impl ReferencePorts {
    /// The reference's bit of the packet mark where nobody chose one.
    pub const MARK_BIT: u8 = 13;

    /// As the reference writes them where nobody chose otherwise, but that no packet gets there.
    #[must_use]
    pub fn unlinked() -> Self {
        Self { mark_bit: Self::MARK_BIT, set_mark_chain: None, linked: Linked::No }
    }
}

/// Whether packets get to chains of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// Nothing leads there: they are to be read.
    No,
    /// As the reference has it.
    Yes,
}

/// What `firewall` wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Addresses of the container.
    pub addresses: Vec<IpAddr>,
    /// Who forwards.
    pub by: Forwarder,
    /// Traffic between bridges.
    pub ingress: Ingress,
    /// The bridge that `ingress` is about.
    pub bridge: Option<IfName>,
}

/// Who lets packets of a container through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// The reference's chains, with the administrator's chain of this name.
    Chains(String),
    /// firewalld, which has the addresses in this zone.
    Firewalld(String),
    /// Nobody but our own table.
    Nobody,
}

/// `ingressPolicy` of `firewall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// From everywhere.
    Open,
    /// Not from other bridges.
    SameBridge,
    /// Not from other containers either.
    Isolated,
}
