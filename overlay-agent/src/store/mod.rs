//! What hosts tell each other through etcd.
//!
//! [`Store::new`] gives a handle and a task. The task keeps one session with etcd, whatever becomes
//! of it; the handle shows what is known and does things:
//!
//! - Views come as whole values by [`tokio::sync::watch`], so that nothing queues up however slow
//!   the reader is: [`Store::view`] for the data path, [`Store::presence`] and [`Store::names`] for
//!   what never touches it. They stay as they are while etcd is away.
//! - What the daemon wants is given as whole values, too: [`Store::follow`] the networks that are
//!   active here, [`Store::publish`] the names of all local endpoints, [`Store::announce`] this
//!   host. The task brings the store there, now or when it is back.
//! - What has an answer is a call with a deadline: [`Store::claim`] and its like.

pub mod admin;
mod agent;
mod block;
mod cache;
mod chance;
mod collect;
mod error;
mod etcd;
mod follow;
pub mod fuzzing;
mod grid;
mod handle;
mod host;
mod keys;
mod network;
mod records;
mod view;

use std::time::Duration;

pub use agent::{Agent, Published};
pub use block::Claimed;
pub use collect::Collected;
pub use error::StoreError;
pub use etcd::{EtcdError, Login, Tls};
pub use handle::Store;
pub use keys::Keys;
pub use network::Number;
pub use records::{BadRecord, Config, HostRecord, MOST_NAMES, Me, Named};
pub use view::{Names, Presence, View};

/// How etcd is reached.
#[derive(Clone)]
pub struct EtcdConfig {
    /// Its members, as `http://…` or `https://…`; one is used at a time.
    pub endpoints: Vec<String>,
    /// For `https`.
    pub tls: Option<Tls>,
    /// Where certificates do not say who we are.
    pub login: Option<Login>,
    /// Where our keys are.
    pub keys: Keys,
    /// How long a host counts as present after it was heard of last, in whole seconds.
    pub ttl: Duration,
    /// Between two listings of everything, give or take 20 %: what a lost change costs at most.
    pub relist: Duration,
    /// After so long without news etcd is asked whether there are none, and after as long again it
    /// counts as dead.
    pub silence: Duration,
}

impl EtcdConfig {
    /// Members without TLS, and what is usual: keys below `/overlay/v1`, presence of
    /// 60 s, a listing every 10 min.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        let (keys, ttl) = (Keys::default(), Duration::from_secs(60));
        let (relist, silence) = (Duration::from_secs(600), Duration::from_secs(30));
        Self { endpoints, tls: None, login: None, keys, ttl, relist, silence }
    }
}

/// What of a network is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Who has which addresses.
    Blocks,
    /// And how everything is called.
    BlocksAndNames,
}

/// How things are with etcd.
#[derive(Debug, Clone)]
pub enum State {
    /// It has not been reached yet.
    Starting,
    /// All is well.
    Ready {
        /// Which member is used.
        endpoint: String,
        /// Whether it had lost its data when this session began; what we had was written again.
        recovered: bool,
    },
    /// It cannot be reached; what is known stays.
    Away {
        /// Why not.
        reason: String,
    },
    /// It is reached, and this host may not do what it must.
    Refused(StoreError),
}
