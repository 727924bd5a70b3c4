use super::Which;
use super::message::Message;
use super::numbers::{
    IFLA_BRPORT_ISOLATED, IFLA_BRPORT_LEARNING, IFLA_BRPORT_MODE, IFLA_BRPORT_NEIGH_SUPPRESS,
    IFLA_BRPORT_UNICAST_FLOOD,
};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, Request};

/// Changes to the options of one bridge port, sent as one message: `bridge link set`.
///
/// They need a message of their own after the port exists; the kernel ignores them in the one
/// that makes the link. All are off by default but learning and flood.
#[derive(Clone, Debug)]
pub struct PortChange {
    link: String,
    message: Message,
    options: Encoder,
    to: Vec<&'static str>,
}

/// Starts a change of the bridge port `which`.
pub fn set_port<'a>(which: impl Into<Which<'a>>) -> PortChange {
    let which = which.into();
    PortChange {
        link: which.to_string(),
        message: Message::about(which),
        options: Encoder::default(),
        to: Vec::new(),
    }
}

impl PortChange {
    /// Whether frames may leave by the port they came in by (a container reaching itself through
    /// a published address).
    #[must_use]
    pub fn hairpin(self, on: bool) -> Self {
        let what = if on { "hairpin on" } else { "hairpin off" };
        self.with(IFLA_BRPORT_MODE, on, what)
    }

    /// Whether the port is cut off from other isolated ports (Linux 4.18).
    #[must_use]
    pub fn isolated(self, on: bool) -> Self {
        let what = if on { "isolated on" } else { "isolated off" };
        self.with(IFLA_BRPORT_ISOLATED, on, what)
    }

    /// Whether the bridge remembers source addresses seen on the port.
    #[must_use]
    pub fn learning(self, on: bool) -> Self {
        let what = if on { "learning on" } else { "learning off" };
        self.with(IFLA_BRPORT_LEARNING, on, what)
    }

    /// Whether the port gets unicast frames for addresses that the bridge does not know.
    #[must_use]
    pub fn flood(self, on: bool) -> Self {
        let what = if on { "flood on" } else { "flood off" };
        self.with(IFLA_BRPORT_UNICAST_FLOOD, on, what)
    }

    /// Whether the bridge answers ARP and neighbour solicitations from what it knows.
    #[must_use]
    pub fn neigh_suppress(self, on: bool) -> Self {
        let what = if on { "neigh_suppress on" } else { "neigh_suppress off" };
        self.with(IFLA_BRPORT_NEIGH_SUPPRESS, on, what)
    }

    /// Whether nothing was asked for: such a request need not be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.options.is_empty()
    }

    /// The request that makes all these changes.
    #[must_use]
    pub fn request(mut self) -> Request {
        self.message.attributes.nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge");
            info.nested(libc::IFLA_INFO_SLAVE_DATA, |data| data.append(&self.options));
        });
        let action = Action::ChangePort { link: self.link, to: self.to.join(", ") };
        Request::new(libc::RTM_NEWLINK, 0, self.message.encode(), action)
    }

    fn with(mut self, option: u16, on: bool, what: &'static str) -> Self {
        self.options.switch(option, on);
        self.to.push(what);
        self
    }
}
