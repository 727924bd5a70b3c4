//! Speaking rtnetlink(7) without tokio: one blocking socket, requests in batches, short replies
//! read by hand.
//!
//! Requests are written and replies read attribute by attribute, with code of our own: the typed
//! messages of a general library make every attribute of every kind of link reachable, which is
//! a good part of a plugin's size. See `docs/adr/0006-netlink-encoder.md`.

mod action;
pub(crate) mod attributes;
pub(crate) mod encoder;
mod error;
#[cfg(test)]
mod golden;
pub(crate) mod message;
pub(crate) mod netfilter;
mod request;
mod socket;

pub use action::Action;
pub use error::{Error, RequestError};
pub use request::Request;
pub(crate) use request::{APPEND, CREATE, PREPEND, REPLACE};
pub use socket::{Reply, Socket};

pub use nix::errno::Errno;
