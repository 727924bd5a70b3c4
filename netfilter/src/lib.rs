//! Masquerade, published ports, isolation and guards: what attachments want of the packet filter,
//! and the one table that gives it to them.
//!
//! This crate refuses to know configurations and results, and to run programs where the packet
//! filter can be spoken to.

mod condition;
pub mod fuzzing;
mod protocol;
mod publication;
pub mod reference;

pub use condition::{Condition, Match};
pub use protocol::Protocol;
pub use publication::{HostAddress, Mapping, Masquerade, Publication};
