use netlink_packet_route::link::{InfoData, InfoKind, InfoVlan, VlanProtocol as KernelProtocol};
use types::{IfName, VlanId};

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use crate::netlink::Request;

/// Which tag a VLAN's frames carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanProtocol {
    /// IEEE 802.1Q, ethertype 0x8100.
    #[default]
    Dot1Q,
    /// IEEE 802.1ad (provider bridges), ethertype 0x88a8.
    Dot1Ad,
}

/// A VLAN of a link, to make. See `net/8021q/vlan_netlink.c`.
#[derive(Clone, Debug)]
pub struct Vlan {
    name: IfName,
    common: Common,
    id: VlanId,
    protocol: VlanProtocol,
}

impl Vlan {
    /// VLAN `id` of `master`, which lives in the namespace of the socket that the request is
    /// sent on. A master has each id once: the second is `EEXIST`.
    #[must_use]
    pub fn new(name: IfName, master: &Dev, id: VlanId) -> Self {
        let common = Common { parent: Some(master.index), ..Common::default() };
        Self { name, common, id, protocol: VlanProtocol::default() }
    }

    common_setters!();
    netns_setter!();

    /// Which tag; IEEE 802.1Q when not said.
    #[must_use]
    pub fn protocol(mut self, protocol: VlanProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The request that makes it.
    #[must_use]
    pub fn create(&self) -> Request {
        let protocol = match self.protocol {
            VlanProtocol::Dot1Q => KernelProtocol::Ieee8021Q,
            VlanProtocol::Dot1Ad => KernelProtocol::Ieee8021Ad,
        };
        let data = vec![InfoVlan::Id(self.id.get()), InfoVlan::Protocol(protocol)];
        let message = self.common.message(&self.name);
        create(message, &self.name, (InfoKind::Vlan, "vlan"), Some(InfoData::Vlan(data)))
    }
}
