//! The inside of a container: its interface, and what there is of rules and routes.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use attach::error::{no_netns, refused};
use cni::{AddResult, Error, code, state};
use kernel::addr;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::{Netns, SocketError};
use kernel::route::{self, Filter, Route};
use kernel::rule::{self, Rule};
use types::{Cidr, Family, IfName};

/// How long another call may hold the lock.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// Where records of attachments are.
pub(crate) fn state_dir() -> PathBuf {
    state::run_dir().join("sbr")
}

/// A container, locked against other calls: tables are chosen by looking which are free.
pub(crate) struct Inside {
    pub(crate) socket: Socket,
    _lock: File,
}

impl Inside {
    /// Takes the reference's lock, which is the file of the namespace. A socket in it stays there.
    pub(crate) fn lock(netns: &Netns) -> Result<Self, Error> {
        let path = netns.path().display();
        // Opened as it is: nothing is made where there is none.
        let lock = File::open(netns.path())
            .and_then(|file| deadline::lock(&file, LOCK_DEADLINE).map(|()| file))
            .map_err(|e| {
                let code = match e.kind() {
                    std::io::ErrorKind::TimedOut => code::TRY_AGAIN,
                    _ => code::IO,
                };
                Error::new(code, format!("lock {path}: {e}"))
            })?;
        let socket = netns.socket().map_err(|error| match error {
            SocketError::Netns(error) => no_netns(&error),
            SocketError::Netlink(error) => refused(&error),
        })?;
        Ok(Self { socket, _lock: lock })
    }

    /// The interface, if it is there.
    pub(crate) fn link(&self, ifname: &IfName) -> Result<Option<Link>, Error> {
        link::find(&self.socket, ifname).map_err(|e| refused(&e))
    }

    /// What it has.
    pub(crate) fn addresses(&self, link: &Link) -> Result<Vec<Cidr>, Error> {
        let found = addr::list(&self.socket, &link.dev).map_err(|e| refused(&e))?;
        Ok(found.into_iter().map(|found| found.cidr).collect())
    }

    /// All rules that lead to a table.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        for family in [Family::V4, Family::V6] {
            match rule::list(&self.socket, family) {
                Ok(found) => rules.extend(found),
                // A kernel without IPv6.
                Err(error) if error.is_unsupported() => {}
                Err(error) => return Err(refused(&error)),
            }
        }
        Ok(rules)
    }

    /// All routes of all tables.
    pub(crate) fn routes(&self) -> Result<Vec<Route>, Error> {
        route::list(&self.socket, Filter::default()).map_err(|e| refused(&e))
    }
}

/// The addresses of `ifname` in `result`, each with the gateway that came with it.
pub(crate) fn addresses_of(result: &AddResult, ifname: &str) -> Vec<cni::Ip> {
    let is_ours = |ip: &&cni::Ip| match ip.interface.and_then(|index| result.interfaces.get(index))
    {
        Some(link) => link.name == ifname,
        // Results of versions before 0.3.0 have no interfaces.
        None => true,
    };
    result.ips.iter().filter(is_ours).cloned().collect()
}
