use std::net::IpAddr;

use netlink_packet_route::link::{InfoData, InfoKind, InfoVxlan};
use types::IfName;

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use crate::netlink::Request;

/// One end of a VXLAN to make (RFC 7348). See `drivers/net/vxlan/vxlan_core.c`.
#[derive(Clone, Debug)]
pub struct Vxlan {
    name: IfName,
    common: Common,
    options: Vec<InfoVxlan>,
}

impl Vxlan {
    /// The port that IANA gave to VXLAN. The kernel's own default is another, older one.
    pub const PORT: u16 = 4789;

    /// An end of network `vni` (24 bits) on UDP port [`PORT`](Self::PORT).
    #[must_use]
    pub fn new(name: IfName, vni: u32) -> Self {
        let options = vec![InfoVxlan::Id(vni), InfoVxlan::Port(Self::PORT)];
        Self { name, common: Common::default(), options }
    }

    common_setters!();
    netns_setter!();

    /// Another UDP port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.options.retain(|option| !matches!(option, InfoVxlan::Port(_)));
        self.options.push(InfoVxlan::Port(port));
        self
    }

    /// Source address of the tunnel's own packets.
    #[must_use]
    pub fn local(mut self, ip: IpAddr) -> Self {
        self.options.push(match ip {
            IpAddr::V4(ip) => InfoVxlan::Local(ip),
            IpAddr::V6(ip) => InfoVxlan::Local6(ip),
        });
        self
    }

    /// The link that the tunnel's own packets leave by.
    #[must_use]
    pub fn lower(mut self, dev: &Dev) -> Self {
        self.options.push(InfoVxlan::Link(dev.index));
        self
    }

    /// Whether it learns remote hosts from packets that arrive; the kernel's own is on.
    #[must_use]
    pub fn learning(mut self, on: bool) -> Self {
        self.options.push(InfoVxlan::Learning(on));
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name, or the same network on the
    /// same port, is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let data = InfoData::Vxlan(self.options.clone());
        let message = self.common.message(&self.name);
        create(message, &self.name, (InfoKind::Vxlan, "vxlan"), Some(data))
    }
}
