use std::borrow::Cow;
use std::net::IpAddr;

use types::{IfName, MacAddr, Mtu};

use super::message::Message;
use super::numbers::{
    IFLA_INET6_ADDR_GEN_MODE, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, IN6_ADDR_GEN_MODE_NONE,
};
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
    message: Message,
    to: Vec<Cow<'static, str>>,
}

/// Starts a change of `which`.
pub fn set<'a>(which: impl Into<Which<'a>>) -> Change {
    let which = which.into();
    Change { link: which.to_string(), message: Message::about(which), to: Vec::new() }
}

/// The request that gives `dev` another name. Before Linux 6.8 it has to be down for that.
#[must_use]
pub fn rename(dev: &Dev, name: &IfName) -> Request {
    set(dev).name(name).request()
}

/// Starts a move of `dev` to `netns`, where it is called `name`. The namespace must stay open
/// until the request is sent. It arrives down; set it up there.
#[must_use]
pub fn move_to(dev: &Dev, netns: &Netns, name: &IfName) -> Change {
    set(dev).netns(netns).name(name)
}

/// The request that deletes `which`, and waits until the kernel has freed it: 15–20 ms at
/// HZ=250. Use the detached delete where the caller need not wait for that.
pub fn delete<'a>(which: impl Into<Which<'a>>) -> Request {
    let which = which.into();
    let action = Action::Delete { link: which.to_string() };
    Request::new(libc::RTM_DELLINK, 0, Message::about(which).encode(), action)
}

impl Change {
    /// Sets it up.
    #[must_use]
    pub fn up(mut self) -> Self {
        self.message.flag(libc::IFF_UP, true);
        self.noted("up")
    }

    /// Sets it down.
    #[must_use]
    pub fn down(mut self) -> Self {
        self.message.flag(libc::IFF_UP, false);
        self.noted("down")
    }

    /// Whether it takes frames for any address.
    #[must_use]
    pub fn promisc(mut self, on: bool) -> Self {
        self.message.flag(libc::IFF_PROMISC, on);
        self.noted(if on { "promisc on" } else { "promisc off" })
    }

    /// Largest packet in bytes.
    #[must_use]
    pub fn mtu(self, mtu: Mtu) -> Self {
        self.mtu_as_read(mtu.get())
    }

    /// Largest packet in bytes, as some link had it. To put back what was: `lo` has more than
    /// [`Mtu`] can say.
    #[must_use]
    pub fn mtu_as_read(self, bytes: u32) -> Self {
        self.number(libc::IFLA_MTU, bytes, format!("mtu {bytes}"))
    }

    /// Ethernet address. Setting the present one pins it: a bridge then stops following its ports.
    #[must_use]
    pub fn mac(mut self, mac: MacAddr) -> Self {
        self.message.attributes.mac(libc::IFLA_ADDRESS, mac);
        self.noted(format!("address {mac}"))
    }

    /// Makes it a port of `master`.
    #[must_use]
    pub fn master(self, master: &Dev) -> Self {
        self.number(libc::IFLA_MASTER, master.index, format!("master {master}"))
    }

    /// Takes it off its master.
    #[must_use]
    pub fn nomaster(self) -> Self {
        self.number(libc::IFLA_MASTER, 0, "nomaster".into())
    }

    /// Moves it to another namespace, which must stay open until the request is sent.
    #[must_use]
    pub fn netns(self, netns: &Netns) -> Self {
        use std::os::fd::{AsFd, AsRawFd};
        let fd = netns.as_fd().as_raw_fd().cast_unsigned();
        self.number(libc::IFLA_NET_NS_FD, fd, format!("netns {}", netns.path().display()))
    }

    /// The text that the kernel keeps with it, at most 255 bytes; empty removes it.
    #[must_use]
    pub fn alias(mut self, alias: &str) -> Self {
        match alias {
            // No bytes, not even a NUL, remove it.
            "" => self.message.attributes.bytes(libc::IFLA_IFALIAS, &[]),
            alias => self.message.attributes.text(libc::IFLA_IFALIAS, alias),
        }
        self.noted(format!("alias {alias}"))
    }

    /// Whether it makes itself no link-local IPv6 address. Said before it is set up: in one message
    /// the kernel would set it up first.
    #[must_use]
    pub fn addrgenmode_none(mut self) -> Self {
        self.message.attributes.nested(libc::IFLA_AF_SPEC, |families| {
            families.nested(libc::AF_INET6 as u16, |v6| {
                v6.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
            });
        });
        self.noted("addrgenmode none")
    }

    /// Source address of a VXLAN end's own packets, of the family that it has.
    #[must_use]
    pub fn vxlan_local(mut self, ip: IpAddr) -> Self {
        let kind = if ip.is_ipv4() { IFLA_VXLAN_LOCAL } else { IFLA_VXLAN_LOCAL6 };
        self.message.attributes.nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "vxlan");
            info.nested(libc::IFLA_INFO_DATA, |data| data.ip(kind, ip));
        });
        self.noted(format!("local {ip}"))
    }

    /// Packets that may wait in its transmit queue.
    #[must_use]
    pub fn txqueuelen(self, packets: u32) -> Self {
        self.number(libc::IFLA_TXQLEN, packets, format!("txqueuelen {packets}"))
    }

    /// Whether it takes every multicast frame.
    #[must_use]
    pub fn allmulticast(mut self, on: bool) -> Self {
        self.message.flag(libc::IFF_ALLMULTI, on);
        self.noted(if on { "allmulticast on" } else { "allmulticast off" })
    }

    /// The request that makes all these changes.
    #[must_use]
    pub fn request(self) -> Request {
        let action = Action::Change { link: self.link, to: self.to.join(", ") };
        // Without NLM_F_CREATE this only changes what exists, and unlike RTM_SETLINK it takes
        // every attribute, also on old kernels.
        Request::new(libc::RTM_NEWLINK, 0, self.message.encode(), action)
    }

    fn name(mut self, name: &IfName) -> Self {
        self.message.attributes.text(libc::IFLA_IFNAME, name.as_str());
        self.noted(format!("name {name}"))
    }

    fn number(mut self, kind: u16, value: u32, what: String) -> Self {
        self.message.attributes.u32(kind, value);
        self.noted(what)
    }

    fn noted(mut self, what: impl Into<Cow<'static, str>>) -> Self {
        self.to.push(what.into());
        self
    }
}
