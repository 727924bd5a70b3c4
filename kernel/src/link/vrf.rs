use types::IfName;

use super::message::{Common, common_setters, create, netns_setter};
use super::numbers::IFLA_VRF_TABLE;
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// A VRF to make: its ports look up routes in its table. See `drivers/net/vrf.c`.
#[derive(Clone, Debug)]
pub struct Vrf {
    name: IfName,
    common: Common,
    table: u32,
}

impl Vrf {
    /// A VRF on routing table `table`.
    #[must_use]
    pub fn new(name: IfName, table: u32) -> Self {
        Self { name, common: Common::default(), table }
    }

    common_setters!();
    netns_setter!();

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let mut data = Encoder::default();
        data.u32(IFLA_VRF_TABLE, self.table);
        create(self.common.message(&self.name), &self.name, "vrf", &data)
    }
}
