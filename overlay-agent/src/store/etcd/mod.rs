//! A client of etcd: what is needed of its interface, over gRPC.

mod connection;
mod kv;
mod lease;
mod watch;
mod wire;

pub(crate) use connection::{CALL, Connection};
pub use connection::{EtcdError, Login, Tls};
pub(crate) use kv::{Done, Entry, Tree, Txn, Want};
pub(crate) use lease::{Keeper, Lost};
pub(crate) use watch::{Change, News, Subtree, Watch};
