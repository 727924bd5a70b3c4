//! The agent of overlay networks, one per host: `cais-overlayd`.
//!
//! [`store`] is how hosts learn of each other through etcd, [`daemon`] the process that makes the
//! kernel of this host follow it and tells the plugin by node files. The data path is the crate
//! `tunnels`, and goes on without any process. A daemon's loop uses the store like this:
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use overlay_agent::store::{EtcdConfig, Interest, Me, Number, Store, StoreError};
//! use peers::{Limits, Network, accept};
//! use types::Family;
//!
//! # async fn a_daemon(me: Me, wanted: Network, kept: Option<Vec<u8>>) -> Result<(), StoreError> {
//! let config = EtcdConfig::new(vec!["http://192.0.2.1:2379".to_owned()]);
//! let (store, agent) = Store::new(config, me.clone(), kept.as_deref());
//! // The task ends when this host has left, or with an error that trying again does not cure.
//! let session = tokio::spawn(agent.run());
//!
//! // A plugin asks for a network: it exists, is followed, and has a block here.
//! let network = store.create_network(&wanted, Number::Any).await?;
//! store.follow(BTreeMap::from([(network.name.clone(), Interest::BlocksAndNames)]));
//! store.claim(&network, Family::V4).await?;
//!
//! let (mut view, mut snapshot) = (store.view(), store.snapshot());
//! loop {
//!     tokio::select! {
//!         changed = view.changed() => {
//!             let Ok(()) = changed else { break };
//!             let view = view.borrow_and_update().clone();
//!             let blocks = view.blocks.get(&network.name).map(Vec::as_slice).unwrap_or_default();
//!             let accepted = accept(&network, &me.host, &view.hosts, blocks, Limits::STORE);
//!             // … reconcile the kernel with `accepted`, write the node file.
//!             # let _ = accepted;
//!         }
//!         Ok(()) = snapshot.changed() => {
//!             // … write it to the state directory, for a start without etcd.
//!         }
//!     }
//! }
//! # drop(session);
//! # Ok(())
//! # }
//! ```
//!
//! What the loop owes to the store:
//!
//! - At its start, and whenever a view lacks a block of which this host has handed out addresses:
//!   [`Store::adopt`](store::Store::adopt). On [`StoreError::NotOurs`](store::StoreError::NotOurs)
//!   no address of it may be handed out any more, and our routes for it go.
//! - Views are never taken as a reason to undo what the kernel has *because etcd is away*: they do
//!   not change then. A view of nothing at all means that nothing has been heard yet.
//! - A block is given back, or this host leaves, only under the lock of its leases and when none is
//!   left.
//! - [`Store::confirmed`](store::Store::confirmed) says since when etcd has not confirmed this host.
//!   Only where the store's configuration has `reclaimAfter` does that matter, see [`fence`].
//! - [`Store::collect`](store::Store::collect) about once a minute.

pub mod daemon;
pub mod fence;
mod identity;
pub mod settings;
pub mod store;
