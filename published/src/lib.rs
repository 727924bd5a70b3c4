//! Ports of the host that lead to a container: publishing them, taking them back, sweeping.
//!
//! This crate refuses to know keys of configurations, but for `runtimeConfig.portMappings`, which the
//! protocol's conventions fix: the plugins `portmap` and `user-bridge` read the others.

pub mod apply;
mod connections;
pub mod gc;
mod listeners;
pub mod mappings;
pub mod plan;

pub use apply::{Publisher, Wanted};
pub use listeners::OnListener;
