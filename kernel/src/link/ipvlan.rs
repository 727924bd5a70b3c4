use types::IfName;

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::{IFLA_IPVLAN_FLAGS, IFLA_IPVLAN_MODE};
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

/// How the ipvlan children of one master see each other (Linux 4.15). See ip-link(8), "IPVLAN".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanFlag {
    /// Directly.
    Bridge,
    /// Not at all.
    Private,
    /// Through a switch outside that sends frames back (IEEE 802.1Qbg).
    Vepa,
}

impl IpvlanFlag {
    /// The kernel's number for it: `IPVLAN_F_` of `linux/if_link.h`.
    fn kernel(self) -> u16 {
        match self {
            Self::Bridge => 0,
            Self::Private => 1,
            Self::Vepa => 2,
        }
    }

    pub(super) fn from_kernel(flags: u16) -> Option<Self> {
        let known = [Self::Bridge, Self::Private, Self::Vepa];
        known.into_iter().find(|known| known.kernel() == flags)
    }
}

/// An ipvlan child to make: more addresses behind its master's Ethernet address, which it shares.
/// See `drivers/net/ipvlan/ipvlan_main.c`.
#[derive(Clone, Debug)]
pub struct Ipvlan {
    name: IfName,
    common: Common,
    mode: IpvlanMode,
    flag: Option<IpvlanFlag>,
}

impl Ipvlan {
    /// A child called `name` of the link `master`, which lives in the namespace of the socket
    /// that the request is sent on. The master's other children change to its `mode`, too.
    #[must_use]
    pub fn new(name: IfName, master: &Dev, mode: IpvlanMode) -> Self {
        let common = Common { parent: Some(master.index), ..Common::default() };
        Self { name, common, mode, flag: None }
    }

    common_setters!();
    netns_setter!();

    /// How the children see each other, from now on all of the master's; what they had when not said.
    #[must_use]
    pub fn flag(mut self, flag: IpvlanFlag) -> Self {
        self.flag = Some(flag);
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let mut data = Encoder::default();
        data.u16(IFLA_IPVLAN_MODE, self.mode.kernel());
        if let Some(flag) = self.flag {
            data.u16(IFLA_IPVLAN_FLAGS, flag.kernel());
        }
        create(self.common.message(&self.name), &self.name, "ipvlan", &data)
    }
}
