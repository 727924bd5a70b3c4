//! Why something could not be had of the store.

use std::net::IpAddr;

use peers::{HostId, Vni};
use types::{Cidr, Family, NetworkName};

use super::etcd::EtcdError;
use super::records::BadRecord;

/// Why something could not be had of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// etcd did not do it.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// There is no session with etcd, and none came about in time.
    #[error("{what}: etcd is away: {reason}")]
    Away {
        /// What was to be done.
        what: &'static str,
        /// Why the last try to reach it failed.
        reason: String,
    },
    /// A record that the answer depends on cannot be read.
    #[error("read {key}: {why}")]
    Record {
        /// Its key.
        key: String,
        /// What is wrong.
        why: BadRecord,
    },
    /// Another machine lives under our id.
    #[error(
        "register host {id}: a machine with fingerprint {theirs} is alive under this id, ours is \
         {ours}\nhint: a clone needs an id of its own; remove its state directory"
    )]
    DuplicateHost {
        /// The id of both.
        id: HostId,
        /// Our fingerprint.
        ours: String,
        /// The other's.
        theirs: String,
    },
    /// Another host has our underlay address.
    #[error(
        "register underlay address {ip}: host {by} has it\nhint: choose an address by which only \
         this host is reached, or remove that host"
    )]
    UnderlayTaken {
        /// The address.
        ip: IpAddr,
        /// Who has it.
        by: String,
    },
    /// There is no such network.
    #[error("network {0} does not exist\nhint: create it, or give its key \"create\"")]
    NoNetwork(NetworkName),
    /// A network cannot be as wanted.
    #[error("create network {name}: {why}")]
    BadNetwork {
        /// Which.
        name: NetworkName,
        /// What is wrong.
        why: BadRecord,
    },
    /// The network exists and is another.
    #[error("create network {name}: it exists with other {what}")]
    NetworkDiffers {
        /// Which.
        name: NetworkName,
        /// What is different, with both values.
        what: String,
    },
    /// A pool has addresses of another network.
    #[error("create network {name}: pool {pool} overlaps {other} of network {owner}")]
    PoolsOverlap {
        /// The new network.
        name: NetworkName,
        /// Its pool.
        pool: Cidr,
        /// The other pool.
        other: Cidr,
        /// Whose that is.
        owner: NetworkName,
    },
    /// The number is another network's.
    #[error("create network {name}: VNI {vni} is in use")]
    VniTaken {
        /// The new network.
        name: NetworkName,
        /// The number.
        vni: Vni,
    },
    /// All numbers are in use.
    #[error("create network {name}: all VNIs from {} to {} are in use", range.0, range.1)]
    NoVni {
        /// The new network.
        name: NetworkName,
        /// From where to where.
        range: (u32, u32),
    },
    /// The network still has blocks.
    #[error("delete network {name}: {} have blocks of it", hosts(owners))]
    NetworkInUse {
        /// Which.
        name: NetworkName,
        /// Who has some.
        owners: Vec<HostId>,
    },
    /// No block is free.
    #[error(
        "claim a block of {network}: no {family} block is free: {taken} are taken, {dead} of them by \
         hosts that are away\nhint: remove hosts that will not come back, or add a pool"
    )]
    PoolExhausted {
        /// Of which network.
        network: NetworkName,
        /// Of which family.
        family: Family,
        /// Blocks that somebody has.
        taken: usize,
        /// Those of hosts that are not alive.
        dead: usize,
    },
    /// The host has as many blocks as it may.
    #[error("claim a block of {network}: this host has {most}, the most that a host may have")]
    TooManyBlocks {
        /// Of which network.
        network: NetworkName,
        /// The limit.
        most: usize,
    },
    /// Another host has the block.
    #[error(
        "keep block {block} of {network}: host {by} has it now\nhint: containers of this host with \
         addresses of it must be made again"
    )]
    NotOurs {
        /// Of which network.
        network: NetworkName,
        /// The block.
        block: Cidr,
        /// Who has it.
        by: HostId,
    },
    /// Our presence is not ours any more.
    #[error("{what}: etcd does not count this host as alive")]
    PresenceLost {
        /// What was to be done.
        what: &'static str,
    },
    /// The host is alive.
    #[error("remove host {0}: it is alive\nhint: stop its agent first")]
    HostAlive(HostId),
    /// There is no such host.
    #[error("host {0} does not exist")]
    NoHost(HostId),
    /// Others were faster each time.
    #[error("{what}: others changed the same {tries} times")]
    Contended {
        /// What was to be done.
        what: &'static str,
        /// How often.
        tries: u32,
    },
}

impl StoreError {
    /// Reports a record by its key.
    pub(super) fn record(key: &str) -> impl FnOnce(BadRecord) -> Self {
        let key = key.to_owned();
        move |why| Self::Record { key, why }
    }
}

fn hosts(owners: &[HostId]) -> String {
    let names: Vec<&str> = owners.iter().map(HostId::as_str).collect();
    format!("hosts {}", names.join(", "))
}
