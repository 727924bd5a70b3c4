//! What every interface plugin does around its link: names that follow from the key, records,
//! the IPAM plugin, addresses and routes, and comparing them with what was promised.
//!
//! ```
//! use types::Attachment;
//! let key = Attachment {
//!     network: "web".parse()?,
//!     container: "c1".parse()?,
//!     ifname: "eth0".parse()?,
//! };
//! assert!(attach::names::host_ifname(&key, 0).as_str().starts_with("veth"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate never makes a link: that is what the plugins differ in.

pub mod chained;
pub mod error;
pub mod forwarding;
pub mod host;
pub mod inside;
pub mod ipam;
pub mod keys;
pub mod layer3;
pub mod lo;
pub mod locked;
pub mod names;
pub mod record;
pub mod steps;
pub mod validity;
pub mod verify;
