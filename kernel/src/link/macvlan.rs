use netlink_packet_route::link::{InfoData, InfoKind, InfoMacVlan, MacVlanMode};
use types::IfName;

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use crate::netlink::Request;

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
}

impl MacvlanMode {
    /// The kernel's number for it.
    fn kernel(self) -> MacVlanMode {
        match self {
            Self::Private => MacVlanMode::Private,
            Self::Vepa => MacVlanMode::Vepa,
            Self::Bridge => MacVlanMode::Bridge,
            Self::Passthru => MacVlanMode::Passthrough,
        }
    }

    pub(super) fn from_kernel(mode: u32) -> Option<Self> {
        [Self::Private, Self::Vepa, Self::Bridge, Self::Passthru]
            .into_iter()
            .find(|known| u32::from(known.kernel()) == mode)
    }
}

/// A macvlan child to make: another Ethernet address on its master's wire.
/// See `drivers/net/macvlan.c`.
#[derive(Clone, Debug)]
pub struct Macvlan {
    name: IfName,
    common: Common,
    options: Vec<InfoMacVlan>,
}

impl Macvlan {
    /// A child called `name` of the link `master`, which lives in the namespace of the socket
    /// that the request is sent on.
    #[must_use]
    pub fn new(name: IfName, master: &Dev, mode: MacvlanMode) -> Self {
        let common = Common { parent: Some(master.index), ..Common::default() };
        Self { name, common, options: vec![InfoMacVlan::Mode(mode.kernel())] }
    }

    common_setters!();
    netns_setter!();

    /// Broadcast and multicast frames that may wait for this child; the kernel's own is 1000.
    #[must_use]
    pub fn broadcast_queue(mut self, frames: u32) -> Self {
        self.options.push(InfoMacVlan::BcQueueLen(frames));
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let data = InfoData::MacVlan(self.options.clone());
        let message = self.common.message(&self.name);
        create(message, &self.name, (InfoKind::MacVlan, "macvlan"), Some(data))
    }
}
