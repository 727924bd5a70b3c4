use types::{IfName, MacAddr};

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::{
    IFLA_MACVLAN_BC_QUEUE_LEN, IFLA_MACVLAN_MACADDR, IFLA_MACVLAN_MACADDR_DATA,
    IFLA_MACVLAN_MACADDR_MODE, IFLA_MACVLAN_MODE, MACVLAN_MACADDR_SET,
};
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// How the children of one master see each other. See ip-link(8), "MACVLAN and MACVTAP".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// Through a switch outside that sends frames back (IEEE 802.1Qbg).
    Vepa,
    /// Directly.
    Bridge,
    /// There is only one child, and it takes the master over.
    Passthru,
    /// Each gets what comes from the Ethernet addresses that it is given, and nothing else.
    Source,
}

impl MacvlanMode {
    /// The kernel's number for it: `enum macvlan_mode` of `linux/if_link.h`.
    fn kernel(self) -> u32 {
        match self {
            Self::Private => 1,
            Self::Vepa => 2,
            Self::Bridge => 4,
            Self::Passthru => 8,
            Self::Source => 16,
        }
    }

    pub(super) fn from_kernel(mode: u32) -> Option<Self> {
        let known = [Self::Private, Self::Vepa, Self::Bridge, Self::Passthru, Self::Source];
        known.into_iter().find(|known| known.kernel() == mode)
    }
}

/// A macvlan child to make: another Ethernet address on its master's wire.
/// See `drivers/net/macvlan.c`.
#[derive(Clone, Debug)]
pub struct Macvlan {
    name: IfName,
    common: Common,
    options: Encoder,
}

impl Macvlan {
    /// A child called `name` of the link `master`, which lives in the namespace of the socket
    /// that the request is sent on.
    #[must_use]
    pub fn new(name: IfName, master: &Dev, mode: MacvlanMode) -> Self {
        let common = Common { parent: Some(master.index), ..Common::default() };
        let mut options = Encoder::default();
        options.u32(IFLA_MACVLAN_MODE, mode.kernel());
        Self { name, common, options }
    }

    common_setters!();
    netns_setter!();

    /// Broadcast and multicast frames that may wait for this child; the kernel's own is 1000.
    #[must_use]
    pub fn broadcast_queue(mut self, frames: u32) -> Self {
        self.options.u32(IFLA_MACVLAN_BC_QUEUE_LEN, frames);
        self
    }

    /// Whose frames it gets in [`MacvlanMode::Source`]; the other modes ignore them.
    #[must_use]
    pub fn sources(mut self, sources: &[MacAddr]) -> Self {
        self.options.u32(IFLA_MACVLAN_MACADDR_MODE, MACVLAN_MACADDR_SET);
        self.options.nested(IFLA_MACVLAN_MACADDR_DATA, |list| {
            for source in sources {
                list.mac(IFLA_MACVLAN_MACADDR, *source);
            }
        });
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        create(self.common.message(&self.name), &self.name, "macvlan", &self.options)
    }
}
