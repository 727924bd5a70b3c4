//! The kernel layer against the running kernel, judged from outside by iproute2.
//!
//! Each case runs in a process, a network and a mount namespace of its own; for an ordinary user
//! also in a user namespace, where it is root.
#![allow(clippy::unwrap_used)] // a test that unwraps fails as it should

mod isolation;

mod addresses;
mod announcements;
mod builders;
mod changes;
mod closes;
mod connections;
mod deletes;
mod exchanges;
mod filter;
mod kept;
mod listening;
mod namespaces;
mod shaping;
mod switches;
mod tunnels;
