//! What people do with the store, from a host that need not be one of it.

use std::collections::BTreeSet;

use peers::{Block, HostId, Network, State};
use types::NetworkName;

use super::error::StoreError;
use super::etcd::{Connection, Entry, EtcdError, Tree, Txn, Want};
use super::keys::Key;
use super::network::{self, Number};
use super::records::{self, HostRecord};
use super::{EtcdConfig, host};

const TRIES: u32 = 8;

/// A connection for one command.
pub struct Admin {
    tree: Tree,
}

/// A host as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// What it says of itself.
    pub record: HostRecord,
    /// Whether it is there.
    pub is_alive: bool,
    /// What it has, by network.
    pub blocks: Vec<(NetworkName, Block)>,
}

/// A list, and what there is beside it that cannot be read: where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What can be read.
    pub items: Vec<T>,
    /// What cannot.
    pub refused: Vec<(String, String)>,
}

impl<T> Listed<T> {
    fn of(
        entries: &[Entry],
        mut read: impl FnMut(&Entry) -> Option<Result<T, records::BadRecord>>,
    ) -> Self {
        let mut listed = Self { items: Vec::new(), refused: Vec::new() };
        for entry in entries {
            match read(entry) {
                Some(Ok(item)) => listed.items.push(item),
                Some(Err(why)) => listed.refused.push((entry.key.clone(), why.to_string())),
                None => {}
            }
        }
        listed
    }
}

impl Admin {
    /// Connects to the first member that answers.
    ///
    /// # Errors
    /// What the last one said, or that there is none.
    pub async fn connect(config: &EtcdConfig) -> Result<Self, StoreError> {
        let mut last = EtcdError::Connect {
            endpoint: String::new(),
            reason: "no endpoint is configured".to_owned(),
        };
        for endpoint in &config.endpoints {
            let (tls, login) = (config.tls.as_ref(), config.login.as_ref());
            match Connection::open(endpoint, tls, login).await {
                Ok(etcd) => return Ok(Self { tree: Tree { etcd, keys: config.keys.clone() } }),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// Creates a network unless it exists just so.
    ///
    /// # Errors
    /// As [`super::Store::create_network`].
    pub async fn create_network(
        &self,
        network: &Network,
        number: Number,
    ) -> Result<Network, StoreError> {
        network::create(&self.tree, network, number).await
    }

    /// Deletes a network that nobody has blocks of.
    ///
    /// # Errors
    /// As [`super::Store::delete_network`].
    pub async fn delete_network(&self, name: &NetworkName) -> Result<(), StoreError> {
        network::delete(&self.tree, name).await
    }

    /// One network.
    ///
    /// # Errors
    /// [`StoreError::NoNetwork`].
    pub async fn network(&self, name: &NetworkName) -> Result<Network, StoreError> {
        network::read(&self.tree, name).await
    }

    /// All networks.
    ///
    /// # Errors
    /// When etcd does not list them.
    pub async fn networks(&self) -> Result<Listed<Network>, StoreError> {
        let Tree { etcd, keys } = &self.tree;
        let (entries, _) = etcd.list(&keys.nets(), Want::Values, 0).await?;
        Ok(Listed::of(&entries, |entry| match keys.parse(&entry.key)? {
            Key::Net(name) => Some(records::network(&name, &entry.value)),
            _ => None,
        }))
    }

    /// All blocks of a network, or of all, in the order of their addresses.
    ///
    /// # Errors
    /// When etcd does not list them.
    pub async fn blocks(
        &self,
        of: Option<&NetworkName>,
    ) -> Result<Listed<(NetworkName, Block)>, StoreError> {
        let keys = &self.tree.keys;
        let prefix = of.map_or_else(|| keys.all_blocks(), |network| keys.blocks(network));
        let (entries, _) = self.tree.etcd.list(&prefix, Want::Values, 0).await?;
        let mut listed = self.read_blocks(&entries);
        listed.items.sort_by(|(network, block), (other_network, other)| {
            (network, block.cidr).cmp(&(other_network, other.cidr))
        });
        Ok(listed)
    }

    fn read_blocks(&self, entries: &[Entry]) -> Listed<(NetworkName, Block)> {
        Listed::of(entries, |entry| match self.tree.keys.parse(&entry.key)? {
            Key::Block(network, cidr) => {
                let block = records::block(cidr, &entry.value, entry.created);
                Some(block.map(|(block, _)| (network, block)))
            }
            _ => None,
        })
    }

    /// All hosts, by id, with what they have.
    ///
    /// # Errors
    /// When etcd does not list them.
    pub async fn hosts(&self) -> Result<Listed<HostStatus>, StoreError> {
        let Tree { etcd, keys } = &self.tree;
        let (hosts, revision) = etcd.list(&keys.hosts(), Want::Values, 0).await?;
        let (alive, _) = etcd.list(&keys.alive_all(), Want::Keys, revision).await?;
        let (blocks, _) = etcd.list(&keys.all_blocks(), Want::Values, revision).await?;
        let alive: BTreeSet<&str> = alive.iter().map(|entry| &*entry.key).collect();
        let blocks = self.read_blocks(&blocks);
        let mut listed = Listed::of(&hosts, |entry| match keys.parse(&entry.key)? {
            Key::Host(id) => Some(HostRecord::parse(&id, &entry.value).map(|record| {
                let is_its = |(_, block): &&(NetworkName, Block)| block.host == id;
                HostStatus {
                    record,
                    is_alive: alive.contains(&*keys.alive(&id)),
                    blocks: blocks.items.iter().filter(is_its).cloned().collect(),
                }
            })),
            _ => None,
        });
        listed.refused.extend(blocks.refused);
        Ok(listed)
    }

    /// Lets a host hand out no more addresses of what it has. It gives each block back when the last
    /// of its addresses is free. How many blocks that are.
    ///
    /// # Errors
    /// [`StoreError::NoHost`].
    pub async fn drain_host(&self, id: &HostId) -> Result<usize, StoreError> {
        let Tree { etcd, keys } = &self.tree;
        for _ in 0..TRIES {
            let property = host::property(&self.tree, id).await?;
            if property.host.is_none() && property.blocks.is_empty() {
                return Err(StoreError::NoHost(id.clone()));
            }
            let is_active = |entry: &&Entry| match keys.parse(&entry.key) {
                Some(Key::Block(_, cidr)) => records::block(cidr, &entry.value, entry.created)
                    .is_ok_and(|(block, _)| block.state == State::Active),
                _ => false,
            };
            let active: Vec<&Entry> = property.blocks.iter().filter(is_active).collect();
            let mut all = true;
            for entry in &active {
                let value =
                    records::draining(&entry.value).map_err(StoreError::record(&entry.key))?;
                let txn =
                    Txn::default().if_unchanged(&entry.key, entry.modified).put(&entry.key, value);
                all &= etcd.run("drain a block", txn).await?.held;
            }
            if all {
                return Ok(property.blocks.len());
            }
        }
        Err(StoreError::Contended { what: "drain a host", tries: TRIES })
    }

    /// Takes a host out of the store that is not there any more.
    ///
    /// # Errors
    /// [`StoreError::HostAlive`], [`StoreError::NoHost`].
    pub async fn remove_host(&self, id: &HostId) -> Result<(), StoreError> {
        host::remove(&self.tree, id, None).await
    }
}
