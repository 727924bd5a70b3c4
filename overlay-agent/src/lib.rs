//! The agent of overlay networks, one per host.
pub mod store;
