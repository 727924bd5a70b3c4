//! Names of containers: what the daemon answers, and whom it asks what it does not know.
//!
//! Everything here runs on one thread, on tokio's `current_thread` runtime within a `LocalSet`, so
//! state is shared by `Rc` and `Cell` and there is no lock to hold across an await.
//!
//! [`upstream`] is the way to other people's servers: which there are, how they are asked, and the
//! cache of what they said.

pub mod upstream;
