use types::IfName;

use super::message::{Common, common_setters, create, netns_setter};
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// A dummy link to make: takes packets and drops them. See `drivers/net/dummy.c`.
#[derive(Clone, Debug)]
pub struct Dummy {
    name: IfName,
    common: Common,
}

impl Dummy {
    /// A dummy with the kernel's defaults.
    #[must_use]
    pub fn new(name: IfName) -> Self {
        Self { name, common: Common::default() }
    }

    common_setters!();
    netns_setter!();

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        create(self.common.message(&self.name), &self.name, "dummy", &Encoder::default())
    }
}
