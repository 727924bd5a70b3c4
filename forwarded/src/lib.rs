//! Letting a container's packets through on hosts that drop what they forward: by the reference's
//! chains or by firewalld; taking that back, comparing, sweeping.
//!
//! This crate refuses to know keys of configurations, which plugins read.

pub mod apply;
pub mod gc;

pub use apply::{Backend, Forwarding, OnBridge, Wanted};
