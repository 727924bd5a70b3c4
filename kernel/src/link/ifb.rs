use types::IfName;

use super::message::{Common, common_setters, create};
use crate::netlink::Request;
use crate::netlink::encoder::Encoder;

/// A link to make whose packets come back to where they were taken from, once they have waited in
/// its queue. See `drivers/net/ifb.c`.
#[derive(Clone, Debug)]
pub struct Ifb {
    name: IfName,
    common: Common,
}

impl Ifb {
    /// One without a queue of its own.
    #[must_use]
    pub fn new(name: IfName) -> Self {
        Self { name, common: Common::default() }
    }

    common_setters!();

    /// The request that makes it; fails with `EEXIST` when the name is taken.
    #[must_use]
    pub fn create(&self) -> Request {
        let mut message = self.common.message(&self.name);
        message.attributes.u32(libc::IFLA_TXQLEN, 0);
        create(message, &self.name, "ifb", &Encoder::default())
    }
}
