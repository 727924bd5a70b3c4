//! Records of others are input: what a host acts upon, and why not upon the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use types::{Cidr, Family, MacAddr, Mtu, NetworkName};

use crate::ids::HostId;
use crate::record::{Block, Host, Network, State};

/// A host of a network as this one reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which.
    pub id: HostId,
    /// Where its packets come from and go to.
    pub underlay: IpAddr,
    /// Ethernet address of its end.
    pub mac: MacAddr,
    /// Largest packet of its underlay, where it says so.
    pub mtu: Option<Mtu>,
    /// Its blocks, in the order of its claims; at least one.
    pub blocks: Vec<Cidr>,
}

/// How many records are looked at: more are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Hosts with blocks, this one included.
    pub hosts: usize,
    /// Blocks of one host.
    pub blocks_per_host: usize,
}

impl Limits {
    /// For a file of peers, which every ADD reads.
    pub const STATIC: Self = Self { hosts: 65, blocks_per_host: 16 };
    /// For a store.
    pub const STORE: Self = Self { hosts: 10_000, blocks_per_host: 64 };
}

/// What follows from all records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// This host's blocks, in the order of its claims. Released ones are left out.
    pub own: Vec<Block>,
    /// The others, ordered by id.
    pub peers: Vec<Peer>,
    /// What is not acted upon.
    pub refused: Vec<Refused>,
}

/// A record that is not acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Of which host.
    pub host: HostId,
    /// Which block; `None`: all that the host has.
    pub block: Option<Cidr>,
    /// Why.
    pub reason: Reason,
}

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The block has bits beyond its prefix.
    NotCanonical,
    /// It lies in no pool of the network.
    OutsidePools(NetworkName),
    /// It shares addresses with a block that was claimed before.
    Overlaps(Cidr, HostId),
    /// The Ethernet address is a group's, nobody's or one that a manufacturer gave.
    BadMac(MacAddr),
    /// An earlier block of the host has another Ethernet address.
    OtherMac(MacAddr),
    /// Another host has the Ethernet address.
    MacTaken(MacAddr, HostId),
    /// There is no record of the host.
    UnknownHost,
    /// There are two records of the host.
    HostTwice,
    /// No address family is common to both hosts.
    Unreachable,
    /// The underlay's address is none that a host can have.
    BadUnderlay(IpAddr),
    /// The underlay's address lies in the pool: packets to it would go round in circles.
    UnderlayInPool(IpAddr, Cidr),
    /// Another host has the underlay's address.
    UnderlayTaken(IpAddr, HostId),
    /// More hosts than this one may have peers.
    TooManyHosts(usize),
    /// More blocks than a host may have.
    TooManyBlocks(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.host)?;
        if let Some(block) = self.block {
            write!(f, ", {block}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCanonical => f.write_str("has bits beyond its prefix"),
            Self::OutsidePools(network) => write!(f, "lies in no pool of {network}"),
            Self::Overlaps(other, host) => write!(f, "overlaps {other} of host {host}"),
            Self::BadMac(mac) => write!(f, "{mac} is no local unicast address"),
            Self::OtherMac(mac) => write!(f, "an earlier block of it has address {mac}"),
            Self::MacTaken(mac, host) => write!(f, "host {host} has its address {mac}"),
            Self::UnknownHost => f.write_str("nothing is known of the host"),
            Self::HostTwice => f.write_str("the host is there twice"),
            Self::Unreachable => {
                f.write_str("it has no underlay address of a family that this host has")
            }
            Self::BadUnderlay(ip) => write!(f, "{ip} is no address that a host can have"),
            Self::UnderlayInPool(ip, pool) => {
                write!(f, "its underlay address {ip} lies in the network's pool {pool}")
            }
            Self::UnderlayTaken(ip, host) => write!(f, "host {host} has its address {ip}"),
            Self::TooManyHosts(most) => write!(f, "there are more than {most} hosts"),
            Self::TooManyBlocks(most) => write!(f, "it has more than {most} blocks"),
        }
    }
}

/// Judges all records of `network` for the host `own`. The order of `hosts` and `blocks` does not
/// matter: claims are judged in the order that [`Block::claimed`] says.
#[must_use]
pub fn accept(
    network: &Network,
    own: &Host,
    hosts: &[Host],
    blocks: &[Block],
    limits: Limits,
) -> Accepted {
    let mut judge = Judge::new(network, own, hosts, limits);
    let mut claims: Vec<&Block> =
        blocks.iter().filter(|block| block.state != State::Released).collect();
    claims.sort_by_key(|block| (block.claimed, block.cidr, &block.host));
    for block in claims {
        if let Err(reason) = judge.block(block) {
            let host = block.host.clone();
            judge.refused.push(Refused { host, block: Some(block.cidr), reason });
        }
    }
    let peers = judge.peers.into_values().collect();
    Accepted { own: judge.own_blocks, peers, refused: judge.refused }
}

/// What was accepted so far.
struct Judge<'a> {
    network: &'a Network,
    own: &'a Host,
    limits: Limits,
    hosts: BTreeMap<&'a HostId, &'a Host>,
    peers: BTreeMap<&'a HostId, Peer>,
    own_blocks: Vec<Block>,
    /// By last address, so that one look-up finds what overlaps.
    taken: BTreeMap<IpAddr, (Cidr, &'a HostId)>,
    macs: BTreeMap<MacAddr, &'a HostId>,
    underlays: BTreeMap<IpAddr, &'a HostId>,
    refused: Vec<Refused>,
}

impl<'a> Judge<'a> {
    fn new(network: &'a Network, own: &'a Host, hosts: &'a [Host], limits: Limits) -> Self {
        let mut known = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for host in hosts {
            if known.insert(&host.id, host).is_some_and(|other| other != host) {
                twice.insert(&host.id);
            }
        }
        let refused =
            |id: &HostId| Refused { host: id.clone(), block: None, reason: Reason::HostTwice };
        Self {
            network,
            own,
            limits,
            peers: BTreeMap::new(),
            own_blocks: Vec::new(),
            taken: BTreeMap::new(),
            macs: BTreeMap::from([(own.id.vtep_mac(network.vni), &own.id)]),
            underlays: own.underlay.addresses().into_iter().map(|ip| (ip, &own.id)).collect(),
            refused: twice.iter().map(|id| refused(id)).collect(),
            hosts: known.into_iter().filter(|(id, _)| !twice.contains(id)).collect(),
        }
    }

    fn block(&mut self, block: &'a Block) -> Result<(), Reason> {
        let Block { cidr, host: id, mac, .. } = block;
        if *cidr != cidr.network() {
            return Err(Reason::NotCanonical);
        }
        let within = |pool: &&Cidr| pool.contains(cidr.ip()) && pool.contains(cidr.last());
        if !self.network.pools.iter().any(|pool| within(&pool)) {
            return Err(Reason::OutsidePools(self.network.name.clone()));
        }
        if let Some((other, host)) = self.overlapping(*cidr) {
            return Err(Reason::Overlaps(other, host.clone()));
        }
        if *id == self.own.id {
            if self.own_blocks.len() == self.limits.blocks_per_host {
                return Err(Reason::TooManyBlocks(self.limits.blocks_per_host));
            }
            self.own_blocks.push(block.clone());
        } else if let Some(peer) = self.peers.get_mut(id) {
            if peer.mac != *mac {
                return Err(Reason::OtherMac(peer.mac));
            }
            if peer.blocks.len() == self.limits.blocks_per_host {
                return Err(Reason::TooManyBlocks(self.limits.blocks_per_host));
            }
            peer.blocks.push(*cidr);
        } else {
            let peer = self.peer(block)?;
            self.macs.insert(peer.mac, id);
            self.underlays.insert(peer.underlay, id);
            self.peers.insert(id, peer);
        }
        self.taken.insert(cidr.last(), (*cidr, id));
        Ok(())
    }

    /// The host of a block that is its first.
    fn peer(&self, block: &Block) -> Result<Peer, Reason> {
        let host = self.hosts.get(&block.host).ok_or(Reason::UnknownHost)?;
        if self.peers.len() + 1 >= self.limits.hosts {
            return Err(Reason::TooManyHosts(self.limits.hosts));
        }
        let first = block.mac.bytes()[0];
        if first & 1 != 0 || first & 2 == 0 {
            return Err(Reason::BadMac(block.mac));
        }
        if let Some(other) = self.macs.get(&block.mac) {
            return Err(Reason::MacTaken(block.mac, (*other).clone()));
        }
        let underlay = self.own.underlay.towards(host.underlay).ok_or(Reason::Unreachable)?;
        if !is_a_hosts(underlay) {
            return Err(Reason::BadUnderlay(underlay));
        }
        if let Some(pool) = self.network.pools.iter().find(|pool| pool.contains(underlay)) {
            return Err(Reason::UnderlayInPool(underlay, *pool));
        }
        if let Some(other) = self.underlays.get(&underlay) {
            return Err(Reason::UnderlayTaken(underlay, (*other).clone()));
        }
        let (id, mac, blocks) = (host.id.clone(), block.mac, vec![block.cidr]);
        Ok(Peer { id, underlay, mac, mtu: host.mtu, blocks })
    }

    fn overlapping(&self, cidr: Cidr) -> Option<(Cidr, &'a HostId)> {
        // Those taken do not overlap, so the first that ends behind our begin is the only one to ask.
        let (_, found) = self.taken.range(cidr.ip()..).next()?;
        found.0.overlaps(cidr).then_some(*found)
    }
}

/// Whether `ip` can be the address of one host.
fn is_a_hosts(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
                && ip.octets()[0] != 0
        }
        // A link-local one needs its link, which no other host knows.
        IpAddr::V6(ip) => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some())
        }
    }
}

impl Accepted {
    /// Families of this host's blocks, IPv4 first.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let has = |family: &Family| self.own.iter().any(|block| block.cidr.family() == *family);
        [Family::V4, Family::V6].into_iter().filter(has).collect()
    }
}

#[cfg(test)]
mod tests;
