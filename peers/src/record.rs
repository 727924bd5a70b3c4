//! Networks, hosts and blocks as hosts tell each other of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{Cidr, Family, MacAddr, Mtu, NetworkName};

use crate::ids::{HostId, Vni};

/// A network that several hosts have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// Its number on the wire.
    pub vni: Vni,
    /// Where all addresses of its containers come from.
    pub pools: Vec<Cidr>,
    /// Prefix length of a host's block of IPv4 addresses.
    pub block_len4: u8,
    /// The same for IPv6.
    pub block_len6: u8,
    /// UDP port that its packets travel to.
    pub port: u16,
    /// MTU of containers; `None`: what the underlay leaves.
    pub mtu: Option<Mtu>,
    /// Whether what leaves the network is masqueraded.
    pub masquerade: bool,
    /// How its packets are hidden.
    pub encryption: Encryption,
    /// Whether hosts on one segment send packets without a tunnel.
    pub direct_routing: bool,
    /// Parts of the pools that no host takes a block of.
    pub reserved: Vec<Cidr>,
}

/// How packets between hosts are hidden from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    #[default]
    None,
    /// By WireGuard.
    Wireguard,
}

impl Network {
    /// A network with what is usual: blocks of /24 and /64, VXLAN's port, masquerade.
    #[must_use]
    pub fn new(name: NetworkName, vni: Vni, pools: Vec<Cidr>) -> Self {
        Self {
            name,
            vni,
            pools,
            block_len4: 24,
            block_len6: 64,
            port: crate::PORT,
            mtu: None,
            masquerade: true,
            encryption: Encryption::None,
            direct_routing: false,
            reserved: Vec::new(),
        }
    }
}

impl Network {
    /// Families of its addresses, IPv4 first.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let has = |family: &Family| self.pools.iter().any(|pool| pool.family() == *family);
        [Family::V4, Family::V6].into_iter().filter(has).collect()
    }
}

/// Where a host is reached by the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Underlay {
    /// By IPv4.
    pub v4: Option<Ipv4Addr>,
    /// By IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Underlay {
    /// All of them.
    #[must_use]
    pub fn addresses(self) -> Vec<IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6)).collect()
    }

    /// The one of `family`.
    #[must_use]
    pub fn of(self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    /// The address by which `self` reaches `other`: IPv4 where both have it, else IPv6.
    #[must_use]
    pub fn towards(self, other: Self) -> Option<IpAddr> {
        let both = |family| self.of(family).and_then(|_| other.of(family));
        both(Family::V4).or_else(|| both(Family::V6))
    }
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub id: HostId,
    /// Where it is.
    pub underlay: Underlay,
    /// Largest packet of its underlay in bytes; `None`: as ours.
    pub mtu: Option<Mtu>,
}

/// Addresses of a network that one host hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which.
    pub cidr: Cidr,
    /// Whose.
    pub host: HostId,
    /// Ethernet address of that host's end of the network.
    pub mac: MacAddr,
    /// Whether it is in use.
    pub state: State,
    /// Orders claims: of two that overlap the lower one stands.
    pub claimed: u64,
}

/// What is done with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Addresses are handed out.
    Active,
    /// None any more; those that are will be given back.
    Draining,
    /// Nobody has an address of it.
    Released,
}
