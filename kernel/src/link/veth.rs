use types::{IfName, MacAddr, Mtu};

use super::Dev;
use super::message::{Common, Message, common_setters, create, netns_setter};
use super::numbers::VETH_INFO_PEER;
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;
use crate::netns::Netns;

/// How many transmit and receive queues each end of a pair has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// One, for good. Without this the kernel makes one per possible CPU, then shrinks to one,
    /// and waits twice for RCU while doing so. `ethtool -L` and native XDP cannot raise it later.
    #[default]
    One,
    /// As many as the kernel wants; adjustable later.
    PerCpu,
}

/// A veth pair to make, both ends in one message. See veth(4) and `drivers/net/veth.c`.
///
/// The end under [`new`](Self::new)'s first name lives where the request is sent, the peer in
/// [`peer_netns`](Self::peer_netns), under its final name from the start. The peer cannot be made
/// up (`veth_open` answers `ENOTCONN` until the pair is linked): set it up afterwards.
#[derive(Clone, Debug)]
pub struct Veth {
    name: IfName,
    common: Common,
    peer_name: IfName,
    peer: Common,
    queues: Queues,
}

impl Veth {
    /// A pair of links `name` and `peer`.
    #[must_use]
    pub fn new(name: IfName, peer: IfName) -> Self {
        Self {
            name,
            common: Common::default(),
            peer_name: peer,
            peer: Common::default(),
            queues: Queues::default(),
        }
    }

    common_setters!();
    netns_setter!();

    /// Makes the near end a port of `master`.
    #[must_use]
    pub fn master(mut self, master: &Dev) -> Self {
        self.common.master = Some(master.index);
        self
    }

    /// Puts the peer straight into `netns`, which must stay open until the request is sent.
    #[must_use]
    pub fn peer_netns(mut self, netns: &Netns) -> Self {
        self.peer.set_netns(netns);
        self
    }

    /// Ethernet address of the peer.
    #[must_use]
    pub fn peer_mac(mut self, mac: MacAddr) -> Self {
        self.peer.mac = Some(mac);
        self
    }

    /// Largest packet of the peer in bytes.
    #[must_use]
    pub fn peer_mtu(mut self, mtu: Mtu) -> Self {
        self.peer.mtu = Some(mtu);
        self
    }

    /// Queues of both ends; one when not said.
    #[must_use]
    pub fn queues(mut self, queues: Queues) -> Self {
        self.queues = queues;
        self
    }

    /// The request that makes both; fails with `EEXIST` when either name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let near = self.with_queues(self.common.message(&self.name));
        let peer = self.with_queues(self.peer.message(&self.peer_name));
        let mut data = Encoder::default();
        data.nested(VETH_INFO_PEER, |nested| nested.append(&peer.encode()));
        create(near, &self.name, "veth", &data)
    }

    fn with_queues(&self, mut message: Message) -> Message {
        if self.queues == Queues::One {
            message.attributes.u32(libc::IFLA_NUM_TX_QUEUES, 1);
            message.attributes.u32(libc::IFLA_NUM_RX_QUEUES, 1);
        }
        message
    }
}
