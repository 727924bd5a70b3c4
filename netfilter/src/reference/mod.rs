//! What the reference plugins write, in their own layout: chains of iptables, in the form that
//! iptables-nft keeps in nf_tables, written and read without running it.
//!
//! One module per layout. Each appends its changes to a batch of the caller, so that a plugin's
//! whole call is one transaction. What was written by iptables or the Go plugins is known again,
//! and is removed alike.
//!
//! The cost of adding and removing one attachment does not grow with the number of others: what is
//! looked at are single chains and rules, known by name and handle. A caller that remembers the
//! [`Handle`](crate::claim::Handle)s which [`Added::handles`] tells hands them back; without them
//! the chain that all share is read.
//!
//! Chains are created, not found to be there: when two programs make the first one at the same
//! time, one batch fails as a whole with `EEXIST`, and is to be built again.

mod added;
pub mod admitting;
pub mod firewall;
pub mod hostport_nft;
mod ingress;
pub mod legacy;
pub mod masquerade;
pub mod masquerade_nft;
pub(crate) mod matching;
pub mod names;
mod owner;
pub mod passing;
pub mod portmap;
pub mod spoof_nft;
mod tidy;
mod unused;
mod view;

pub use added::Added;
pub use tidy::tidy;
