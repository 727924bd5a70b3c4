//! The agent of overlay networks, one per host: `cais-overlayd`.
//!
//! [`store`] is what hosts tell each other, [`daemon`] the process that makes the kernel of this host
//! follow it and tells the plugin by node files. The data path is the crate `tunnels`, and goes on
//! without any process.

pub mod daemon;
mod identity;
pub mod settings;
pub mod store;
