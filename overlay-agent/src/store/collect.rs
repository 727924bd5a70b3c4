//! Taking away what hosts have that do not come back. One agent at a time does it.
//!
//! A host is missed for `reclaim_after` first, counted from what is written in its own record, so
//! that another collector goes on where one stopped. Then its blocks become tombstones, which
//! nobody may claim and their owner may take back; and after a while they go.

use std::collections::BTreeSet;

use peers::{HostId, State};

use super::block::Actor;
use super::error::StoreError;
use super::etcd::{Entry, Tree, Txn, Want};
use super::host::{self, BATCH};
use super::keys::{Key, Keys};
use super::records::{self, HostRecord};

/// How long a tombstone stays, in seconds.
const TOMBSTONE: u64 = 600;

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Hosts whose absence was noted.
    pub missed: Vec<HostId>,
    /// Hosts whose blocks became tombstones.
    pub released: Vec<HostId>,
    /// How many tombstones went.
    pub buried: usize,
    /// Hosts of which nothing is left.
    pub removed: Vec<HostId>,
}

/// One round at `now`, in seconds since 1970. `None`: another agent is the collector.
pub(crate) async fn round(
    tree: &Tree,
    actor: &Actor,
    reclaim_after: u64,
    now: u64,
) -> Result<Option<Collected>, StoreError> {
    let Tree { etcd, keys } = tree;
    if !is_elected(tree, actor).await? {
        return Ok(None);
    }
    let (hosts, revision) = etcd.list(&keys.hosts(), Want::Values, 0).await?;
    let (alive, _) = etcd.list(&keys.alive_all(), Want::Keys, revision).await?;
    let (blocks, _) = etcd.list(&keys.all_blocks(), Want::Values, revision).await?;
    let alive: BTreeSet<&str> = alive.iter().map(|entry| &*entry.key).collect();
    let mut collected = Collected::default();
    for entry in &hosts {
        let Some(Key::Host(id)) = keys.parse(&entry.key) else { continue };
        if alive.contains(&*keys.alive(&id)) {
            continue;
        }
        let Ok(record) = HostRecord::parse(&id, &entry.value) else { continue };
        match record.dead_since {
            None => {
                let value = HostRecord::missed(&entry.value, now)
                    .map_err(StoreError::record(&entry.key))?;
                let txn = Txn::default()
                    .if_absent(&keys.alive(&id))
                    .if_unchanged(&entry.key, entry.modified)
                    .put(&entry.key, value);
                if etcd.run("note that a host is missed", txn).await?.held {
                    collected.missed.push(id);
                }
            }
            Some(since) if now.saturating_sub(since) >= reclaim_after => {
                let own = owned(keys, &id, &blocks);
                if own.is_empty() {
                    match host::remove(tree, &id, None).await {
                        Ok(()) => collected.removed.push(id),
                        Err(StoreError::HostAlive(_)) => {}
                        Err(error) => return Err(error),
                    }
                } else if release(tree, &id, entry, &own, now).await? {
                    collected.released.push(id);
                }
            }
            Some(_) => {}
        }
    }
    collected.buried = bury(tree, &blocks, now).await?;
    Ok(Some(collected))
}

async fn is_elected(tree: &Tree, actor: &Actor) -> Result<bool, StoreError> {
    let Tree { etcd, keys } = tree;
    let key = keys.collector();
    let txn = Txn::default()
        .if_absent(&key)
        .put_leased(&key, actor.id.as_str(), actor.lease)
        .or_read(&key);
    let done = etcd.run("become the collector", txn).await?;
    Ok(done.held || done.entry(0).is_some_and(|entry| entry.lease == actor.lease))
}

fn owned<'a>(keys: &Keys, id: &HostId, blocks: &'a [Entry]) -> Vec<(&'a Entry, State)> {
    let of = |entry: &'a Entry| match keys.parse(&entry.key)? {
        Key::Block(_, cidr) => {
            let (block, _) = records::block(cidr, &entry.value, entry.created).ok()?;
            (block.host == *id).then_some((entry, block.state))
        }
        _ => None,
    };
    blocks.iter().filter_map(of).collect()
}

/// Makes tombstones of the blocks of host `id`, if it has not come back.
async fn release(
    tree: &Tree,
    id: &HostId,
    host: &Entry,
    own: &[(&Entry, State)],
    now: u64,
) -> Result<bool, StoreError> {
    let Tree { etcd, keys } = tree;
    let active: Vec<_> = own.iter().filter(|(_, state)| *state != State::Released).collect();
    // Each needs a comparison and a write.
    for batch in active.chunks(BATCH / 2) {
        let mut txn =
            Txn::default().if_absent(&keys.alive(id)).if_unchanged(&host.key, host.modified);
        for (entry, _) in batch {
            let value = records::released(&entry.value, now + TOMBSTONE)
                .map_err(StoreError::record(&entry.key))?;
            txn = txn.if_unchanged(&entry.key, entry.modified).put(&entry.key, value);
        }
        if !etcd.run("release a missed host's blocks", txn).await?.held {
            return Ok(false);
        }
    }
    Ok(!active.is_empty())
}

/// Deletes tombstones whose time is over.
async fn bury(tree: &Tree, blocks: &[Entry], now: u64) -> Result<usize, StoreError> {
    let Tree { etcd, keys } = tree;
    let mut buried = 0;
    for entry in blocks {
        let Some(Key::Block(_, cidr)) = keys.parse(&entry.key) else { continue };
        let is_due = match records::block(cidr, &entry.value, entry.created) {
            Ok((block, until)) => {
                block.state == State::Released && until.is_some_and(|until| until <= now)
            }
            Err(_) => false,
        };
        if is_due {
            let txn = Txn::default().if_unchanged(&entry.key, entry.modified).delete(&entry.key);
            buried += usize::from(etcd.run("bury a tombstone", txn).await?.held);
        }
    }
    Ok(buried)
}
