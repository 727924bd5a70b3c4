//! Pieces that every link message is made of.

use netlink_packet_route::link::{
    InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use types::{IfName, MacAddr, Mtu};

use super::Which;
use crate::netlink::{Action, CREATE, Request};
use crate::netns::Netns;

/// What links of every kind can be given when they are made.
///
/// No alias: the kernel ignores `IFLA_IFALIAS` there (`rtnl_create_link`). Set it afterwards, and
/// not blindly in the same batch: when the name was taken, that would mark somebody else's link.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) mac: Option<MacAddr>,
    pub(super) mtu: Option<Mtu>,
    pub(super) master: Option<u32>,
    pub(super) parent: Option<u32>,
    pub(super) netns: Option<i32>,
    pub(super) up: bool,
}

impl Common {
    /// The attributes, without `IFLA_LINKINFO`.
    pub(super) fn message(&self, name: &IfName) -> LinkMessage {
        let mut message = LinkMessage::default();
        if self.up {
            set_up(&mut message, true);
        }
        let attributes = &mut message.attributes;
        attributes.push(LinkAttribute::IfName(name.to_string()));
        attributes.extend(self.mac.map(|mac| LinkAttribute::Address(mac.bytes().to_vec())));
        attributes.extend(self.mtu.map(|mtu| LinkAttribute::Mtu(mtu.get())));
        attributes.extend(self.parent.map(LinkAttribute::Link));
        attributes.extend(self.master.map(LinkAttribute::Controller));
        attributes.extend(self.netns.map(LinkAttribute::NetNsFd));
        message
    }

    pub(super) fn set_netns(&mut self, netns: &Netns) {
        use std::os::fd::{AsFd, AsRawFd};
        self.netns = Some(netns.as_fd().as_raw_fd());
    }
}

/// The request that makes a link of `kind`, exclusively.
pub(super) fn create(
    mut message: LinkMessage,
    name: &IfName,
    (kind, label): (InfoKind, &'static str),
    data: Option<InfoData>,
) -> Request {
    let mut info = vec![LinkInfo::Kind(kind)];
    info.extend(data.map(LinkInfo::Data));
    message.attributes.push(LinkAttribute::LinkInfo(info));
    let action = Action::Create { kind: label, name: name.to_string() };
    Request::new(libc::RTM_NEWLINK, CREATE, &message, action)
}

/// Sets or clears `IFF_UP`, and says that no other flag is meant.
pub(super) fn set_up(message: &mut LinkMessage, up: bool) {
    message.header.change_mask |= LinkFlags::Up;
    message.header.flags.set(LinkFlags::Up, up);
}

/// A message about one existing link.
pub(super) fn about(which: Which<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    match which {
        Which::Name(name) => message.attributes.push(LinkAttribute::IfName(name.to_string())),
        Which::Dev(dev) => message.header.index = dev.index,
        Which::Index(index) => message.header.index = index,
    }
    message
}

/// The setters that every builder shares, each documented where the reader meets it.
macro_rules! common_setters {
    () => {
        /// Gives it this Ethernet address, so that nothing (udev) picks or changes one later.
        #[must_use]
        pub fn mac(mut self, mac: types::MacAddr) -> Self {
            self.common.mac = Some(mac);
            self
        }

        /// Largest packet in bytes; the kernel's or the parent's own when not said.
        #[must_use]
        pub fn mtu(mut self, mtu: types::Mtu) -> Self {
            self.common.mtu = Some(mtu);
            self
        }

        /// Sets it up in the same step.
        #[must_use]
        pub fn up(mut self) -> Self {
            self.common.up = true;
            self
        }
    };
}
/// Setter for kinds that can be made directly inside another namespace.
macro_rules! netns_setter {
    () => {
        /// Makes it directly inside `netns`: it never appears in the caller's namespace, so that
        /// a crash leaves nothing to sweep. `netns` must stay open until the request is sent.
        #[must_use]
        pub fn netns(mut self, netns: &crate::netns::Netns) -> Self {
            self.common.set_netns(netns);
            self
        }
    };
}
pub(super) use {common_setters, netns_setter};
