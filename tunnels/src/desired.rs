//! What must be there, from what hosts say of each other. No kernel is asked.

use std::net::IpAddr;

use netfilter::tunnels::Tunnels;
use peers::{Accepted, Block, Encryption, Host, LocalBlock, Network, Peer, Vni};
use types::{Cidr, Family, IfName, MacAddr, Mtu, NetworkName};

use crate::error::Error;
use crate::underlay::Underlays;

/// A network on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Which.
    pub network: NetworkName,
    /// Its number.
    pub vni: Vni,
    /// Its UDP port.
    pub port: u16,
    /// All its addresses.
    pub pools: Vec<Cidr>,
    /// MTU of its containers.
    pub mtu: Mtu,
    /// Bridge of its containers.
    pub bridge: IfName,
    /// The bridge's addresses, one for each block.
    pub gateways: Vec<Cidr>,
    /// Its devices: one for each family of the underlay, IPv4 first.
    pub ends: Vec<End>,
}

/// A device with the hosts that are reached by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its name.
    pub device: IfName,
    /// Source of its packets.
    pub local: IpAddr,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its MTU.
    pub mtu: Mtu,
    /// Its addresses: what the host itself sends to containers elsewhere comes from there.
    pub addresses: Vec<Cidr>,
    /// The hosts.
    pub remotes: Vec<Remote>,
}

/// Another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub underlay: IpAddr,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its blocks.
    pub blocks: Vec<Via>,
}

/// The way to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The block.
    pub block: Cidr,
    /// The next hop, which stands for the host; no packet is sent to it.
    pub hop: IpAddr,
    /// MTU on the way, where it is less than the device's.
    pub mtu: Option<u32>,
}

/// Bytes that a packet grows by: outer IP, UDP, VXLAN and the frame's header.
fn overhead(underlay: Family) -> u32 {
    match underlay {
        Family::V4 => 50,
        Family::V6 => 70,
    }
}

/// RFC 8200 §5.
const LEAST_IPV6_MTU: u32 = 1280;

/// The bridge's address in `block`: the first after the block's own.
#[must_use]
pub fn gateway(block: Cidr) -> IpAddr {
    match block.network().ip() {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) | 1).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) | 1).into()),
    }
}

/// A block of this host as the plugin is told of it.
#[must_use]
pub fn local(block: &Block) -> LocalBlock {
    LocalBlock { cidr: block.cidr, gateway: gateway(block.cidr), state: block.state }
}

impl Desired {
    /// What follows for the host `own` from records that were accepted. `underlays` are its links'.
    ///
    /// # Errors
    /// [`Error::NoUnderlay`], [`Error::Unsupported`].
    pub fn new(
        network: &Network,
        own: &Host,
        accepted: &Accepted,
        underlays: &Underlays,
    ) -> Result<Self, Error> {
        let unsupported = |what| Error::Unsupported { network: network.name.to_string(), what };
        if network.encryption != Encryption::None {
            // Never in the clear what was to be hidden.
            return Err(unsupported("encryption"));
        }
        if network.direct_routing {
            return Err(unsupported("\"directRouting\""));
        }
        let mut ends = Vec::new();
        for local in own.underlay.addresses() {
            let family = Family::of(local);
            let remotes: Vec<&Peer> =
                accepted.peers.iter().filter(|peer| Family::of(peer.underlay) == family).collect();
            // With nobody there yet one device does.
            if remotes.is_empty() && !(ends.is_empty() && accepted.peers.is_empty()) {
                continue;
            }
            ends.push(End::new(network, own, accepted, (local, underlays), &remotes)?);
        }
        let gateway_of = |cidr: Cidr| Cidr::new(gateway(cidr), cidr.prefix());
        let least = ends.iter().map(|end| end.mtu).min();
        Ok(Self {
            network: network.name.clone(),
            vni: network.vni,
            port: network.port,
            pools: network.pools.clone(),
            mtu: least.ok_or_else(|| unsupported("a host without an underlay address"))?,
            bridge: network.vni.bridge(),
            gateways: accepted.own.iter().filter_map(|block| gateway_of(block.cidr)).collect(),
            ends,
        })
    }

    /// The links by which the network goes on.
    #[must_use]
    pub fn devices(&self) -> Vec<IfName> {
        self.ends.iter().map(|end| end.device.clone()).collect()
    }

    /// What the guard of packets has to know.
    #[must_use]
    pub fn tunnels(&self) -> Tunnels {
        let remotes = self.ends.iter().flat_map(|end| &end.remotes);
        let blocks = |remote: &Remote| remote.blocks.iter().map(|via| via.block).collect();
        let mut links = vec![self.bridge.clone()];
        links.extend(self.devices());
        Tunnels {
            network: self.network.clone(),
            vni: self.vni.get(),
            port: self.port,
            peers: remotes.map(|remote| (remote.underlay, blocks(remote))).collect(),
            links,
            gateways: self.gateways.iter().map(|gateway| gateway.ip()).collect(),
        }
    }
}

impl End {
    fn new(
        network: &Network,
        own: &Host,
        accepted: &Accepted,
        (local, underlays): (IpAddr, &Underlays),
        remotes: &[&Peer],
    ) -> Result<Self, Error> {
        let family = Family::of(local);
        let missing = || Error::NoUnderlay { network: network.name.to_string(), address: local };
        let link = underlays.mtu(local).ok_or_else(missing)?;
        let underlay = own.mtu.map_or(link, |said| said.get().min(link));
        let has_v6 = network.pools.iter().any(|pool| pool.family() == Family::V6);
        let least = if has_v6 { LEAST_IPV6_MTU } else { 68 };
        let within = |underlay: u32| underlay.saturating_sub(overhead(family)).max(least);
        let mtu = network.mtu.map_or(within(underlay), Mtu::get);
        let mtu = Mtu::try_from(mtu.min(u32::from(u16::MAX))).map_err(|_| missing())?;
        let remote = |peer: &&Peer| Remote {
            underlay: peer.underlay,
            mac: peer.mac,
            blocks: ways(peer, peer.mtu.map(|said| within(said.get())), mtu),
        };
        let device = match family {
            Family::V4 => network.vni.device(),
            Family::V6 => network.vni.device6(),
        };
        Ok(Self {
            device,
            local,
            mac: own.id.vtep_mac(network.vni),
            mtu,
            addresses: addresses(accepted),
            remotes: remotes.iter().map(remote).collect(),
        })
    }
}

/// The ways to the blocks of a host, whose first block of a family names the next hop.
fn ways(peer: &Peer, said: Option<u32>, mtu: Mtu) -> Vec<Via> {
    let first = |family| peer.blocks.iter().find(|block| block.family() == family);
    let mtu = said.filter(|said| *said < mtu.get());
    let way = |block: &Cidr| {
        let hop = first(block.family())?.network().ip();
        Some(Via { block: *block, hop, mtu })
    };
    peer.blocks.iter().filter_map(way).collect()
}

/// The first gateway of each family, which the bridge has as well once it is there: the host answers
/// others from the address that it was asked at, and has one while it has no container.
fn addresses(accepted: &Accepted) -> Vec<Cidr> {
    let of = |family| {
        let mut blocks = accepted.own.iter().map(|block| block.cidr);
        blocks.find(|block| block.family() == family).map(|block| Cidr::host(gateway(block)))
    };
    [Family::V4, Family::V6].into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests;
