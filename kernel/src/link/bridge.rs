use types::{IfName, VlanId};

use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::{IFLA_BR_VLAN_DEFAULT_PVID, IFLA_BR_VLAN_FILTERING};
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// A bridge to make: `ip link add NAME type bridge`. See `net/bridge/br_netlink.c`.
///
/// Give it a [`mac`](Self::mac): a bridge without one of its own takes the lowest address of its
/// ports, and changes it as they come and go. Its MTU does the same, also when it was given one
/// here: only [`link::set`](super::set) pins that (`br_mtu_auto_adjust`).
#[derive(Clone, Debug)]
pub struct Bridge {
    name: IfName,
    common: Common,
    options: Encoder,
}

impl Bridge {
    /// A bridge with the kernel's defaults: no spanning tree, no VLAN filtering.
    #[must_use]
    pub fn new(name: IfName) -> Self {
        Self { name, common: Common::default(), options: Encoder::default() }
    }

    common_setters!();
    netns_setter!();

    /// Makes the bridge look at VLAN tags (`vlan_filtering`).
    #[must_use]
    pub fn vlan_filtering(mut self, on: bool) -> Self {
        self.options.switch(IFLA_BR_VLAN_FILTERING, on);
        self
    }

    /// The VLAN that new ports join untagged; `None` for no VLAN at all. The kernel's own is 1.
    #[must_use]
    pub fn default_pvid(mut self, vlan: Option<VlanId>) -> Self {
        self.options.u16(IFLA_BR_VLAN_DEFAULT_PVID, vlan.map_or(0, VlanId::get));
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        create(self.common.message(&self.name), &self.name, "bridge", &self.options)
    }
}
