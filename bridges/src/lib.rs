//! A network on a bridge of the host: the bridge, a container's port on it, the host as gateway, what
//! the packet filter is to do for both; making and comparing it.
//!
//! This crate refuses to know keys of configurations: the plugins `bridge` and `user-bridge` read
//! them and say what is to be.

pub mod apply;
pub mod check;
pub mod config;
mod filter;
pub mod plan;
