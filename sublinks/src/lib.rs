//! Links that stand on another one, their master, and live in the container: macvlan and its like.
//! Finding the master and making the link straight in the container; the rest is
//! [`attach::inside`]'s.
//!
//! This crate refuses to know which kinds there are: plugins say what theirs is called and how it is
//! made ([`Sublink`]). It never changes a master, and makes none but VLANs that are named as such.

pub mod apply;
pub mod check;
pub mod config;
pub mod gc;
mod made;
pub mod master;
pub mod remove;

use cni::Error;
use kernel::RequestError;
use kernel::link::{Dev, Link};
use kernel::netlink::Request;
use kernel::netns::Netns;
use types::{IfName, MacAddr, Mtu};

/// What one kind of link differs in from the others.
pub trait Sublink: Sync {
    /// As `ip link add type` calls it.
    fn kind(&self) -> &'static str;

    /// Whether such a link can stand on `master` as it is now.
    ///
    /// # Errors
    /// Why it cannot.
    fn accepts(&self, _master: &Link) -> Result<(), Error> {
        Ok(())
    }

    /// The request that makes `new`.
    fn create(&self, new: &New<'_>) -> Request;

    /// What to do where the kernel refuses to make it over `master`.
    fn hint(&self, master: &Link, error: &RequestError) -> Option<String>;

    /// Compares `link`, which is of this kind, with what ADD made.
    ///
    /// # Errors
    /// Code 101 with the first difference.
    fn compare(&self, link: &Link) -> Result<(), Error>;
}

/// A link to be made.
#[derive(Debug)]
pub struct New<'a> {
    /// Its name in the container.
    pub name: IfName,
    /// What it stands on.
    pub master: &'a Dev,
    /// Where it is to appear.
    pub netns: &'a Netns,
    /// Largest packet in bytes; `None`: the master's.
    pub mtu: Option<Mtu>,
    /// Ethernet address; `None`: the kernel's choice.
    pub mac: Option<MacAddr>,
}
