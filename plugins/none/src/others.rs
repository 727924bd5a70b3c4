//! Interfaces beside `lo`.

use std::fmt;

use attach::error::refused;
use attach::lo;
use cni::Error;
use kernel::netlink::Socket;
use kernel::{addr, link};
use types::Cidr;

/// An interface that is not `lo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) is_up: bool,
    pub(crate) addresses: Vec<Cidr>,
}

impl Other {
    /// Whether somebody means it to carry packets. The kernel's fallback devices, which come with
    /// every namespace once a tunnel module is loaded, are down and have no address.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_up || !self.addresses.is_empty()
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_up { "up" } else { "down" };
        write!(f, "{} ({state}", self.name)?;
        for address in &self.addresses {
            write!(f, ", {address}")?;
        }
        f.write_str(")")
    }
}

/// The first interface but `lo` that is up or has an address.
pub(crate) fn first_usable(socket: &Socket) -> Result<Option<Other>, Error> {
    let links = link::list(socket).map_err(|e| refused(&e))?;
    let addresses = addr::list_all(socket).map_err(|e| refused(&e))?;
    let others = links.into_iter().filter(|link| link.dev.name != lo::NAME);
    let mut others = others.map(|link| Other {
        is_up: link.is_up(),
        addresses: addresses
            .iter()
            .filter(|found| found.index == link.dev.index)
            .map(|found| found.cidr)
            .collect(),
        name: link.dev.name,
    });
    Ok(others.find(Other::is_usable))
}
