//! How names of containers are answered: the conformance cases of names, by their numbers, about
//! `bridge` and `dnsname` in a list and the daemon that these start.

mod abuse;
mod asking;
pub(crate) mod daemon;
mod doors;
mod forwarding;
mod front;
mod internal;
mod lifecycle;
pub(crate) mod message;
mod names;
mod resident;
mod servers;
mod stubs;
mod town;
mod types;
pub(crate) mod upstream;
