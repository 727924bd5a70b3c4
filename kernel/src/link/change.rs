use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use types::{IfName, MacAddr, Mtu};

use super::message::{about, set_up};
use super::{Dev, Which};
use crate::netlink::{Action, Request};
use crate::netns::Netns;

/// Changes to one existing link, sent as one message: `ip link set`.
///
/// ```
/// # use kernel::link::{self, Dev};
/// let request = link::set(&Dev::new(2, "eth0")).up().promisc(true).request();
/// assert_eq!(request.action().to_string(), "set link eth0 up, promisc on");
/// ```
#[derive(Clone, Debug)]
pub struct Change {
    link: String,
    message: LinkMessage,
    to: Vec<String>,
}

/// Starts a change of `which`.
pub fn set<'a>(which: impl Into<Which<'a>>) -> Change {
    let which = which.into();
    Change { link: which.to_string(), message: about(which), to: Vec::new() }
}

/// The request that gives `dev` another name. Before Linux 6.8 it has to be down for that.
#[must_use]
pub fn rename(dev: &Dev, name: &IfName) -> Request {
    let attribute = LinkAttribute::IfName(name.to_string());
    set(dev).with(attribute, format!("name {name}")).request()
}

/// Starts a move of `dev` to `netns`, where it is called `name`. The namespace must stay open
/// until the request is sent. It arrives down; set it up there.
#[must_use]
pub fn move_to(dev: &Dev, netns: &Netns, name: &IfName) -> Change {
    set(dev).netns(netns).with(LinkAttribute::IfName(name.to_string()), format!("name {name}"))
}

/// The request that deletes `which`, and waits until the kernel has freed it: 15–20 ms at
/// HZ=250. Use the detached delete where the caller need not wait for that.
pub fn delete<'a>(which: impl Into<Which<'a>>) -> Request {
    let which = which.into();
    let action = Action::Delete { link: which.to_string() };
    Request::new(libc::RTM_DELLINK, 0, &about(which), action)
}

impl Change {
    /// Sets it up.
    #[must_use]
    pub fn up(mut self) -> Self {
        set_up(&mut self.message, true);
        self.noted("up")
    }

    /// Sets it down.
    #[must_use]
    pub fn down(mut self) -> Self {
        set_up(&mut self.message, false);
        self.noted("down")
    }

    /// Whether it takes frames for any address.
    #[must_use]
    pub fn promisc(mut self, on: bool) -> Self {
        self.message.header.change_mask |= LinkFlags::Promisc;
        self.message.header.flags.set(LinkFlags::Promisc, on);
        self.noted(if on { "promisc on" } else { "promisc off" })
    }

    /// Largest packet in bytes.
    #[must_use]
    pub fn mtu(self, mtu: Mtu) -> Self {
        self.with(LinkAttribute::Mtu(mtu.get()), format!("mtu {}", mtu.get()))
    }

    /// Ethernet address. Setting the present one pins it: a bridge then stops following its ports.
    #[must_use]
    pub fn mac(self, mac: MacAddr) -> Self {
        self.with(LinkAttribute::Address(mac.bytes().to_vec()), format!("address {mac}"))
    }

    /// Makes it a port of `master`.
    #[must_use]
    pub fn master(self, master: &Dev) -> Self {
        self.with(LinkAttribute::Controller(master.index), format!("master {master}"))
    }

    /// Takes it off its master.
    #[must_use]
    pub fn nomaster(self) -> Self {
        self.with(LinkAttribute::Controller(0), "nomaster".into())
    }

    /// Moves it to another namespace, which must stay open until the request is sent.
    #[must_use]
    pub fn netns(self, netns: &Netns) -> Self {
        use std::os::fd::{AsFd, AsRawFd};
        let attribute = LinkAttribute::NetNsFd(netns.as_fd().as_raw_fd());
        self.with(attribute, format!("netns {}", netns.path().display()))
    }

    /// The text that the kernel keeps with it, at most 255 bytes; empty removes it.
    #[must_use]
    pub fn alias(self, alias: &str) -> Self {
        // An alias of no bytes removes it; the typed attribute always carries a NUL.
        let attribute = match alias {
            "" => LinkAttribute::Other(DefaultNla::new(libc::IFLA_IFALIAS, Vec::new())),
            alias => LinkAttribute::IfAlias(alias.to_owned()),
        };
        self.with(attribute, format!("alias {alias}"))
    }

    /// Packets that may wait in its transmit queue.
    #[must_use]
    pub fn txqueuelen(self, packets: u32) -> Self {
        self.with(LinkAttribute::TxQueueLen(packets), format!("txqueuelen {packets}"))
    }

    /// Whether it takes every multicast frame.
    #[must_use]
    pub fn allmulticast(mut self, on: bool) -> Self {
        self.message.header.change_mask |= LinkFlags::Allmulti;
        self.message.header.flags.set(LinkFlags::Allmulti, on);
        self.noted(if on { "allmulticast on" } else { "allmulticast off" })
    }

    /// The request that makes all these changes.
    #[must_use]
    pub fn request(self) -> Request {
        let action = Action::Change { link: self.link, to: self.to.join(", ") };
        // Without NLM_F_CREATE this only changes what exists, and unlike RTM_SETLINK it takes
        // every attribute, also on old kernels.
        Request::new(libc::RTM_NEWLINK, 0, &self.message, action)
    }

    fn with(mut self, attribute: LinkAttribute, what: String) -> Self {
        self.message.attributes.push(attribute);
        self.to.push(what);
        self
    }

    fn noted(mut self, what: &str) -> Self {
        self.to.push(what.to_owned());
        self
    }
}
