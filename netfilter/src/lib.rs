//! Masquerade, published ports, isolation, guards and the way to resolvers: what attachments want
//! of the packet filter, and the one table that gives it to them.
//!
//! This crate refuses to know configurations and results, and to run programs where the packet
//! filter can be spoken to.

mod agreement;
mod check;
pub mod claim;
mod condition;
mod conditional;
mod conflict;
mod elements;
mod error;
mod file;
mod filter;
pub mod fuzzing;
mod handback;
pub mod kind;
pub mod layout;
pub mod localnet;
pub mod loopback;
mod passing;
mod policy;
mod protocol;
mod publication;
mod rebuild;
pub mod reference;
mod resolvers;
mod shared;
mod store;
pub mod tunnels;

pub use claim::{Claim, Claimant, Class, Entrance, Isolation, Passing, Resolver};
pub use condition::{Condition, Match};
pub use error::Error;
pub use file::parse as parse_claim;
pub use filter::{Filter, Removed, Sweep};
pub use protocol::Protocol;
pub use publication::{HostAddress, Mapping, Masquerade, Publication};
pub use store::Store;
