//! A veth pair between the host and a container: making it, what the packet filter is to do for it,
//! comparing it, and taking away an attachment that stands on one, by DEL or by GC.
//!
//! This crate refuses to know what the host's end is for: `bridges` makes a port of a bridge of it,
//! the plugin `ptp` routes to it.

pub mod check;
pub mod claim;
pub mod gc;
pub mod keys;
pub mod make;
pub mod remove;
