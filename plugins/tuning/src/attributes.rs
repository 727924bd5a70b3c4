//! Attributes of an interface that can be changed and put back.

use kernel::link::{self, Change, Dev, Link};
use types::MacAddr;

/// Some attributes of an interface: those that are asked for, or those that it had. `None` is none
/// of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Ethernet address.
    pub(crate) mac: Option<MacAddr>,
    /// Whether it takes frames for any address.
    pub(crate) promisc: Option<bool>,
    /// In bytes.
    pub(crate) mtu: Option<u32>,
    /// Whether it takes every multicast frame.
    pub(crate) allmulti: Option<bool>,
    /// Packets that may wait in its transmit queue.
    pub(crate) txqlen: Option<u32>,
}

impl Attributes {
    /// What `link` has of all that `asked` asks for.
    pub(crate) fn of(link: &Link, asked: &Self) -> Self {
        Self {
            mac: asked.mac.and(link.mac),
            promisc: asked.promisc.map(|_| link.is_promisc()),
            mtu: asked.mtu.map(|_| link.mtu),
            allmulti: asked.allmulti.map(|_| link.is_allmulticast()),
            txqlen: asked.txqlen.map(|_| link.txqueuelen),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and of `other` what is not among them.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            mac: self.mac.or(other.mac),
            promisc: self.promisc.or(other.promisc),
            mtu: self.mtu.or(other.mtu),
            allmulti: self.allmulti.or(other.allmulti),
            txqlen: self.txqlen.or(other.txqlen),
        }
    }

    /// One change for each, in the reference's order. They are sent one by one, so that a refusal
    /// says which of them was refused.
    pub(crate) fn changes(&self, dev: &Dev) -> Vec<Change> {
        let set = || link::set(dev);
        [
            self.mac.map(|mac| set().mac(mac)),
            self.promisc.map(|on| set().promisc(on)),
            self.mtu.map(|bytes| set().mtu_as_read(bytes)),
            self.allmulti.map(|on| set().allmulticast(on)),
            self.txqlen.map(|packets| set().txqueuelen(packets)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// In words, the first that `link` has otherwise.
    pub(crate) fn difference(&self, link: &Link) -> Option<String> {
        let has = Self::of(link, self);
        let words = |on| if on { "on" } else { "off" };
        let differs = |what: &str, asked: String, has: String| {
            (asked != has).then(|| format!("{what} of {} is {has}, not {asked}", link.dev))
        };
        let mac = |mac: Option<MacAddr>| mac.map_or("none".to_owned(), |mac| mac.to_string());
        let flag = |what: &str, asked: Option<bool>, has: Option<bool>| {
            let (asked, has) = asked.zip(has)?;
            differs(what, words(asked).to_owned(), words(has).to_owned())
        };
        let number = |what: &str, asked: Option<u32>, has: Option<u32>| {
            let (asked, has) = asked.zip(has)?;
            differs(what, asked.to_string(), has.to_string())
        };
        (self.mac.is_some().then(|| differs("MAC address", mac(self.mac), mac(has.mac))).flatten())
            .or_else(|| flag("promiscuous mode", self.promisc, has.promisc))
            .or_else(|| number("MTU", self.mtu, has.mtu))
            .or_else(|| flag("all-multicast mode", self.allmulti, has.allmulti))
            .or_else(|| number("transmit queue length", self.txqlen, has.txqlen))
    }
}
