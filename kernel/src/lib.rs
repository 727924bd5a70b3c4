//! Everything Linux: namespaces, links, addresses, routes, sysctls — and the only unsafe code.
//!
//! Synchronous and small, so that a plugin built on it starts fast. Objects and verbs carry the
//! names of iproute2.
//!
//! ```no_run
//! use kernel::link::{Bridge, Veth};
//! use kernel::netlink::Socket;
//! use kernel::netns::Netns;
//!
//! let container = Netns::open("/run/netns/c1")?;
//! let host = Socket::open("the host's namespace")?;
//! host.run(&Bridge::new("cni0".parse()?).up().create())?;
//! let bridge = kernel::link::get(&host, &"cni0".parse::<types::IfName>()?)?;
//! let veth = Veth::new("veth0".parse()?, "eth0".parse()?)
//!     .peer_netns(&container)
//!     .master(&bridge.dev)
//!     .up();
//! host.run(&veth.create())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate refuses to know CNI, to spawn programs, to sleep, and to log.

pub mod addr;
pub mod announce;
pub mod boot;
pub mod conntrack;
pub mod descriptors;
pub mod fdb;
#[doc(hidden)]
pub mod fuzzing;
pub mod heard;
pub mod kept;
pub mod lab;
pub mod link;
pub mod listeners;
pub mod mount;
pub mod neigh;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod packet;
pub mod privileges;
pub mod route;
pub mod rule;
pub mod suite;
mod sys;
pub mod sysctl;
pub mod tc;
pub mod undo;

pub use netlink::RequestError;
