//! The daemon that answers to names of containers, and asks others about the rest.
//!
//! A query is decided upon by [`pipeline`] from the names in [`zone`]; what is nobody's here goes to
//! [`upstream`].
//!
//! Everything here runs on one thread, on tokio's `current_thread` runtime within a `LocalSet`, so
//! state is shared by `Rc` and `Cell` and there is no lock to hold across an await.

pub mod arpa;
pub mod limit;
pub mod metrics;
pub mod pipeline;
pub mod upstream;
pub mod wire;
pub mod zone;
