//! What this host's own links say of the way to others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kernel::RequestError;
use kernel::netlink::Socket;
use kernel::{addr, link};

/// This host's addresses, with the MTU of the link that each is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Underlays(BTreeMap<IpAddr, u32>);

impl Underlays {
    /// Those that the namespace of `socket` has.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(socket: &Socket) -> Result<Self, RequestError> {
        let links = link::list(socket)?;
        let mtu = |index| links.iter().find(|link| link.dev.index == index).map(|link| link.mtu);
        let all = addr::list_all(socket)?;
        let usable = all.iter().filter(|found| found.is_global());
        Ok(usable.filter_map(|found| Some((found.cidr.ip(), mtu(found.index)?))).collect())
    }

    /// The addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.0.keys().copied().collect()
    }

    /// MTU of the link with `address`.
    #[must_use]
    pub fn mtu(&self, address: IpAddr) -> Option<u32> {
        self.0.get(&address).copied()
    }
}

impl FromIterator<(IpAddr, u32)> for Underlays {
    fn from_iter<I: IntoIterator<Item = (IpAddr, u32)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}
