use types::IfName;

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::IFLA_IPVLAN_MODE;
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// Which layer an ipvlan child shares its master at. See ip-link(8), "IPVLAN".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// Like a switch: ARP and broadcasts work.
    L2,
    /// Like a router: neither works, and netfilter of the master's namespace sees nothing.
    L3,
    /// Like a router, and netfilter sees the packets.
    L3s,
}

impl IpvlanMode {
    /// The kernel's number for it: `enum ipvlan_mode` of `linux/if_link.h`.
    fn kernel(self) -> u16 {
        match self {
            Self::L2 => 0,
            Self::L3 => 1,
            Self::L3s => 2,
        }
    }

    pub(super) fn from_kernel(mode: u16) -> Option<Self> {
        [Self::L2, Self::L3, Self::L3s].into_iter().find(|known| known.kernel() == mode)
    }
}

/// An ipvlan child to make: more addresses behind its master's Ethernet address, which it shares.
/// See `drivers/net/ipvlan/ipvlan_main.c`.
#[derive(Clone, Debug)]
pub struct Ipvlan {
    name: IfName,
    common: Common,
    mode: IpvlanMode,
}

impl Ipvlan {
    /// A child called `name` of the link `master`, which lives in the namespace of the socket
    /// that the request is sent on.
    #[must_use]
    pub fn new(name: IfName, master: &Dev, mode: IpvlanMode) -> Self {
        let common = Common { parent: Some(master.index), ..Common::default() };
        Self { name, common, mode }
    }

    common_setters!();
    netns_setter!();

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let mut data = Encoder::default();
        data.u16(IFLA_IPVLAN_MODE, self.mode.kernel());
        create(self.common.message(&self.name), &self.name, "ipvlan", &data)
    }
}
