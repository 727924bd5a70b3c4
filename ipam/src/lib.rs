//! Address pools and the file-locked lease store.
//!
//! A network hands out addresses from [`RangeSets`], one of each set to every attachment, and
//! keeps in a [`Store`] who holds which. Any number of processes use a store at once; one that is
//! killed at any moment neither loses an address nor gives one away twice.
//!
//! ```
//! use ipam::{Durability, Host, Owner, RangeSets, RangeSpec, Request, Store};
//!
//! # let folder = std::env::temp_dir().join(format!("cais-ipam-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let store = Store::table(folder.join("web.leases"));
//! let subnet = "10.1.2.0/24".parse()?;
//! let sets = RangeSets::new(vec![vec![RangeSpec { subnet, start: None, end: None, gateway: None }]])?;
//! let owner = Owner::new(&"c1".parse()?, &"eth0".parse()?);
//! let host = Host::current();
//!
//! let grants = store.allocate(&Request::new(&sets, &owner), &host)?;
//! assert_eq!(grants[0].address.to_string(), "10.1.2.2/24"); // 10.1.2.1 is the gateway
//! assert_eq!(store.leases(&host)?.len(), 1);
//! store.release(&owner, Durability::Lazy, &host)?;
//! assert!(store.leases(&host)?.is_empty());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There are two kinds of store behind one interface. [`Store::table`] keeps leases in one file of
//! fixed slots, at constant cost however many are held. [`Store::host_local`] keeps them in the
//! directory of files that the reference plugin host-local keeps, which may use it at the same
//! time; there a table is only the index, by which the directory need not be read.
//!
//! This crate refuses to know CNI, to open a socket and to judge what is alive: a caller passes
//! what it knows of an attachment as [`Life`].

mod checksum;
mod directory;
mod error;
mod lease;
mod ledger;
mod pool;
mod range;
#[cfg(test)]
mod scratch;
mod span;
mod store;
mod table;

pub use error::{Account, AllocateError, StoreError};
pub use lease::{Age, BootId, Host, Lease, Life, Owner};
pub use pool::{Grant, Request};
pub use range::{Range, RangeError, RangeSet, RangeSets, RangeSpec};
pub use span::{BadSpan, Span};
pub use store::Store;
pub use table::Durability;
