use std::net::IpAddr;

use types::IfName;

use super::Dev;
use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::{
    IFLA_VXLAN_ID, IFLA_VXLAN_LEARNING, IFLA_VXLAN_LINK, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6,
    IFLA_VXLAN_PORT,
};
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// One end of a VXLAN to make (RFC 7348). See `drivers/net/vxlan/vxlan_core.c`.
#[derive(Clone, Debug)]
pub struct Vxlan {
    name: IfName,
    common: Common,
    vni: u32,
    port: u16,
    options: Encoder,
}

impl Vxlan {
    /// The port that IANA gave to VXLAN. The kernel's own default is another, older one.
    pub const PORT: u16 = 4789;

    /// An end of network `vni` (24 bits) on UDP port [`PORT`](Self::PORT).
    #[must_use]
    pub fn new(name: IfName, vni: u32) -> Self {
        let (common, options) = (Common::default(), Encoder::default());
        Self { name, common, vni, port: Self::PORT, options }
    }

    common_setters!();
    netns_setter!();

    /// Another UDP port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Source address of the tunnel's own packets.
    #[must_use]
    pub fn local(mut self, ip: IpAddr) -> Self {
        let kind = if ip.is_ipv4() { IFLA_VXLAN_LOCAL } else { IFLA_VXLAN_LOCAL6 };
        self.options.ip(kind, ip);
        self
    }

    /// The link that the tunnel's own packets leave by.
    #[must_use]
    pub fn lower(mut self, dev: &Dev) -> Self {
        self.options.u32(IFLA_VXLAN_LINK, dev.index);
        self
    }

    /// Whether it learns remote hosts from packets that arrive; the kernel's own is on.
    #[must_use]
    pub fn learning(mut self, on: bool) -> Self {
        self.options.switch(IFLA_VXLAN_LEARNING, on);
        self
    }

    /// The request that makes it; fails with `EEXIST` when the name, or the same network on the
    /// same port, is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let mut data = Encoder::default();
        data.u32(IFLA_VXLAN_ID, self.vni);
        data.u16_be(IFLA_VXLAN_PORT, self.port);
        data.append(&self.options);
        create(self.common.message(&self.name), &self.name, "vxlan", &data)
    }
}
