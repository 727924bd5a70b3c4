//! Creating and deleting networks.

use peers::{HostId, Network, Vni};
use types::NetworkName;

use super::chance;
use super::error::StoreError;
use super::etcd::{Tree, Txn, Want};
use super::keys::Key;
use super::records::{self, Config, Index};

const TRIES: u32 = 8;

/// The number that a new network gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Any that is free.
    Any,
    /// The one in its record, or none.
    Given,
}

/// Creates `wanted`, or finds that it exists already just so. The index guards that pools of two
/// networks do not overlap, whoever creates them at the same time.
pub(crate) async fn create(
    tree: &Tree,
    wanted: &Network,
    number: Number,
) -> Result<Network, StoreError> {
    let Tree { etcd, keys } = tree;
    let name = &wanted.name;
    records::check_network(wanted)
        .map_err(|why| StoreError::BadNetwork { name: name.clone(), why })?;
    let (index_key, net_key, config_key) = (keys.index(), keys.net(name), keys.config());
    for _ in 0..TRIES {
        let read = Txn::reading([&*index_key, &*net_key, &*config_key]);
        let read = etcd.run("look at networks", read).await?;
        if let Some(entry) = read.entry(1) {
            let there =
                records::network(name, &entry.value).map_err(StoreError::record(&net_key))?;
            return same(wanted, there, number);
        }
        let config = match read.entry(2) {
            Some(entry) => Config::parse(&entry.value).map_err(StoreError::record(&config_key))?,
            None => Config::default(),
        };
        let before = read.entry(0);
        let index = match before {
            Some(entry) => Index::parse(&entry.value).map_err(StoreError::record(&index_key))?,
            None => Index::default(),
        };
        let network = numbered(wanted, number, &index, &config)?;
        let value = Index::with(before.map(|entry| &*entry.value), &network)
            .map_err(StoreError::record(&index_key))?;
        let vni_key = keys.vni(network.vni);
        let txn = Txn::default()
            .if_absent(&net_key)
            .if_absent(&vni_key)
            .if_still(&index_key, before)
            .put(&net_key, records::network_value(&network))
            .put(&vni_key, name.as_str())
            .put(&index_key, value)
            .or_read(&vni_key);
        let done = etcd.run("create a network", txn).await?;
        if done.held {
            return Ok(network);
        }
        // A number outside the index: left of a network that somebody deleted by hand.
        if done.entry(0).is_some() && number == Number::Given {
            return Err(StoreError::VniTaken { name: name.clone(), vni: network.vni });
        }
    }
    Err(StoreError::Contended { what: "create a network", tries: TRIES })
}

/// Checks `wanted` against the other networks, and gives it its number.
fn numbered(
    wanted: &Network,
    number: Number,
    index: &Index,
    config: &Config,
) -> Result<Network, StoreError> {
    let name = || wanted.name.clone();
    for (owner, other) in index.nets.iter().filter(|(owner, _)| **owner != wanted.name) {
        for pool in &wanted.pools {
            if let Some(theirs) = other.pools.iter().find(|theirs| theirs.overlaps(*pool)) {
                let (pool, other, owner) = (*pool, *theirs, owner.clone());
                return Err(StoreError::PoolsOverlap { name: name(), pool, other, owner });
            }
        }
    }
    let taken = |vni: Vni| index.nets.values().any(|other| other.vni == vni);
    let vni = match number {
        Number::Given if taken(wanted.vni) => {
            return Err(StoreError::VniTaken { name: name(), vni: wanted.vni });
        }
        Number::Given => wanted.vni,
        Number::Any => {
            let (low, high) = config.vni_range;
            let count = u64::from(high - low) + 1;
            let start = chance::below(count);
            // More steps than there are networks always meet a free one, if there is one.
            let steps = count.min(index.nets.len() as u64 + 1);
            (0..steps)
                .filter_map(|step| u32::try_from((start + step) % count).ok())
                .filter_map(|offset| Vni::try_from(low + offset).ok())
                .find(|vni| !taken(*vni))
                .ok_or_else(|| StoreError::NoVni { name: name(), range: config.vni_range })?
        }
    };
    Ok(Network { vni, ..wanted.clone() })
}

/// `there` if it is what was wanted.
fn same(wanted: &Network, there: Network, number: Number) -> Result<Network, StoreError> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            differences.push(format!("{what} ({theirs}, wanted {ours})"));
        }
    };
    compare("pools", format!("{:?}", wanted.pools), format!("{:?}", there.pools));
    compare("blockLen4", wanted.block_len4.to_string(), there.block_len4.to_string());
    compare("blockLen6", wanted.block_len6.to_string(), there.block_len6.to_string());
    compare("port", wanted.port.to_string(), there.port.to_string());
    compare("encryption", format!("{:?}", wanted.encryption), format!("{:?}", there.encryption));
    if number == Number::Given {
        compare("vni", wanted.vni.to_string(), there.vni.to_string());
    }
    match differences.is_empty() {
        true => Ok(there),
        false => Err(StoreError::NetworkDiffers {
            name: wanted.name.clone(),
            what: differences.join(", "),
        }),
    }
}

/// Reads one network.
pub(crate) async fn read(tree: &Tree, name: &NetworkName) -> Result<Network, StoreError> {
    let Tree { etcd, keys } = tree;
    let key = keys.net(name);
    let read = etcd.run("look at a network", Txn::reading([&*key])).await?;
    let entry = read.entry(0).ok_or_else(|| StoreError::NoNetwork(name.clone()))?;
    records::network(name, &entry.value).map_err(StoreError::record(&key))
}

/// Deletes a network that nobody has blocks of.
pub(crate) async fn delete(tree: &Tree, name: &NetworkName) -> Result<(), StoreError> {
    let Tree { etcd, keys } = tree;
    let (index_key, net_key, blocks) = (keys.index(), keys.net(name), keys.blocks(name));
    for _ in 0..TRIES {
        let read = etcd.run("look at networks", Txn::reading([&*index_key, &*net_key])).await?;
        let entry = read.entry(1).ok_or_else(|| StoreError::NoNetwork(name.clone()))?;
        let network = records::network(name, &entry.value).map_err(StoreError::record(&net_key))?;
        let before = read.entry(0);
        let mut txn = Txn::default()
            .if_none_below(&blocks)
            .if_unchanged(&net_key, entry.modified)
            .if_still(&index_key, before)
            .delete(&net_key)
            .delete(&keys.vni(network.vni))
            .delete_below(&keys.names(name));
        if let Some(before) = before {
            let value =
                Index::without(&before.value, name).map_err(StoreError::record(&index_key))?;
            txn = txn.put(&index_key, value);
        }
        if etcd.run("delete a network", txn).await?.held {
            return Ok(());
        }
        let (left, _) = etcd.list(&blocks, Want::Values, 0).await?;
        if !left.is_empty() {
            let mut owners: Vec<HostId> = left
                .iter()
                .filter_map(|entry| match keys.parse(&entry.key)? {
                    Key::Block(_, cidr) => records::block(cidr, &entry.value, 0).ok(),
                    _ => None,
                })
                .map(|(block, _)| block.host)
                .collect();
            owners.sort();
            owners.dedup();
            return Err(StoreError::NetworkInUse { name: name.clone(), owners });
        }
    }
    Err(StoreError::Contended { what: "delete a network", tries: TRIES })
}
