//! Letting a container's packets through on hosts that drop what they forward: by the reference's
//! chains or by firewalld; taking that back, comparing, sweeping.
//!
//! This crate refuses to know keys of configurations: the plugins `firewall` and `user-bridge` read
//! them.

pub mod apply;
pub mod gc;

pub use apply::{Backend, Forwarding, Wanted};
