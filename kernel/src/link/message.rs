//! Pieces that every link message is made of.

use std::ffi::c_int;

use types::{IfName, MacAddr, Mtu};

use super::Which;
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, CREATE, Request};
use crate::netns::Netns;

/// A link message before it is encoded: `struct ifinfomsg`, whose flags are collected while the
/// attributes are, and the attributes.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) family: u8,
    pub(super) index: u32,
    flags: u32,
    change: u32,
    pub(super) attributes: Encoder,
}

impl Message {
    /// A message about one existing link.
    pub(super) fn about(which: Which<'_>) -> Self {
        let mut message = Self::default();
        match which {
            Which::Name(name) => message.attributes.text(libc::IFLA_IFNAME, name.as_str()),
            Which::Dev(dev) => message.index = dev.index,
            Which::Index(index) => message.index = index,
        }
        message
    }

    /// Sets or clears an `IFF_` flag, and leaves alone those that are not named.
    pub(super) fn flag(&mut self, flag: c_int, on: bool) {
        let flag = flag.cast_unsigned();
        self.change |= flag;
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(super) fn encode(&self) -> Encoder {
        let mut header = [0; 16];
        header[0] = self.family;
        header[4..8].copy_from_slice(&self.index.to_ne_bytes());
        header[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        header[12..].copy_from_slice(&self.change.to_ne_bytes());
        let mut message = Encoder::after(&header);
        message.append(&self.attributes);
        message
    }
}

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
    pub(super) fn message(&self, name: &IfName) -> Message {
        let mut message = Message::default();
        if self.up {
            message.flag(libc::IFF_UP, true);
        }
        let attributes = &mut message.attributes;
        attributes.text(libc::IFLA_IFNAME, name.as_str());
        if let Some(mac) = self.mac {
            attributes.mac(libc::IFLA_ADDRESS, mac);
        }
        if let Some(mtu) = self.mtu {
            attributes.u32(libc::IFLA_MTU, mtu.get());
        }
        if let Some(index) = self.parent {
            attributes.u32(libc::IFLA_LINK, index);
        }
        if let Some(index) = self.master {
            attributes.u32(libc::IFLA_MASTER, index);
        }
        if let Some(fd) = self.netns {
            attributes.u32(libc::IFLA_NET_NS_FD, fd.cast_unsigned());
        }
        message
    }

    pub(super) fn set_netns(&mut self, netns: &Netns) {
        use std::os::fd::{AsFd, AsRawFd};
        self.netns = Some(netns.as_fd().as_raw_fd());
    }
}

/// The request that makes a link of `kind`, exclusively; `data` is what only this kind knows.
pub(super) fn create(
    mut message: Message,
    name: &IfName,
    kind: &'static str,
    data: &Encoder,
) -> Request {
    message.attributes.nested(libc::IFLA_LINKINFO, |info| {
        info.text(libc::IFLA_INFO_KIND, kind);
        if !data.is_empty() {
            info.nested(libc::IFLA_INFO_DATA, |nested| nested.append(data));
        }
    });
    let action = Action::Create { kind, name: name.to_string() };
    Request::new(libc::RTM_NEWLINK, CREATE, message.encode(), action)
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
