//! What is known of the store, and when something of it may be forgotten.
//!
//! A store that has lost its data must not make hosts forget each other: what a listing lacks for
//! that reason is *held*, until the one it belongs to has spoken again.

use std::collections::{BTreeMap, BTreeSet};

use peers::{Block, HostId, Network};
use serde::{Deserialize, Serialize};
use types::NetworkName;

use super::etcd::{Change, Entry};
use super::keys::{Key, Keys};
use super::records::{self, BadRecord, Config, HostRecord, Index, Named};
use super::view::{Names, Presence, View};

/// How many records that cannot be read are told of.
const MOST_REFUSED: usize = 100;

/// Everything known, by key.
pub(crate) struct Cache {
    keys: Keys,
    entries: BTreeMap<String, Cached>,
    /// The newest revision that was seen.
    pub(crate) revision: i64,
}

struct Cached {
    value: Vec<u8>,
    created: i64,
    /// Missing in the store, but kept.
    held: bool,
    record: Result<Record, BadRecord>,
}

impl Cached {
    fn is_name_of(&self, id: &HostId) -> bool {
        matches!(&self.record, Ok(Record::Name(_, host, ..)) if host == id)
    }
}

enum Record {
    Config(Config),
    Index(Index),
    Net(Network),
    Host(HostRecord),
    Alive(HostId),
    Block(NetworkName, Block),
    Name(NetworkName, HostId, String, Named),
}

/// A listing of what is below a prefix, or of a single key.
pub(crate) struct Listing {
    pub(crate) prefix: String,
    pub(crate) entries: Vec<Entry>,
}

/// Whether the store may have lost its data since we looked at it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// No sign of it.
    None,
    /// Its revision went back, or our own record is gone.
    Suspected,
}

#[derive(Serialize, Deserialize)]
struct SnapshotShape {
    v: u32,
    revision: i64,
    entries: BTreeMap<String, (i64, String)>,
}

impl Cache {
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys, entries: BTreeMap::new(), revision: 0 }
    }

    /// Loads what [`Self::snapshot`] gave. What cannot be read of it is left out: it is a cache.
    pub(crate) fn restore(&mut self, snapshot: &[u8]) {
        let Ok(shape) = serde_json::from_slice::<SnapshotShape>(snapshot) else { return };
        if shape.v != 1 {
            return;
        }
        self.revision = shape.revision;
        for (key, (created, value)) in shape.entries {
            let (value, modified) = (value.into_bytes(), created);
            self.put(Entry { key, value, created, modified, lease: 0 });
        }
    }

    /// Everything but presence, for the next start without the store.
    pub(crate) fn snapshot(&self) -> String {
        let kept = |cached: &Cached| !matches!(cached.record, Ok(Record::Alive(_)));
        let entries =
            self.entries.iter().filter(|(_, cached)| kept(cached)).filter_map(|(key, cached)| {
                let value = String::from_utf8(cached.value.clone()).ok()?;
                Some((key.clone(), (cached.created, value)))
            });
        let shape = SnapshotShape { v: 1, revision: self.revision, entries: entries.collect() };
        serde_json::to_string(&shape).expect("it has text keys and no failing parts")
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes over one entry.
    pub(crate) fn put(&mut self, entry: Entry) {
        let Some(key) = self.keys.parse(&entry.key) else { return };
        let record = read(&key, &entry);
        let Entry { key, value, created, .. } = entry;
        self.entries.insert(key, Cached { value, created, held: false, record });
    }

    /// Takes over one change.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(entry) => {
                self.revision = self.revision.max(entry.modified);
                self.put(entry);
            }
            Change::Gone(key, revision) => {
                self.revision = self.revision.max(revision);
                self.entries.remove(&key);
            }
        }
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Forgets all below `prefix`, but the names that are `own`: they may have to be deleted yet.
    pub(crate) fn forget(&mut self, prefix: &str, own: &HostId) {
        self.entries.retain(|key, cached| !is_at(key, prefix) || cached.is_name_of(own));
    }

    /// Takes over listings made at one `revision`: marks what they have, sweeps what they lack.
    pub(crate) fn relist(&mut self, listings: Vec<Listing>, revision: i64, loss: Loss) {
        self.revision = revision;
        let mut lacking = Vec::new();
        for Listing { prefix, entries } in listings {
            let present: BTreeSet<&str> = entries.iter().map(|entry| &*entry.key).collect();
            let lost = loss == Loss::Suspected || present.is_empty();
            let known = self.entries.keys().filter(|key| is_at(key, &prefix));
            let absent: Vec<(String, bool)> = known
                .filter(|key| !present.contains(&***key))
                .map(|key| (key.clone(), lost))
                .collect();
            lacking.extend(absent);
            entries.into_iter().for_each(|entry| self.put(entry));
        }
        // Hosts come last: one goes only when nothing of it is left.
        lacking.sort_by_key(|(key, _)| matches!(self.keys.parse(key), Some(Key::Host(_))));
        for (key, lost) in lacking {
            let was_held = self.entries.get(&key).is_some_and(|cached| cached.held);
            match self.goes(&key, lost || was_held) {
                true => _ = self.entries.remove(&key),
                false => {
                    self.entries.entry(key).and_modify(|cached| cached.held = true);
                }
            }
        }
    }

    /// Whether `key`, which a listing lacks, is to be forgotten. `doubtful`: its absence may be the
    /// store's loss and not somebody's wish.
    fn goes(&self, key: &str, doubtful: bool) -> bool {
        let network_is_gone = |network: &NetworkName| match self.record(&self.keys.index()) {
            Some((Record::Index(index), false)) => !index.nets.contains_key(network),
            _ => false,
        };
        // A single listing with doubt tells nothing; one after the owner has come back does.
        let owner_is_back = |id: &HostId| {
            let is_held = self.entries.get(key).is_some_and(|cached| cached.held);
            is_held && matches!(self.record(&self.keys.host(id)), Some((_, false)))
        };
        let Some(key) = self.keys.parse(key) else { return true };
        if !doubtful || matches!(key, Key::Alive(_)) {
            return true;
        }
        match &key {
            Key::Net(network) => network_is_gone(network),
            Key::Name(network, id, _) => network_is_gone(network) || owner_is_back(id),
            Key::Block(network, cidr) => {
                let record = self.record(&self.keys.block(network, *cidr));
                let Some((Record::Block(_, block), _)) = record else { return true };
                network_is_gone(network) || owner_is_back(&block.host)
            }
            Key::Host(id) => {
                let is_its = |cached: &Cached| matches!(&cached.record, Ok(Record::Block(_, block)) if block.host == *id);
                !self.entries.values().any(is_its)
            }
            Key::Config | Key::Index | Key::Alive(_) => false,
        }
    }

    /// A record that can be read, and whether it is held.
    fn record(&self, key: &str) -> Option<(&Record, bool)> {
        let cached = self.entries.get(key)?;
        Some((cached.record.as_ref().ok()?, cached.held))
    }

    /// What holds for all hosts.
    pub(crate) fn config(&self) -> Config {
        match self.record(&self.keys.config()) {
            Some((Record::Config(config), _)) => config.clone(),
            _ => Config::default(),
        }
    }

    /// Whether anything is held.
    pub(crate) fn is_holding(&self) -> bool {
        self.entries.values().any(|cached| cached.held)
    }

    /// Networks that are held, and blocks of `own` that are.
    pub(crate) fn held(&self, own: &HostId) -> (Vec<Network>, Vec<(NetworkName, Block)>) {
        let held = || self.entries.values().filter(|cached| cached.held);
        let records = || held().filter_map(|cached| cached.record.as_ref().ok());
        let network = |record: &Record| match record {
            Record::Net(network) => Some(network.clone()),
            _ => None,
        };
        let block = |record: &Record| match record {
            Record::Block(network, block) if block.host == *own => {
                Some((network.clone(), block.clone()))
            }
            _ => None,
        };
        (records().filter_map(network).collect(), records().filter_map(block).collect())
    }

    /// The names that `own` has in the store: their keys and values.
    pub(crate) fn names_of(&self, own: &HostId) -> BTreeMap<String, Vec<u8>> {
        self.entries
            .iter()
            .filter(|(_, cached)| cached.is_name_of(own) && !cached.held)
            .map(|(key, cached)| (key.clone(), cached.value.clone()))
            .collect()
    }

    /// What hosts act upon.
    pub(crate) fn view(&self) -> View {
        let mut view = View::default();
        for (key, cached) in &self.entries {
            match &cached.record {
                Ok(Record::Net(network)) => {
                    view.networks.insert(network.name.clone(), network.clone());
                }
                Ok(Record::Host(record)) => view.hosts.push(record.host.clone()),
                Ok(Record::Block(network, block)) => {
                    view.blocks.entry(network.clone()).or_default().push(block.clone());
                }
                Err(why) if view.refused.len() < MOST_REFUSED => {
                    view.refused.push((key.clone(), why.to_string()));
                }
                _ => {}
            }
        }
        view
    }

    /// Who is there.
    pub(crate) fn presence(&self) -> Presence {
        let id = |cached: &Cached| match &cached.record {
            Ok(Record::Alive(id)) => Some(id.clone()),
            _ => None,
        };
        self.entries.values().filter_map(id).collect()
    }

    /// All names.
    pub(crate) fn names(&self) -> Names {
        let mut names = Names::new();
        for cached in self.entries.values() {
            if let Ok(Record::Name(network, host, endpoint, named)) = &cached.record {
                let key = (host.clone(), endpoint.clone());
                names.entry(network.clone()).or_default().insert(key, named.clone());
            }
        }
        names
    }
}

fn is_at(key: &str, prefix: &str) -> bool {
    match prefix.ends_with('/') {
        true => key.starts_with(prefix),
        false => key == prefix,
    }
}

fn read(key: &Key, entry: &Entry) -> Result<Record, BadRecord> {
    let value = &entry.value;
    Ok(match key {
        Key::Config => Record::Config(Config::parse(value)?),
        Key::Index => Record::Index(Index::parse(value)?),
        Key::Net(name) => Record::Net(records::network(name, value)?),
        Key::Host(id) => Record::Host(HostRecord::parse(id, value)?),
        // Whatever it says, the host is there.
        Key::Alive(id) => Record::Alive(id.clone()),
        Key::Block(network, cidr) => {
            Record::Block(network.clone(), records::block(*cidr, value, entry.created)?.0)
        }
        Key::Name(network, id, endpoint) => {
            Record::Name(network.clone(), id.clone(), endpoint.clone(), Named::parse(value)?)
        }
    })
}
