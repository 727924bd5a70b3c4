//! A host's own record, and that it is there.

use std::net::IpAddr;
use std::time::Duration;

use peers::HostId;
use tokio::time::timeout;

use super::error::StoreError;
use super::etcd::{Change, Done, Entry, Keeper, News, Subtree, Tree, Txn, Want};
use super::keys::Key;
use super::records::{self, Alive, HostRecord, Me};

const TRIES: u32 = 8;
/// Operations in one transaction; etcd allows 128.
pub(crate) const BATCH: usize = 100;

/// A host that is registered.
pub(crate) struct Registered {
    /// Keeps its presence.
    pub(crate) keeper: Keeper,
    /// Whether its record was there before, of whatever life.
    pub(crate) known: bool,
    /// The store's revision then.
    pub(crate) revision: i64,
}

/// Who lives under our id at the moment.
enum Tenant {
    /// Nobody, or an earlier life of ours.
    Free,
    /// This very life: its lease.
    Us(i64),
    /// Another machine, with this fingerprint.
    Other(String),
}

/// Registers `me`: its record, its underlay addresses and its presence, in one step. An address that
/// it does not have any more is given free in the same step, so this also moves a host.
///
/// The doc of transactions puts alternatives into one request; here what is there is read first and
/// compared by its revision, since the record has to be read for keeping unknown fields anyway.
pub(crate) async fn register(
    tree: &Tree,
    me: &Me,
    ttl: Duration,
    now: u64,
) -> Result<Registered, StoreError> {
    let Tree { etcd, keys } = tree;
    let id = &me.host.id;
    let (alive_key, host_key) = (keys.alive(id), keys.host(id));
    let mut keeper = None;
    for _ in 0..TRIES {
        let read = Txn::reading([&*alive_key, &*host_key]);
        let read = etcd.run("look at our record", read).await?;
        match tenant(me, read.entry(0)) {
            Tenant::Other(theirs) => {
                await_departure(tree, me, read.revision, ttl, theirs).await?;
                continue;
            }
            Tenant::Us(lease) if keeper.is_none() => keeper = etcd.keep(lease).await?,
            _ => {}
        }
        let kept = match keeper.take() {
            Some(kept) => kept,
            None => match etcd.keep(etcd.grant(ttl).await?.id).await? {
                Some(kept) => kept,
                None => continue,
            },
        };
        let done = attempt(tree, me, &read, kept.lease().id, now).await?;
        if done.held {
            let known = read.entry(1).is_some();
            return Ok(Registered { keeper: kept, known, revision: done.revision });
        }
        keeper = Some(kept);
    }
    Err(StoreError::Contended { what: "register this host", tries: TRIES })
}

/// Writes what `me` says now, while `lease` keeps its presence.
pub(crate) async fn announce(tree: &Tree, me: &Me, lease: i64, now: u64) -> Result<(), StoreError> {
    let Tree { etcd, keys } = tree;
    let id = &me.host.id;
    let (alive_key, host_key) = (keys.alive(id), keys.host(id));
    for _ in 0..TRIES {
        let read = Txn::reading([&*alive_key, &*host_key]);
        let read = etcd.run("look at our record", read).await?;
        if read.entry(0).is_none_or(|entry| entry.lease != lease) {
            return Err(StoreError::PresenceLost { what: "announce this host" });
        }
        if attempt(tree, me, &read, lease, now).await?.held {
            return Ok(());
        }
    }
    Err(StoreError::Contended { what: "announce this host", tries: TRIES })
}

fn tenant(me: &Me, alive: Option<&Entry>) -> Tenant {
    let Some(entry) = alive else { return Tenant::Free };
    match Alive::parse(&entry.value) {
        Ok(alive) if alive.inst == me.instance => Tenant::Us(entry.lease),
        Ok(alive) if alive.fp == me.fingerprint => Tenant::Free,
        Ok(alive) => Tenant::Other(alive.fp),
        Err(why) => Tenant::Other(format!("that cannot be read ({why})")),
    }
}

async fn attempt(
    tree: &Tree,
    me: &Me,
    read: &Done,
    lease: i64,
    now: u64,
) -> Result<Done, StoreError> {
    let Tree { etcd, keys } = tree;
    let id = &me.host.id;
    let (alive_key, host_key) = (keys.alive(id), keys.host(id));
    let before = match read.entry(1) {
        None => None,
        Some(entry) => {
            let record =
                HostRecord::parse(id, &entry.value).map_err(StoreError::record(&host_key))?;
            Some((entry, record))
        }
    };
    let wanted = me.host.underlay.addresses();
    let mut addresses = wanted.clone();
    if let Some((_, record)) = &before {
        let old = record.host.underlay.addresses();
        addresses.extend(old.into_iter().filter(|ip| !wanted.contains(ip)));
    }
    let vtep_keys: Vec<String> = addresses.iter().map(|ip| keys.vtep(*ip)).collect();
    let vteps = Txn::reading(vtep_keys.iter().map(|key| &**key));
    let vteps = etcd.run("look at underlay addresses", vteps).await?;

    let alive_value = Alive::value(me);
    let mut txn = Txn::default()
        .if_still(&alive_key, read.entry(0))
        .if_still(&host_key, read.entry(1))
        .put_leased(&alive_key, alive_value, lease);
    let seen = before.as_ref().map(|(entry, record)| (&*entry.value, record));
    let value = HostRecord::value(me, seen, now).map_err(StoreError::record(&host_key))?;
    // Every write of it wakes all hosts.
    if seen.is_none_or(|(bytes, _)| bytes != value) {
        txn = txn.put(&host_key, value);
    }
    for (place, (ip, key)) in addresses.iter().zip(&vtep_keys).enumerate() {
        let entry = vteps.entry(place);
        let owner = entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
        txn = txn.if_still(key, entry);
        match (wanted.contains(ip), owner) {
            (true, None) => txn = txn.put(key, id.as_str()),
            (true, Some(owner)) if owner == id.as_str() => {}
            (true, Some(by)) => return Err(StoreError::UnderlayTaken { ip: *ip, by }),
            (false, Some(owner)) if owner == id.as_str() => txn = txn.delete(key),
            (false, _) => {}
        }
    }
    Ok(etcd.run("register this host", txn).await?)
}

/// Waits until whoever lives under our id is gone. Its lease ends by itself if it is dead.
async fn await_departure(
    tree: &Tree,
    me: &Me,
    revision: i64,
    ttl: Duration,
    theirs: String,
) -> Result<(), StoreError> {
    let Tree { etcd, keys } = tree;
    let key = keys.alive(&me.host.id);
    let subtree = Subtree { id: 1, prefix: key.clone(), from: revision + 1 };
    let mut watch = etcd.watch(&[subtree], ttl).await?;
    let gone = async {
        loop {
            match watch.next().await? {
                News::Changes(_, changes) => {
                    if changes.iter().any(|change| matches!(change, Change::Gone(..))) {
                        return Ok(());
                    }
                }
                News::Compacted(_) => return Ok(()), // look again
                News::Alive => {}
            }
        }
    };
    let grace = (ttl / 12).max(Duration::from_secs(1));
    match timeout(ttl + grace, gone).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::DuplicateHost {
            id: me.host.id.clone(),
            ours: me.fingerprint.clone(),
            theirs,
        }),
    }
}

/// What a host owns, at one revision.
pub(crate) struct Property {
    /// Its record.
    pub(crate) host: Option<Entry>,
    /// The keys of its blocks, with the revision of each.
    pub(crate) blocks: Vec<Entry>,
    /// The keys of its names.
    pub(crate) names: Vec<String>,
}

/// Lists what host `id` owns.
pub(crate) async fn property(tree: &Tree, id: &HostId) -> Result<Property, StoreError> {
    let Tree { etcd, keys } = tree;
    let (blocks, revision) = etcd.list(&keys.all_blocks(), Want::Values, 0).await?;
    let (names, _) = etcd.list(&keys.all_names(), Want::Keys, revision).await?;
    let read = etcd.run("look at a host", Txn::reading([&*keys.host(id)])).await?;
    let is_own = |entry: &Entry| match keys.parse(&entry.key) {
        Some(Key::Block(_, cidr)) => records::block(cidr, &entry.value, entry.created)
            .is_ok_and(|(block, _)| block.host == *id),
        _ => false,
    };
    let is_name = |key: &String| matches!(keys.parse(key), Some(Key::Name(_, of, _)) if of == *id);
    Ok(Property {
        host: read.entry(0).cloned(),
        blocks: blocks.into_iter().filter(is_own).collect(),
        names: names.into_iter().map(|entry| entry.key).filter(is_name).collect(),
    })
}

/// Takes a host out of the store: names and blocks first, its record last, so that what is left
/// when this breaks off is still known to be its. With `lease` it is our own, else one that must
/// not be alive.
pub(crate) async fn remove(tree: &Tree, id: &HostId, lease: Option<i64>) -> Result<(), StoreError> {
    let Tree { etcd, keys } = tree;
    let alive_key = keys.alive(id);
    let guarded = |txn: Txn| match lease {
        Some(lease) => txn.if_leased(&alive_key, lease),
        None => txn.if_absent(&alive_key),
    };
    let refused = || match lease {
        Some(_) => StoreError::PresenceLost { what: "leave" },
        None => StoreError::HostAlive(id.clone()),
    };
    let property = property(tree, id).await?;
    let host = property.host.ok_or_else(|| StoreError::NoHost(id.clone()))?;
    let own: Vec<&str> = property
        .names
        .iter()
        .map(String::as_str)
        .chain(property.blocks.iter().map(|entry| &*entry.key))
        .collect();
    for batch in own.chunks(BATCH) {
        let txn = batch.iter().fold(guarded(Txn::default()), |txn, key| txn.delete(key));
        if !etcd.run("remove what a host has", txn).await?.held {
            return Err(refused());
        }
    }
    let host_key = keys.host(id);
    let addresses: Vec<IpAddr> = match HostRecord::parse(id, &host.value) {
        Ok(record) => record.host.underlay.addresses(),
        Err(_) => Vec::new(), // the record goes, whatever is in it
    };
    let vtep_keys: Vec<String> = addresses.iter().map(|ip| keys.vtep(*ip)).collect();
    let vteps = Txn::reading(vtep_keys.iter().map(|key| &**key));
    let vteps = etcd.run("look at underlay addresses", vteps).await?;
    let mut txn = guarded(Txn::default()).delete(&host_key);
    for (place, key) in vtep_keys.iter().enumerate() {
        let entry = vteps.entry(place);
        if entry.is_some_and(|entry| entry.value == id.as_str().as_bytes()) {
            txn = txn.if_still(key, entry).delete(key);
        }
    }
    if !etcd.run("remove a host", txn).await?.held {
        return Err(refused());
    }
    if let Some(lease) = lease {
        etcd.revoke(lease).await?;
    }
    Ok(())
}
