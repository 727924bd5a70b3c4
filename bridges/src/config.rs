//! What a network on a bridge is to be, in types that cannot be wrong. Plugins read it from keys of
//! their own.

use netfilter::kind::Kind;
use std::ops::RangeInclusive;

use cni::Dns;
use netfilter::Class;
use types::{Cidr, IfName, MacAddr, Mtu, VlanId};

/// Everything that is to be known of a network and of one attachment to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the packet filter knows of the plugin.
    pub kind: &'static dyn Kind,
    /// The bridge; made when missing.
    pub bridge: IfName,
    /// Alias that a bridge gets when it is made: what says whose it is.
    pub bridge_alias: Option<String>,
    /// What the bridge is to the containers.
    pub gateway: Gateway,
    /// What to do about another address on the bridge.
    pub conflict: Conflict,
    /// MTU of the veth pair and of a new bridge; `None`: the kernel's default.
    pub mtu: Option<Mtu>,
    /// Whether the bridge sends a port's frames back to it.
    pub hairpin: bool,
    /// Whether the bridge takes frames for any address.
    pub promisc: bool,
    /// Whether the port may talk only to ports that are not isolated.
    pub isolated: bool,
    /// VLANs of the container's port; `None`: the bridge does not look at tags.
    pub vlans: Option<Vlans>,
    /// Whether what leaves the container's subnet is masqueraded.
    pub masquerade: bool,
    /// Where the network goes on beyond this host.
    pub elsewhere: Elsewhere,
    /// Whether frames of the container must bear its own address.
    pub spoof_check: bool,
    /// How the network is kept apart from others; `None`: it is not.
    pub isolation: Option<Apart>,
    /// Whether the container probes its IPv6 addresses for duplicates.
    pub enhanced_dad: bool,
    /// Whether the container's end stays down (layer 2 only).
    pub container_down: bool,
    /// Address of the container's end; `None`: a random one.
    pub mac: Option<MacAddr>,
    /// Name service that replaces the one of IPAM.
    pub dns: Option<Dns>,
    /// The IPAM plugin; `None`: layer 2 only.
    pub ipam: Option<String>,
}

/// A network that several hosts have in common, as one of them sees the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Links by which it goes on.
    pub links: Vec<IfName>,
    /// All its addresses, here and there: what stays within one of them has not left.
    pub pools: Vec<Cidr>,
}

/// What the bridge is to the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Nothing but a switch.
    None,
    /// It has the gateway's address and the host forwards.
    Address,
    /// As `Address`, and the containers' default routes go there.
    Default,
}

/// What to do about another address where the gateway's belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Fail and change nothing.
    Fail,
    /// Remove it.
    Replace,
}

/// VLANs of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlans {
    /// The VLAN that untagged frames belong to; `None` with a trunk: VLAN 1.
    pub access: Option<VlanId>,
    /// VLANs that pass with their tag, as disjoint ranges in ascending order.
    pub trunk: Option<Vec<RangeInclusive<u16>>>,
    /// Whether the port keeps the VLAN that the bridge gives every new port.
    pub keep_default: bool,
}

/// How a network is kept apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    /// What may come in.
    pub class: Class,
    /// Whether its containers reach each other.
    pub icc: bool,
}
