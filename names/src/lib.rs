//! Names of containers: what is remembered of them, and the way to the daemon that answers.
//!
//! What a container is called on a network is a [`Record`], kept below the run directory by
//! [`Store`] and known to the daemon, `cais-dnsd`, before [`Client::register`] returns. Whoever
//! attaches a container makes the sockets at which the daemon answers; it needs no privilege of its
//! own.
//!
//! ```
//! use names::{Name, Names};
//!
//! let name: Name = "Web_1.shop".parse()?;
//! assert_eq!(name.as_str(), "web_1.shop");
//! let names = Names::new(Some(&name), &[], &"0".repeat(64).parse().unwrap(), None);
//! assert_eq!(names.to_string(), "web_1.shop, 000000000000");
//! # Ok::<(), names::BadName>(())
//! ```
//!
//! This crate knows neither DNS messages nor the packet filter.

mod client;
pub mod fuzzing;
mod listener;
mod message;
mod name;
mod record;
mod store;

pub use client::{Client, Pending};
pub use listener::{ADDRESS, PORT, Sockets};
pub use message::{LAYOUT, Question, Reply, Request, Topic, texts};
pub use name::{BadName, Name, Names};
pub use record::{Place, Record, Server};
pub use store::Store;

/// File name of the daemon's program, beside the plugins.
pub const PROGRAM: &str = "cais-dnsd";

/// Name of the control socket in the run directory.
pub const SOCKET: &str = "dns.sock";

/// The daemon.
pub const DAEMON: control::Daemon = control::Daemon { program: PROGRAM };

/// An error of the system, with what was tried before it.
fn failed(step: impl std::fmt::Display, error: impl std::fmt::Display) -> cni::Error {
    cni::Error::new(cni::code::IO, format!("{step}: {error}"))
}
