//! A small client of firewalld: which addresses and interfaces are in which zone.
//!
//! ```no_run
//! use firewalld::{Firewalld, Member, Zone};
//!
//! let zone: Zone = "trusted".parse()?;
//! let container = Member::Source([10, 1, 0, 2].into());
//! // `None` means that there is no firewalld to tell.
//! if let Some(mut firewalld) = Firewalld::connect()? {
//!     firewalld.add(&zone, &container)?;
//!     assert!(firewalld.contains(&zone, &container)?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything here is about firewalld's runtime configuration: a reload or restart of firewalld
//! forgets it, and whoever added something has to add it again. Nothing is ever started by a call,
//! neither a bus nor firewalld.
//!
//! Each operation ends within [`DEADLINE`]. D-Bus is spoken by code of our own, see
//! `docs/adr/0009-firewalld-client.md`.

mod bus;
mod client;
mod error;
mod zone;

pub mod fuzzing;

pub use client::{DEADLINE, Firewalld, is_running};
pub use error::{Action, Cause, Error};
pub use zone::{Member, Zone, ZoneError};
