//! Links, as in ip-link(8): creating, reading, changing, deleting.

mod bridge;
mod change;
mod detach;
mod dummy;
mod ifb;
mod ipvlan;
mod macvlan;
mod message;
mod monitor;
mod numbers;
mod port;
pub(crate) mod read;
mod state;
mod tap;
mod veth;
mod vlan;
pub(crate) mod vlans;
mod vrf;
mod vxlan;
mod wait;

use std::fmt;

use types::IfName;

pub use bridge::Bridge;
pub use change::{Change, delete, move_to, rename, set};
pub use detach::{Deleted, Deleter, not_reaped, reap};
pub use dummy::Dummy;
pub use ifb::Ifb;
pub use ipvlan::{Ipvlan, IpvlanFlag, IpvlanMode};
pub use macvlan::{Macvlan, MacvlanMode};
pub(crate) use monitor::event;
pub use monitor::{Event, Monitor};
pub use port::{PortChange, set_port};
pub use read::{find, get, list, query};
pub use state::{BridgePort, Data, Link, OperState};
pub use tap::{Tap, TapError, open_tap, taps_are_there};
pub use veth::{Queues, Veth};
pub use vlan::{Vlan, VlanProtocol};
pub use vlans::{PortVlan, Side, add_vlans, del_vlans, list_vlans};
pub use vrf::Vrf;
pub use vxlan::Vxlan;
pub use wait::wait_until_operational;

/// A link that exists: its index, and its name for people.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dev {
    /// Number of the link within its namespace.
    pub index: u32,
    /// Its name when it was read.
    pub name: String,
}

impl Dev {
    /// A link known to have `index` and `name`.
    pub fn new(index: u32, name: impl fmt::Display) -> Self {
        Self { index, name: name.to_string() }
    }
}

impl fmt::Display for Dev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// How a request names its link.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// By name; the kernel looks it up while it carries out the request.
    Name(&'a IfName),
    /// By index.
    Dev(&'a Dev),
    /// By index alone.
    Index(u32),
}

impl<'a> From<&'a IfName> for Which<'a> {
    fn from(name: &'a IfName) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a Dev> for Which<'a> {
    fn from(dev: &'a Dev) -> Self {
        Self::Dev(dev)
    }
}

impl<'a> From<&'a Link> for Which<'a> {
    fn from(link: &'a Link) -> Self {
        Self::Dev(&link.dev)
    }
}

impl From<u32> for Which<'_> {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for Which<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Dev(dev) => dev.fmt(f),
            Self::Index(index) => write!(f, "#{index}"),
        }
    }
}
