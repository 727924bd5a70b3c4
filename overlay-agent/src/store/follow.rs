//! Which parts of the store the agent follows, and taking over what they bring.

use std::collections::BTreeMap;

use peers::HostId;
use tokio::time::Instant;
use types::NetworkName;

use super::Interest;
use super::agent::Agent;
use super::cache::{Listing, Loss};
use super::error::StoreError;
use super::etcd::{Change, Connection, News, Subtree, Want, Watch};

/// A subtree that is followed.
pub(super) struct Tracked {
    pub(super) subtree: Subtree,
    /// The revision of its listing: changes up to it are known.
    pub(super) listed: i64,
}

impl Agent {
    /// Lists everything of interest at one revision.
    pub(super) async fn list_all(
        &mut self,
        etcd: &Connection,
        loss: Loss,
    ) -> Result<(), StoreError> {
        if self.subtrees.is_empty() {
            let keys = &self.config.keys;
            let base = [keys.config(), keys.index(), keys.nets(), keys.hosts(), keys.alive_all()];
            base.into_iter().for_each(|prefix| self.track(prefix));
            let wanted = self.asked.interest.borrow_and_update().clone();
            for prefix in self.prefixes(&wanted) {
                self.track(prefix);
            }
        }
        let mut revision = 0;
        let mut listings = Vec::new();
        for tracked in &self.subtrees {
            let prefix = tracked.subtree.prefix.clone();
            let (entries, at) = etcd.list(&prefix, Want::Values, revision).await?;
            revision = at;
            listings.push(Listing { prefix, entries });
        }
        self.cache.relist(listings, revision, loss);
        for tracked in &mut self.subtrees {
            tracked.listed = revision;
            tracked.subtree.from = revision;
        }
        self.listed = Some(Instant::now());
        self.told.confirmed.send_replace(Some(Instant::now()));
        self.changed();
        Ok(())
    }

    fn prefixes(&self, wanted: &BTreeMap<NetworkName, Interest>) -> Vec<String> {
        let keys = &self.config.keys;
        let mut prefixes = Vec::new();
        for (network, interest) in wanted {
            prefixes.push(keys.blocks(network));
            if *interest == Interest::BlocksAndNames {
                prefixes.push(keys.names(network));
            }
        }
        prefixes
    }

    /// Looks for names of ours in networks that are not followed: they are from before this host was
    /// started, and deleted with what else is stale.
    pub(super) async fn find_strays(
        &mut self,
        etcd: &Connection,
        own: &HostId,
    ) -> Result<(), StoreError> {
        let networks: Vec<NetworkName> = self.cache.view().networks.into_keys().collect();
        for network in networks {
            let all = self.config.keys.names(&network);
            if self.subtrees.iter().any(|tracked| tracked.subtree.prefix == all) {
                continue;
            }
            match etcd.list(&format!("{all}{own}/"), Want::Values, 0).await {
                Ok((entries, _)) => entries.into_iter().for_each(|entry| self.cache.put(entry)),
                // Of another network than this host may use.
                Err(error) if error.is_denied() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn track(&mut self, prefix: String) {
        self.next_id += 1;
        let subtree = Subtree { id: self.next_id, prefix, from: 0 };
        self.subtrees.push(Tracked { subtree, listed: 0 });
    }

    /// Begins and ends to follow what was asked for since.
    pub(super) async fn follow_interest(
        &mut self,
        etcd: &Connection,
        watch: &Watch,
    ) -> Result<(), StoreError> {
        let wanted = self.asked.interest.borrow_and_update().clone();
        let wanted = self.prefixes(&wanted);
        let (blocks, names) = (self.config.keys.all_blocks(), self.config.keys.all_names());
        let optional = |prefix: &str| prefix.starts_with(&blocks) || prefix.starts_with(&names);
        let own = self.asked.me.borrow().host.id.clone();
        for tracked in &self.subtrees {
            let prefix = &tracked.subtree.prefix;
            if optional(prefix) && !wanted.contains(prefix) {
                watch.remove(tracked.subtree.id)?;
                self.cache.forget(prefix, &own);
            }
        }
        self.subtrees.retain(|tracked| {
            let prefix = &tracked.subtree.prefix;
            !optional(prefix) || wanted.contains(prefix)
        });
        for prefix in wanted {
            if !self.subtrees.iter().any(|tracked| tracked.subtree.prefix == prefix) {
                self.track(prefix);
                let place = self.subtrees.len() - 1;
                self.list_one(etcd, watch, place).await?;
            }
        }
        self.tell();
        self.due.names.get_or_insert(Instant::now());
        Ok(())
    }

    /// Lists one subtree and follows it from there, under a new number.
    async fn list_one(
        &mut self,
        etcd: &Connection,
        watch: &Watch,
        place: usize,
    ) -> Result<(), StoreError> {
        let prefix = self.subtrees[place].subtree.prefix.clone();
        let (entries, revision) = etcd.list(&prefix, Want::Values, 0).await?;
        let revision_before = self.cache.revision;
        self.cache.relist(vec![Listing { prefix, entries }], revision, Loss::None);
        self.cache.revision = revision.max(revision_before);
        self.next_id += 1;
        let tracked = &mut self.subtrees[place];
        tracked.listed = revision;
        tracked.subtree.id = self.next_id;
        // Not the next one: newer members of etcd tell no progress of a watch that begins in the
        // future (etcd-io/etcd#20229), and what is of this one is known.
        tracked.subtree.from = revision;
        watch.add(&tracked.subtree)?;
        self.changed();
        Ok(())
    }

    pub(super) async fn take(
        &mut self,
        etcd: &Connection,
        watch: &Watch,
        news: News,
    ) -> Result<(), StoreError> {
        let find = |id: i64| move |tracked: &Tracked| tracked.subtree.id == id;
        match news {
            News::Alive => {}
            News::Compacted(id) => {
                if let Some(place) = self.subtrees.iter().position(find(id)) {
                    self.list_one(etcd, watch, place).await?;
                }
            }
            News::Changes(id, changes) => {
                // Of a subtree that is not followed any more a few may still come.
                let Some(place) = self.subtrees.iter().position(find(id)) else { return Ok(()) };
                let listed = self.subtrees[place].listed;
                for change in changes {
                    let revision = match &change {
                        Change::Put(entry) => entry.modified,
                        Change::Gone(_, revision) => *revision,
                    };
                    self.displaced |= self.displaces(&change);
                    if revision > listed {
                        self.subtrees[place].subtree.from = revision + 1;
                        self.cache.apply(change);
                    }
                }
                self.changed();
            }
        }
        Ok(())
    }

    /// Whether a change says that our presence is gone, or another's.
    fn displaces(&self, change: &Change) -> bool {
        let Some((actor, registered)) = &self.actor else { return false };
        let own = self.config.keys.alive(&actor.id);
        match change {
            Change::Put(entry) => {
                entry.key == own && entry.modified > *registered && entry.lease != actor.lease
            }
            Change::Gone(key, revision) => *key == own && revision > registered,
        }
    }
}
