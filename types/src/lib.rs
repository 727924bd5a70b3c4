//! Values that cannot be wrong: each is checked once, where it enters, and trusted afterwards.
//!
//! ```
//! use types::{Cidr, IfName};
//! let name: IfName = "eth0".parse()?;
//! assert_eq!(name.as_str(), "eth0");
//! assert!("eth0/1".parse::<IfName>().is_err());
//! let address: Cidr = "10.1.2.3/16".parse()?;
//! assert_eq!(address.to_string(), "10.1.2.3/16"); // host bits stay
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate refuses to do anything: no files, no sockets, no JSON.

mod cidr;
mod hash;
mod ids;
mod ifname;
mod link;

pub use cidr::{BadCidr, Cidr, Family, canonical, parse_ip};
pub use hash::stable_hash;
pub use ids::{Attachment, BadId, ContainerId, NetworkName};
pub use ifname::{BadIfName, IfName};
pub use link::{BadMac, BadMtu, BadVlanId, MacAddr, Mtu, VlanId};
