use netlink_packet_route::link::{InfoBridge, InfoData, InfoKind};
use types::{IfName, VlanId};

use super::message::{Common, common_setters, create, netns_setter};
use crate::netlink::Request;

/// A bridge to make: `ip link add NAME type bridge`. See `net/bridge/br_netlink.c`.
///
/// Give it a [`mac`](Self::mac): a bridge without one of its own takes the lowest address of its
/// ports, and changes it as they come and go. Its MTU does the same, also when it was given one
/// here: only [`link::set`](super::set) pins that (`br_mtu_auto_adjust`).
#[derive(Clone, Debug)]
pub struct Bridge {
    name: IfName,
    common: Common,
    options: Vec<InfoBridge>,
}

impl Bridge {
    /// A bridge with the kernel's defaults: no spanning tree, no VLAN filtering.
    #[must_use]
    pub fn new(name: IfName) -> Self {
        Self { name, common: Common::default(), options: Vec::new() }
    }

    common_setters!();
    netns_setter!();

    /// Makes the bridge look at VLAN tags (`vlan_filtering`).
    #[must_use]
    pub fn vlan_filtering(mut self, on: bool) -> Self {
        self.options.push(InfoBridge::VlanFiltering(on));
        self
    }

    /// The VLAN that new ports join untagged; `None` for no VLAN at all. The kernel's own is 1.
    #[must_use]
    pub fn default_pvid(mut self, vlan: Option<VlanId>) -> Self {
        self.options.push(InfoBridge::VlanDefaultPvid(vlan.map_or(0, VlanId::get)));
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let data = (!self.options.is_empty()).then(|| InfoData::Bridge(self.options.clone()));
        create(self.common.message(&self.name), &self.name, (InfoKind::Bridge, "bridge"), data)
    }
}
