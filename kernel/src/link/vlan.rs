use types::{IfName, VlanId};

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::{IFLA_VLAN_ID, IFLA_VLAN_PROTOCOL};
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// Which tag a VLAN's frames carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanProtocol {
    /// IEEE 802.1Q, ethertype 0x8100.
    #[default]
    Dot1Q,
    /// IEEE 802.1ad (provider bridges), ethertype 0x88a8.
    Dot1Ad,
}

impl VlanProtocol {
    fn ethertype(self) -> u16 {
        match self {
            Self::Dot1Q => libc::ETH_P_8021Q as u16,
            Self::Dot1Ad => libc::ETH_P_8021AD as u16,
        }
    }

    /// What is not known for another tag is taken for the usual one.
    pub(super) fn from_ethertype(ethertype: u16) -> Self {
        if ethertype == Self::Dot1Ad.ethertype() { Self::Dot1Ad } else { Self::Dot1Q }
    }
}

/// A VLAN of a link, to make. See `net/8021q/vlan_netlink.c`.
#[derive(Clone, Debug)]
pub struct Vlan {
    name: IfName,
    common: Common,
    id: Option<VlanId>,
    protocol: VlanProtocol,
}

impl Vlan {
    /// VLAN `id` of `master`, which lives in the namespace of the socket that the request is
    /// sent on. A master has each id once: the second is `EEXIST`. `None` is 0, frames with a
    /// priority and no VLAN.
    #[must_use]
    pub fn new(name: IfName, master: &Dev, id: impl Into<Option<VlanId>>) -> Self {
        let common = Common { parent: Some(master.index), ..Common::default() };
        let id = id.into();
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
        let mut data = Encoder::default();
        data.u16(IFLA_VLAN_ID, self.id.map_or(0, VlanId::get));
        data.u16_be(IFLA_VLAN_PROTOCOL, self.protocol.ethertype());
        create(self.common.message(&self.name), &self.name, "vlan", &data)
    }
}
