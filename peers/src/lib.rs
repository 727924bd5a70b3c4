//! What hosts of an overlay network know of each other, and judging what others say.
//!
//! Wherever records come from (a file, a store), they become [`Network`], [`Host`] and [`Block`],
//! and [`accept()`] says which of them this host acts upon and why not upon the rest:
//!
//! ```
//! use peers::{Limits, StaticFile, accept};
//!
//! let file = StaticFile::parse(br#"{"v": 1, "vni": 4103, "pools": ["10.77.0.0/16"], "hosts": [
//!     {"id": "a", "underlay": "192.0.2.11", "blocks": ["10.77.1.0/24"]},
//!     {"id": "b", "underlay": "192.0.2.12", "blocks": ["10.77.2.0/24"]},
//!     {"id": "c", "underlay": "192.0.2.13", "blocks": ["10.99.0.0/24"]}]}"#)?;
//! let network = file.network("blue".parse().unwrap());
//! let own = file.find(Some(&"a".parse().unwrap()), &[])?;
//! let accepted = accept(&network, own, &file.hosts, &file.blocks, Limits::STATIC);
//! assert_eq!(accepted.peers.len(), 1);
//! assert_eq!(accepted.refused[0].to_string(), "host c, 10.99.0.0/24: lies in no pool of blue");
//! # Ok::<(), peers::Error>(())
//! ```
//!
//! The files that daemons and plugin share are here as well: [`NodeFile`], [`SpoolRecord`] and
//! [`Elsewhere`].
//! This crate knows neither the kernel nor any store.

mod accept;
mod elsewhere;
mod error;
mod file;
pub mod fuzzing;
mod ids;
pub mod message;
mod node;
mod record;
mod spool;
mod static_file;
mod text;

pub use accept::{Accepted, Limits, Peer, Reason, Refused, accept};
pub use elsewhere::{Called, Elsewhere};
pub use error::Error;
pub use ids::{BadHostId, BadVni, HostId, Vni};
pub use node::{LocalBlock, NodeFile};
pub use record::{Block, Encryption, Host, Network, State, Underlay};
pub use spool::SpoolRecord;
pub use static_file::StaticFile;

/// Layout number of all files here; a reader of another one leaves the file alone.
pub const LAYOUT: u32 = 1;

/// The port of VXLAN (RFC 7348).
pub const PORT: u16 = 4789;
