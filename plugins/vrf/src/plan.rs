//! Which VRF is joined: one that is there, or a new one with its table.

use std::collections::BTreeSet;
use std::path::PathBuf;

use attach::error::refused;
use cni::{Error, code, state};
use kernel::link::{Data, Dev, Link};
use kernel::netlink::{RequestError, Socket};
use kernel::rule;
use kernel::{link, route};
use types::{Family, IfName};

use crate::config::Config;

/// Where records of attachments are.
pub(crate) fn state_dir() -> PathBuf {
    state::run_dir().join("vrf")
}

/// A VRF of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) dev: Dev,
    pub(crate) table: u32,
    pub(crate) is_up: bool,
}

impl Present {
    /// The VRF called `name`; `None` when there is no link of that name, or another kind of link.
    pub(crate) fn find(socket: &Socket, name: &IfName) -> Result<Option<Self>, Error> {
        let link = link::find(socket, name).map_err(|e| refused(&e))?;
        Ok(link.as_ref().and_then(Self::of))
    }

    pub(crate) fn of(link: &Link) -> Option<Self> {
        let Data::Vrf { table } = link.data else { return None };
        Some(Self { dev: link.dev.clone(), table, is_up: link.is_up() })
    }
}

/// The VRF that `config` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    There(Present),
    /// One with this table is to be made.
    New(u32),
}

impl Wanted {
    /// Looks for it in the namespace of `socket`.
    pub(crate) fn of(config: &Config, socket: &Socket) -> Result<Self, Error> {
        match link::find(socket, &config.vrf).map_err(|e| refused(&e))? {
            Some(link) => there(config, &link, socket.place()).map(Self::There),
            None => match config.table {
                Some(table) => Ok(Self::New(table)),
                None => Ok(Self::New(free_table(&used(socket).map_err(|e| refused(&e))?))),
            },
        }
    }

    pub(crate) fn table(&self) -> u32 {
        match self {
            Self::There(vrf) => vrf.table,
            Self::New(table) => *table,
        }
    }
}

/// The VRF that `link` is, if it is what `config` asks for.
pub(crate) fn there(config: &Config, link: &Link, place: &str) -> Result<Present, Error> {
    let name = &config.vrf;
    let Some(vrf) = Present::of(link) else {
        let kind = link.kind.as_deref().unwrap_or("device");
        let text = format!("join VRF {name} in {place}: link {name} is a {kind}, not a VRF");
        return Err(Error::new(code::INVALID_CONFIG, text)
            .with_hint("choose a vrfname that no interface of the container has"));
    };
    match config.table {
        Some(table) if table != vrf.table => {
            let is = vrf.table;
            let text = format!("join VRF {name} in {place}: it has table {is}, not {table}");
            Err(Error::new(code::INVALID_CONFIG, text)
                .with_hint("leave table out, or use the same in all networks of this VRF"))
        }
        _ => Ok(vrf),
    }
}

/// Tables of VRFs, those that rules lead to, and those that have routes.
fn used(socket: &Socket) -> Result<BTreeSet<u32>, RequestError> {
    let mut used = route::tables(socket)?;
    let vrfs = link::list(socket)?;
    used.extend(vrfs.iter().filter_map(Present::of).map(|vrf| vrf.table));
    for family in [Family::V4, Family::V6] {
        match rule::list(socket, family) {
            Ok(rules) => used.extend(rules.iter().map(|rule| rule.table)),
            // A kernel without IPv6.
            Err(error) if error.is_unsupported() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(used)
}

/// The lowest table that is neither among `used` nor one of the kernel's own.
pub(crate) fn free_table(used: &BTreeSet<u32>) -> u32 {
    const DEFAULT: u32 = 253;
    let own = [DEFAULT, route::MAIN, route::LOCAL];
    let mut free = (1..=u32::MAX).filter(|table| !own.contains(table) && !used.contains(table));
    free.next().expect("memory holds fewer tables than there are numbers")
}
