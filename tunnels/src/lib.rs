//! The data path of an overlay network on one host: what must be there, as data, and making it so.
//!
//! A network is a VXLAN device without a lower link for each address family that the underlay has,
//! and for every other host a forwarding entry, a neighbour and a route for each block; so all of it
//! grows with hosts, not with containers. [`Desired`] follows from what hosts say of each other,
//! [`reconcile()`] compares it with the kernel and changes what differs, and may be called again and
//! again: what is right already stays untouched, and passes packets all the while.
//!
//! ```no_run
//! use kernel::netlink::Socket;
//! use peers::{Limits, StaticFile, accept};
//! use tunnels::{Desired, Underlays, reconcile};
//!
//! let file = StaticFile::parse(&std::fs::read("/etc/cais/overlay/blue.peers.json")?)?;
//! let network = file.network("blue".parse()?);
//! let own = file.find(Some(&"a".parse()?), &[])?;
//! let accepted = accept(&network, own, &file.hosts, &file.blocks, Limits::STATIC);
//! let socket = Socket::open("the host's namespace")?;
//! let desired = Desired::new(&network, own, &accepted, &Underlays::read(&socket)?)?;
//! for change in reconcile(&socket, &desired)? {
//!     eprintln!("{change}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows no configuration and no store, and leaves bridges with containers to those who
//! attach them: it gives a bridge that is there the gateways that it lacks.

mod desired;
mod entries;
mod error;
mod reconcile;
mod underlay;

pub use desired::{Desired, End, Remote, Via, gateway, local};
pub use error::Error;
pub use reconcile::{Change, alias, compare, dismantle, is_ours, reconcile};
pub use underlay::Underlays;

/// Who made our routes: `ip route show proto 202` lists them.
pub const PROTOCOL: u8 = 202;
