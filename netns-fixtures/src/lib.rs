//! Labs: hosts, containers and wires in private namespaces, for tests.
//!
//! A case is a sentence, a lab and a claim:
//!
//! ```no_run
//! # use netns_fixtures::lab;
//! # /*
//! #[test]
//! # */
//! fn two_ends_of_a_wire_reach_each_other() {
//!     lab(|lab| {
//!         let (a, b) = lab.two_hosts();
//!         a.assert_reaches(&b);
//!     });
//! }
//! # two_ends_of_a_wire_reach_each_other();
//! ```
//!
//! [`lab()`] runs the case in a process of its own, inside a private network and mount namespace (and
//! a private user namespace for people without root). So whatever a case does to links, rules,
//! `/run` and `/var/lib` is gone when it ends, even when it is killed.
//!
//! The lab builds and judges with iproute2 and nft, never with code of the product: a bug cannot
//! hide in both sides. It knows CNI only as a process with an environment and JSON on its pipes, so
//! that it can judge other people's plugins as well as ours.

mod diff;
mod enter;
mod etcd;
mod feature;
mod firewalld;
mod lab;
mod namespace;
mod plugin;
mod reach;
mod report;
mod snapshot;
mod watch;

pub mod bins;

#[cfg(test)]
mod tests;

pub use diff::{assert_same_lines, unified};
pub use enter::{lab, lab_with_plugins};
pub use etcd::Etcd;
pub use feature::{Feature, skip};
pub use firewalld::{Firewalld, SystemBus};
pub use lab::{Container, Lab};
pub use namespace::{Namespace, Process};
pub use plugin::{Call, ErrorObject, Outcome};
pub use snapshot::Snapshot;
