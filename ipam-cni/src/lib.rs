//! The IPAM plugins `host-local` and `static`: their configuration and verbs, used by their own
//! programs and, in one process, by interface plugins of the same build.
//!
//! ```
//! use cni::Plugin;
//! let text = br#"{"cniVersion": "1.1.0", "name": "web", "ipam":
//!     {"type": "host-local", "subnet": "10.22.0.0/30", "rangeStart": "10.22.0.9"}}"#;
//! let error = ipam_cni::HostLocal.validate(&cni::Config::parse(text)?).unwrap_err();
//! assert_eq!(
//!     error.msg,
//!     "key \"ipam\": invalid range set 0: rangeStart 10.22.0.9 is not in network 10.22.0.0/30"
//! );
//! # Ok::<(), cni::Error>(())
//! ```
//!
//! This crate never looks at a link: whether an attachment lives it learns from its record.

mod host_local;
pub mod leases;
mod limits;
pub mod network;
pub mod requested;
mod resolv_conf;
mod static_;
#[cfg(test)]
mod tests;

pub use host_local::HostLocal;
pub use limits::one_address_a_family;
pub use static_::Static;
