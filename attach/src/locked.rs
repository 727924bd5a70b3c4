//! The inside of a container, locked against other chained plugins: its interface, and what there is
//! of rules and routes.

use std::fs::File;
use std::time::Duration;

use cni::{Error, code};
use kernel::addr;
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::{Netns, SocketError};
use kernel::route::{self, Filter, Route};
use kernel::rule::{self, Rule};
use types::{Cidr, Family, IfName};

use crate::error::{no_netns, refused};

/// How long another call may hold the lock.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// A container, locked against other calls: tables are chosen by looking which are free.
pub struct Inside {
    /// A socket in it.
    pub socket: Socket,
    _lock: File,
}

impl Inside {
    /// Takes the reference's lock, which is the file of the namespace. A socket in it stays there.
    ///
    /// # Errors
    /// Code 11 when another call holds it too long; codes 4 and 5 with the system's words.
    pub fn lock(netns: &Netns) -> Result<Self, Error> {
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
    ///
    /// # Errors
    /// Code 5 or 11 with the kernel's words.
    pub fn link(&self, ifname: &IfName) -> Result<Option<Link>, Error> {
        link::find(&self.socket, ifname).map_err(|e| refused(&e))
    }

    /// What it has.
    ///
    /// # Errors
    /// Code 5 or 11 with the kernel's words.
    pub fn addresses(&self, link: &Link) -> Result<Vec<Cidr>, Error> {
        let found = addr::list(&self.socket, &link.dev).map_err(|e| refused(&e))?;
        Ok(found.into_iter().map(|found| found.cidr).collect())
    }

    /// All rules that lead to a table.
    ///
    /// # Errors
    /// Code 5 or 11 with the kernel's words.
    pub fn rules(&self) -> Result<Vec<Rule>, Error> {
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
    ///
    /// # Errors
    /// Code 5 or 11 with the kernel's words.
    pub fn routes(&self) -> Result<Vec<Route>, Error> {
        route::list(&self.socket, Filter::default()).map_err(|e| refused(&e))
    }
}
