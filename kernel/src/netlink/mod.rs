//! Speaking rtnetlink(7) without tokio: one blocking socket, requests in batches, short replies
//! read by hand.
//!
//! Requests are typed messages of `netlink-packet-route`. Replies are walked attribute by
//! attribute instead, because that crate's reply parser makes every attribute of every kind of
//! link reachable, and doubles a plugin's size.

mod action;
pub(crate) mod attributes;
mod error;
#[cfg(test)]
mod golden;
pub(crate) mod message;
mod request;
mod socket;

pub use action::Action;
pub use error::{Error, RequestError};
pub use request::Request;
pub(crate) use request::{APPEND, CREATE, PREPEND, REPLACE};
pub use socket::{Reply, Socket};

pub use nix::errno::Errno;
