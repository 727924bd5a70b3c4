//! Asking other servers what we do not know ourselves.
//!
//! A query that nothing here answers goes to an [`UpstreamSet`]: the servers of a container, of its
//! network or of the host ([`HostFiles`], [`Watch`]). [`Forwarder::cached`] answers what was asked
//! before at once, [`Forwarder::resolve`] asks:
//!
//! ```no_run
//! use resolver::upstream::{Forwarder, HostFiles, Limits, UpstreamSet, fit};
//!
//! # async fn example(query: &[u8]) -> std::io::Result<()> {
//! let host = HostFiles::default().read()?;
//! let set = UpstreamSet::new(host.servers, host.options, |address| address.ip().is_unspecified());
//! let forwarder = Forwarder::new(Limits::default());
//! let reply = match forwarder.cached(&set, query) {
//!     Some(reply) => reply,
//!     None => forwarder.resolve(&set, query).await,
//! };
//! let reply = fit(reply, 512);
//! # let _ = reply;
//! # Ok(())
//! # }
//! ```
//!
//! Queries are relayed, not interpreted: any record type passes unchanged, and what may not leave
//! (a client's subnet, its id and its port) is not carried over.

mod cache;
mod counters;
mod exchange;
mod forwarder;
pub(crate) mod fuzzing;
mod host;
mod race;
mod resolv_conf;
mod set;
mod watch;
mod wire;

pub use counters::{Counters, LATENCY_BOUNDS, ServerCounters};
pub use forwarder::{Forwarder, Limits};
pub use host::HostFiles;
pub use resolv_conf::ResolvConf;
pub use set::{Options, PORT, Server, Upstream, UpstreamSet};
pub use watch::Watch;
pub use wire::fit;
