//! Blocks: claiming one, keeping it, giving it back.

use std::collections::BTreeSet;

use peers::{Block, HostId, Network, State};
use types::{Cidr, Family};

use super::error::StoreError;
use super::etcd::{Tree, Txn, Want};
use super::grid::{Grid, Taken};
use super::keys::Key;
use super::records;

/// Tries without looking at what is taken; most succeed at the first.
const BLIND_TRIES: u32 = 3;
/// All tries.
const TRIES: u32 = 16;
/// Steps of a blind search before it would be cheaper to look.
const STEPS: u64 = 4096;

/// Who acts: a host that is present.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) id: HostId,
    pub(crate) lease: i64,
}

/// A claim that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The block.
    pub block: Block,
    /// How many transactions it took.
    pub tries: u32,
}

/// The outcome of one transaction.
enum Try {
    Ours(Block),
    Taken,
}

/// Claims a block of `family`. `known` are the blocks that the host has heard of.
pub(crate) async fn claim(
    tree: &Tree,
    actor: &Actor,
    network: &Network,
    family: Family,
    known: Taken,
) -> Result<Claimed, StoreError> {
    let length = match family {
        Family::V4 => network.block_len4,
        Family::V6 => network.block_len6,
    };
    let pools: Vec<Cidr> =
        network.pools.iter().copied().filter(|pool| pool.family() == family).collect();
    let grids: Vec<Grid> = pools.iter().filter_map(|pool| Grid::new(*pool, length)).collect();
    let mut reserved = Taken::default();
    network.reserved.iter().for_each(|cidr| reserved.insert(*cidr));
    let mut taken = known;
    for tries in 1..=TRIES {
        let chosen = if tries <= BLIND_TRIES {
            let unknown = |block: &Cidr| {
                taken.overlapping(*block).is_none() && reserved.overlapping(*block).is_none()
            };
            let steps = usize::try_from(STEPS).unwrap_or(usize::MAX);
            grids.iter().find_map(|grid| grid.walk(&actor.id, network).take(steps).find(unknown))
        } else {
            None
        };
        let chosen = match chosen {
            Some(block) => block,
            None => {
                taken = list(tree, network).await?;
                let free = grids.iter().find_map(|grid| grid.free(&taken, &reserved));
                match free {
                    Some(block) => block,
                    None => return Err(exhausted(tree, network, family, &pools).await?),
                }
            }
        };
        match attempt(tree, actor, network, chosen).await? {
            Try::Ours(block) => return Ok(Claimed { block, tries }),
            Try::Taken => taken.insert(chosen),
        }
    }
    Err(StoreError::Contended { what: "claim a block", tries: TRIES })
}

async fn list(tree: &Tree, network: &Network) -> Result<Taken, StoreError> {
    let Tree { etcd, keys } = tree;
    let (entries, _) = etcd.list(&keys.blocks(&network.name), Want::Keys, 0).await?;
    let mut taken = Taken::default();
    for entry in entries {
        if let Some(Key::Block(_, cidr)) = keys.parse(&entry.key) {
            taken.insert(cidr);
        }
    }
    Ok(taken)
}

async fn attempt(
    tree: &Tree,
    actor: &Actor,
    network: &Network,
    cidr: Cidr,
) -> Result<Try, StoreError> {
    let Tree { etcd, keys } = tree;
    let (net_key, block_key) = (keys.net(&network.name), keys.block(&network.name, cidr));
    let alive_key = keys.alive(&actor.id);
    let value = records::block_value(None, &actor.id, network.vni, State::Active, None)
        .map_err(StoreError::record(&block_key))?;
    let txn = Txn::default()
        .if_present(&net_key)
        .if_absent(&block_key)
        .if_leased(&alive_key, actor.lease)
        .put(&block_key, value.clone())
        .or_read(&block_key)
        .or_read(&net_key)
        .or_read(&alive_key);
    let done = etcd.run("claim a block", txn).await?;
    if done.held {
        let (block, _) =
            records::block(cidr, &value, done.revision).map_err(StoreError::record(&block_key))?;
        return Ok(Try::Ours(block));
    }
    if let Some(entry) = done.entry(0) {
        // It may be ours: of a try whose answer was lost.
        return Ok(match records::block(cidr, &entry.value, entry.created) {
            Ok((block, _)) if block.host == actor.id && block.state == State::Active => {
                Try::Ours(block)
            }
            _ => Try::Taken,
        });
    }
    match done.entry(1) {
        None => Err(StoreError::NoNetwork(network.name.clone())),
        Some(_) => Err(StoreError::PresenceLost { what: "claim a block" }),
    }
}

/// The error with its figures.
async fn exhausted(
    tree: &Tree,
    network: &Network,
    family: Family,
    pools: &[Cidr],
) -> Result<StoreError, StoreError> {
    let Tree { etcd, keys } = tree;
    let (alive, revision) = etcd.list(&keys.alive_all(), Want::Keys, 0).await?;
    let alive: BTreeSet<HostId> = alive
        .iter()
        .filter_map(|entry| match keys.parse(&entry.key)? {
            Key::Alive(id) => Some(id),
            _ => None,
        })
        .collect();
    let (entries, _) = etcd.list(&keys.blocks(&network.name), Want::Values, revision).await?;
    let mut taken = Taken::default();
    let mut dead = 0;
    for entry in &entries {
        let Some(Key::Block(_, cidr)) = keys.parse(&entry.key) else { continue };
        if cidr.family() != family {
            continue;
        }
        taken.insert(cidr);
        let owner = records::block(cidr, &entry.value, entry.created).map(|(block, _)| block.host);
        dead += usize::from(owner.is_ok_and(|id| !alive.contains(&id)));
    }
    let (network, taken) = (network.name.clone(), taken.count(pools));
    Ok(StoreError::PoolExhausted { network, family, taken, dead })
}

/// Makes sure that `cidr`, which this host has handed out addresses of, is its own in the store.
pub(crate) async fn adopt(
    tree: &Tree,
    actor: &Actor,
    network: &Network,
    cidr: Cidr,
) -> Result<Block, StoreError> {
    let Tree { etcd, keys } = tree;
    let block_key = keys.block(&network.name, cidr);
    for _ in 0..TRIES {
        if let Try::Ours(block) = attempt(tree, actor, network, cidr).await? {
            return Ok(block);
        }
        let read = etcd.run("look at a block", Txn::reading([&*block_key])).await?;
        let Some(entry) = read.entry(0) else { continue };
        let (block, _) = records::block(cidr, &entry.value, entry.created)
            .map_err(StoreError::record(&block_key))?;
        if block.host != actor.id {
            let (network, by) = (network.name.clone(), block.host);
            return Err(StoreError::NotOurs { network, block: cidr, by });
        }
        if block.state != State::Released {
            return Ok(block);
        }
        // Taken from us while we were away, and nobody has it yet.
        let value =
            records::block_value(Some(&entry.value), &actor.id, network.vni, State::Active, None)
                .map_err(StoreError::record(&block_key))?;
        let txn = Txn::default()
            .if_unchanged(&block_key, entry.modified)
            .if_leased(&keys.alive(&actor.id), actor.lease)
            .put(&block_key, value);
        if etcd.run("take a block back", txn).await?.held {
            return Ok(Block { state: State::Active, ..block });
        }
    }
    Err(StoreError::Contended { what: "keep a block", tries: TRIES })
}

/// Gives `cidr` back, if it is this host's; one that is gone already is success.
pub(crate) async fn release(
    tree: &Tree,
    actor: &Actor,
    network: &Network,
    cidr: Cidr,
) -> Result<(), StoreError> {
    let Tree { etcd, keys } = tree;
    let block_key = keys.block(&network.name, cidr);
    for _ in 0..TRIES {
        let read = etcd.run("look at a block", Txn::reading([&*block_key])).await?;
        let Some(entry) = read.entry(0) else { return Ok(()) };
        let (block, _) = records::block(cidr, &entry.value, entry.created)
            .map_err(StoreError::record(&block_key))?;
        if block.host != actor.id {
            let (network, by) = (network.name.clone(), block.host);
            return Err(StoreError::NotOurs { network, block: cidr, by });
        }
        let txn = Txn::default().if_unchanged(&block_key, entry.modified).delete(&block_key);
        if etcd.run("give a block back", txn).await?.held {
            return Ok(());
        }
    }
    Err(StoreError::Contended { what: "give a block back", tries: TRIES })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::etcd::Connection;

    /// Hosts claim over connections that they share, so that it is claims what is measured.
    #[test]
    fn a_thousand_hosts_that_claim_at_once_all_get_a_block_of_their_own() {
        netns_fixtures::lab(|lab| {
            let etcd = netns_fixtures::Etcd::start(lab);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let (claimed, took) = runtime.unwrap().block_on(rush(&etcd.endpoint(0), 1000));
            let transactions: u32 = claimed.iter().map(|claimed| claimed.tries).sum();
            println!("\n1000 hosts: {transactions} transactions in {took:?}");
            let blocks: BTreeSet<Cidr> = claimed.iter().map(|claimed| claimed.block.cidr).collect();
            assert_eq!(blocks.len(), 1000);
            assert_eq!(etcd.keys("blocks/blue/").len(), 1000);
            assert!(transactions <= 1300, "{transactions}: more than 1.3 for each host");
        });
    }

    #[test]
    fn a_host_that_is_not_present_gets_no_block() {
        netns_fixtures::lab(|lab| {
            let etcd = netns_fixtures::Etcd::start(lab);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let keys = crate::store::Keys::default();
                let endpoint = etcd.endpoint(0);
                let connection = Connection::open(&endpoint, None, None).await.unwrap();
                let tree = Tree { etcd: connection, keys };
                let any = crate::store::network::Number::Any;
                let wanted = network(&["10.64.0.0/12"]);
                let blue = crate::store::network::create(&tree, &wanted, any).await.unwrap();
                let actor = Actor { id: "host-1".parse().unwrap(), lease: 7 };
                let asked = claim(&tree, &actor, &blue, Family::V4, Taken::default());
                assert_eq!(
                    asked.await.unwrap_err().to_string(),
                    "claim a block: etcd does not count this host as alive"
                );
                assert!(etcd.keys("blocks/").is_empty());
            });
        });
    }

    async fn rush(endpoint: &str, count: u32) -> (Vec<Claimed>, std::time::Duration) {
        let keys = crate::store::Keys::default();
        let mut trees = Vec::new();
        for _ in 0..8 {
            let etcd = Connection::open(endpoint, None, None).await.unwrap();
            trees.push(Tree { etcd, keys: keys.clone() });
        }
        let wanted = network(&["10.64.0.0/12"]);
        let any = crate::store::network::Number::Any;
        let blue = crate::store::network::create(&trees[0], &wanted, any);
        let blue = blue.await.unwrap();
        let lease = trees[0].etcd.grant(std::time::Duration::from_secs(60)).await.unwrap().id;
        let host = |number: u32| format!("host-{number}").parse::<HostId>().unwrap();
        for number in 0..count {
            let alive = Txn::default().put_leased(&keys.alive(&host(number)), "{}", lease);
            trees[0].etcd.run("be there", alive).await.unwrap();
        }
        let begun = std::time::Instant::now();
        let claims: Vec<_> = (0..count)
            .map(|number| {
                let (tree, blue) = (trees[number as usize % trees.len()].clone(), blue.clone());
                let actor = Actor { id: host(number), lease };
                tokio::spawn(async move {
                    claim(&tree, &actor, &blue, Family::V4, Taken::default()).await
                })
            })
            .collect();
        let mut claimed = Vec::new();
        for claim in claims {
            claimed.push(claim.await.unwrap().unwrap());
        }
        (claimed, begun.elapsed())
    }

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn network(pools: &[&str]) -> Network {
        let pools = pools.iter().map(|pool| cidr(pool)).collect();
        Network::new("blue".parse().unwrap(), 4103.try_into().unwrap(), pools)
    }
}
