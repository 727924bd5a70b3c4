//! Making claims true in the tables, and taking them back.

use std::net::IpAddr;
use std::path::Path;

use cni::GcAttachment;
use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Element, FoundElement, Key, Missing, Set, Table};
use types::{Attachment, Family, IfName, NetworkName};

use crate::claim::{Claim, Claimant, Handle};
use crate::conflict::Conflict;
use crate::elements::{self, CLASS_SETS, Elements, Wanted, owner};
use crate::error::Error;
use crate::kind::{Gone, Kind};
use crate::layout::{self, BRIDGE, INET, Sets};
use crate::resolvers::Moved;
use crate::store::{Locked, Store};
use crate::{agreement, conditional, localnet, policy, rebuild, resolvers, shared};

/// The tables of this host with what is remembered of them.
#[derive(Debug)]
pub struct Filter {
    pub(crate) socket: Socket,
    store: Store,
    boot: String,
    pub(crate) kind: &'static dyn Kind,
}

/// Whose claims are swept.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// Of this network.
    pub network: &'a NetworkName,
    /// All that live, where the caller knows them: then what nobody remembers goes as well. Else
    /// what is proven dead.
    pub valid: Option<&'a [GcAttachment]>,
}

/// What takes the place of what, under the lock.
struct Change<'a> {
    locked: &'a Locked,
    claim: &'a Claim,
    earlier: Option<&'a Claim>,
    evicted: &'a [Conflict],
    moved: Vec<Moved<'a>>,
}

/// What taking a claim back found.
#[derive(Clone, Debug)]
pub struct Removed {
    /// Whose claim.
    pub key: Attachment,
    /// The claim, where one was remembered.
    pub claim: Option<Claim>,
    /// Addresses for which it had rules in the reference's chains, and nobody else has.
    pub addresses: Vec<IpAddr>,
    /// Whether its network has no other.
    pub was_last_of_network: bool,
    /// Whether there is no other on this host.
    pub was_last: bool,
}

impl Filter {
    /// Opens the packet filter of the calling thread's namespace for plugins of a kind, with what is
    /// remembered below `run_dir`.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::File`].
    pub fn open(run_dir: &Path, kind: &'static dyn Kind) -> Result<Self, Error> {
        let boot = cni::record::boot_id().map_err(|source| Error::File {
            verb: "read",
            path: "/proc/sys/kernel/random/boot_id".into(),
            source,
        })?;
        let socket = Socket::open_netfilter("the host's namespace")?;
        Ok(Self { socket, store: Store::under(run_dir), boot, kind })
    }

    /// What is remembered.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The socket, for questions and for connection tracking.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The socket, to be kept open by a child while the kernel frees what was deleted.
    #[must_use]
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// Makes `claim` true and remembers it, or changes nothing.
    ///
    /// A claim of the same plugin for the same attachment is replaced. A port that a dead
    /// attachment holds goes to the new one in the same transaction.
    ///
    /// # Errors
    /// [`Error::Taken`] with the holder of a port, [`Error::Disagrees`] and [`Error::OtherResolver`]
    /// with the other network of a bridge, and what went wrong.
    pub fn add(&self, claim: &Claim) -> Result<(), Error> {
        let locked = self.store.lock()?;
        let earlier = self.store.read(&claim.key, claim.claimant);
        agreement::reach(self, claim)?;
        let evicted = self.evictable(claim)?;
        let moved = resolvers::moved(self, claim)?;
        let followers = policy::followers(self, claim)?;
        let followers = resolvers::lead_along(self, claim, &moved, followers)?;
        locked.write(claim)?;
        let change =
            Change { locked: &locked, claim, earlier: earlier.as_ref(), evicted: &evicted, moved };
        let written = self.write_in_tries(&change);
        let was_written = written.is_ok();
        let done = written
            .and_then(|()| self.kind.add_legacy(claim))
            .and_then(|()| resolvers::admit(self, std::slice::from_ref(claim)))
            .and_then(|()| self.kind.pass(self, std::slice::from_ref(claim)));
        if done.is_err() {
            match &earlier {
                None if was_written => {
                    self.remove_locked(&locked, &claim.key, &[])?;
                }
                None => locked.remove(&claim.key, claim.claimant)?,
                // What was true before stays remembered.
                Some(earlier) => locked.write(earlier)?,
            }
        } else {
            followers.iter().try_for_each(|follower| locked.write(follower))?;
        }
        done
    }

    /// Takes back what the plugin wanted for `key`, remembered or not, also where the reference
    /// made it; nothing there is success. `promised` are the addresses of a container that nobody
    /// remembers.
    ///
    /// # Errors
    /// What went wrong; all else was still tried.
    pub fn remove(&self, key: &Attachment, promised: &[IpAddr]) -> Result<Removed, Error> {
        let locked = self.store.lock()?;
        self.remove_locked(&locked, key, promised)
    }

    /// Takes back what a plugin wanted for attachments of a network that are no longer valid.
    ///
    /// # Errors
    /// What went wrong with the first; all were tried.
    pub fn sweep(&self, of: Sweep<'_>) -> Result<Vec<Removed>, Error> {
        let locked = self.store.lock()?;
        let listed = |key: &Attachment| of.valid.iter().copied().flatten().any(|v| v.covers(key));
        let mut dead: Vec<Attachment> = Vec::new();
        for claim in self.store.of_network(of.network)? {
            let is_dead = match of.valid {
                Some(_) => !listed(&claim.key),
                None => self.is_dead(&claim),
            };
            if claim.claimant == self.kind.claimant() && is_dead {
                dead.push(claim.key);
            }
        }
        if let Some(valid) = of.valid {
            locked.remove_unfinished(of.network);
            for key in shared::owners(&self.socket, self.kind.claimant(), of.network)? {
                if !dead.contains(&key) && !listed(&key) {
                    dead.push(key);
                }
            }
            self.kind.sweep(&self.socket, of.network, valid)?;
        }
        let mut removed = Vec::new();
        let mut failed = None;
        for key in &dead {
            match self.remove_locked(&locked, key, &[]) {
                Ok(one) => removed.push(one),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if locked.has_none_with_chains() {
            // A call may have been killed before it came to that.
            self.kind.tidy(&self.socket)?;
        }
        failed.map_or(Ok(removed), Err)
    }

    /// Whether claims can be made true on this host.
    ///
    /// # Errors
    /// [`Error::Layout`] where a newer cais has the tables, and what the kernel lacks.
    pub fn serviceable(&self) -> Result<(), Error> {
        match self.layout_of(&INET)? {
            Some(found) if found > layout::LAYOUT_NUMBER => {
                let (table, ours) = (INET.to_string(), layout::LAYOUT_NUMBER);
                Err(Error::Layout { table, found, ours })
            }
            _ => Ok(()),
        }
    }

    /// Whether cais turned `route_localnet` of `link` on, and has not turned it off since.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn has_opened(&self, link: &IfName) -> Result<bool, Error> {
        let key = Key::new().ifname(link);
        let found = nft::element(&self.socket, &INET, &[(&layout::OPENED, &key)])?;
        Ok(found.into_iter().flatten().next().is_some())
    }

    /// Whether the attachment of a claim is proven dead.
    #[must_use]
    pub fn is_dead(&self, claim: &Claim) -> bool {
        claim.is_dead(&self.boot)
    }

    /// Writes what is to change. Another program may make the first of the reference's chains at
    /// the same moment; then it is looked at again.
    fn write_in_tries(&self, change: &Change<'_>) -> Result<(), Error> {
        for _ in 1..TRIES {
            match self.write(change) {
                Err(Error::Refused(error)) if error.is_exists() || error.is_busy() => {}
                other => return other,
            }
        }
        self.write(change)
    }

    fn write(&self, change: &Change<'_>) -> Result<(), Error> {
        let Change { locked, claim, earlier, evicted, ref moved } = *change;
        let wanted = elements::of(claim);
        let mut batch = Batch::new();
        let all = || wanted.own.iter().chain(&wanted.shared);
        for (table, mark) in [(&INET, &layout::LAYOUT), (&BRIDGE, &layout::BRIDGE_LAYOUT)] {
            if all().all(|wanted| wanted.table != table) {
                continue;
            }
            if !nft::has_table(&self.socket, table)? {
                // Not found out by a batch: one that fails waits for an RCU grace period.
                return self.write_anew(locked);
            }
            batch.add_element(table, mark, &layout::layout_mark());
        }
        for conflict in evicted {
            batch.del_element(&INET, conflict.set, &as_element(&conflict.found));
        }
        if let Some(earlier) = earlier {
            self.take_back(&mut batch, earlier, &wanted)?;
        }
        self.place_own(&mut batch, &wanted.own, evicted)?;
        self.place_shared(&mut batch, &wanted.shared)?;
        self.leave_other_classes(&mut batch, claim, &wanted)?;
        policy::leave_stricter(&self.socket, &mut batch, claim)?;
        resolvers::leave_old_ports(self, &mut batch, moved)?;
        conditional::add(&mut batch, claim);
        let is_ours = !batch.is_empty();
        let added = self.kind.add(&self.socket, &mut batch, claim, earlier)?;
        match batch.commit_with_handles(&self.socket, Missing::Fail) {
            Ok(handles) => remember_rules(locked, claim, added.handles(&handles))?,
            Err(error) if is_ours && error.is_missing() => self.write_anew(locked)?,
            Err(error) => return Err(error.into()),
        }
        for holder in evicted.iter().filter_map(|c| elements::key_of_owner(c.holder())) {
            if holder != claim.key {
                self.remove_locked(locked, &holder, &[])?;
            }
        }
        Ok(())
    }

    /// Writes the tables with all that is remembered, where they or parts of them are missing.
    fn write_anew(&self, locked: &Locked) -> Result<(), Error> {
        let mut all = rebuild::with_all(self, locked)?;
        all.retain(|claim| claim.claimant == self.kind.claimant());
        self.write_missing_chains(locked, |_| self.kind, &mut all)
    }

    /// What stands in the way of a claim's ports and may go: it is of the same attachment, or of
    /// one that is proven dead.
    fn evictable(&self, claim: &Claim) -> Result<Vec<Conflict>, Error> {
        let mut evictable: Vec<Conflict> = Vec::new();
        for conflict in self.kind.conflicts(&self.socket, claim)? {
            let holder = conflict.holder();
            if holder == owner(&claim.key) {
                continue; // an earlier ADD of the same attachment, whose claim is replaced
            }
            let dead = elements::key_of_owner(holder)
                .and_then(|key| self.store.read(&key, Claimant::Portmap))
                .is_some_and(|claim| self.is_dead(&claim));
            if !dead {
                return Err(Error::taken(&claim.key, conflict.wanted, holder));
            }
            let known =
                |other: &Conflict| other.set == conflict.set && other.found == conflict.found;
            if !evictable.iter().any(known) {
                evictable.push(conflict);
            }
        }
        Ok(evictable)
    }

    /// What of an earlier claim is not wanted any more goes in the same batch.
    fn take_back(
        &self,
        batch: &mut Batch,
        earlier: &Claim,
        wanted: &Elements,
    ) -> Result<(), Error> {
        let old = elements::of(earlier).own;
        let gone: Vec<&Wanted> =
            old.iter().filter(|old| !wanted.own.iter().any(|new| new.is_at(old))).collect();
        self.delete_found(batch, &gone, &owner(&earlier.key))?;
        if earlier.is_conditional() {
            conditional::remove(&self.socket, batch, &earlier.key)?;
        }
        Ok(())
    }

    /// Puts the deletion of those of `list` into the batch that are there and `ours`.
    fn delete_found(&self, batch: &mut Batch, list: &[&Wanted], ours: &str) -> Result<(), Error> {
        for (wanted, found) in list.iter().zip(self.find(list)?) {
            let is_ours = |found: &FoundElement| found.comment.as_deref() == Some(ours);
            if found.is_some_and(|found| is_ours(&found) && wanted.has_key(&found)) {
                batch.del_element(wanted.table, wanted.set, &wanted.element);
            }
        }
        Ok(())
    }

    fn place_own(
        &self,
        batch: &mut Batch,
        list: &[Wanted],
        evicted: &[Conflict],
    ) -> Result<(), Error> {
        let all: Vec<&Wanted> = list.iter().collect();
        for (wanted, found) in list.iter().zip(self.find(&all)?) {
            match found {
                // A wider range of the same container does, too.
                Some(found) if !wanted.has_key(&found) => {
                    let goes = evicted.iter().any(|c| c.set == wanted.set && c.found == found);
                    if !goes && !wanted.is_exclusive() {
                        continue;
                    }
                }
                Some(found) if wanted.is(&found) && wanted.has_owner_of(&found) => continue,
                Some(found) => {
                    let goes = evicted.iter().any(|c| c.set == wanted.set && c.found == found);
                    if !goes {
                        // It is left from an earlier owner of the address.
                        batch.del_element(wanted.table, wanted.set, &wanted.element);
                    }
                }
                None => {}
            }
            batch.add_element(wanted.table, wanted.set, &wanted.element);
        }
        Ok(())
    }

    fn place_shared(&self, batch: &mut Batch, list: &[Wanted]) -> Result<(), Error> {
        let all: Vec<&Wanted> = list.iter().collect();
        for (wanted, found) in list.iter().zip(self.find(&all)?) {
            match found {
                // Another network's does as well, and so does that of a wider subnet.
                Some(found) if wanted.is(&found) || !wanted.has_key(&found) => continue,
                Some(_) => batch.del_element(wanted.table, wanted.set, &wanted.element),
                None if wanted.set.ranges && self.overlaps(wanted)? => continue,
                None => {}
            }
            batch.add_element(wanted.table, wanted.set, &wanted.element);
        }
        Ok(())
    }

    /// Whether a range of the set lies within the one that is wanted: the kernel refuses that.
    fn overlaps(&self, wanted: &Wanted) -> Result<bool, Error> {
        let there = nft::elements(&self.socket, wanted.table, wanted.set)?;
        Ok(there.iter().any(|found| wanted.covers(found)))
    }

    /// A bridge is in the sets of its network's class and in no other: a configuration may change.
    fn leave_other_classes(
        &self,
        batch: &mut Batch,
        claim: &Claim,
        wanted: &Elements,
    ) -> Result<(), Error> {
        let Some(isolation) = &claim.isolation else { return Ok(()) };
        let bridge = Key::new().ifname(&isolation.bridge);
        let others: Vec<(&Set, &Key)> = CLASS_SETS
            .into_iter()
            .filter(|set| !wanted.shared.iter().any(|wanted| wanted.set == *set))
            .map(|set| (set, &bridge))
            .collect();
        let found = nft::element(&self.socket, &INET, &others)?;
        for ((set, key), found) in others.into_iter().zip(found) {
            if found.is_some() {
                batch.del_element(&INET, set, &Element::new(key.clone()));
            }
        }
        Ok(())
    }

    /// As [`Self::remove`], under a lock that is held.
    fn remove_locked(
        &self,
        locked: &Locked,
        key: &Attachment,
        promised: &[IpAddr],
    ) -> Result<Removed, Error> {
        self.remove_as(self.kind, locked, (key, promised))
    }

    /// As that for a plugin of another kind.
    pub(crate) fn remove_as(
        &self,
        kind: &dyn Kind,
        locked: &Locked,
        (key, promised): (&Attachment, &[IpAddr]),
    ) -> Result<Removed, Error> {
        let claimant = kind.claimant();
        let claim = self.store.read(key, claimant);
        let mut batch = Batch::new();
        let ours = owner(key);
        let mut known = promised.to_vec();
        match &claim {
            Some(claim) => {
                let own = elements::of(claim).own;
                self.delete_found(&mut batch, &own.iter().collect::<Vec<_>>(), &ours)?;
            }
            None => {
                known.extend(shared::delete_by_comment(&self.socket, &mut batch, claimant, &ours)?);
            }
        }
        if claimant == Claimant::Portmap && claim.as_ref().is_none_or(Claim::is_conditional) {
            conditional::remove(&self.socket, &mut batch, key)?;
        }
        let forwarded = claim.as_ref().and_then(|claim| claim.forward.as_ref());
        let addresses = forwarded.map_or(&known, |forward| &forward.addresses);
        let own = self.not_of_others(addresses, &ours)?;
        let shared: Vec<IpAddr> =
            addresses.iter().filter(|ip| !own.contains(ip)).copied().collect();
        let removed = Removed {
            key: key.clone(),
            addresses: own,
            was_last_of_network: locked.is_last_of(key, claimant),
            was_last: locked.is_last(key, claimant),
            claim,
        };
        let mut opened = Vec::new();
        if removed.was_last_of_network {
            opened = shared::delete_of_network(self, &mut batch, &key.network)?;
        }
        if let Some(link) = removed.claim.as_ref().and_then(Claim::opened_link)
            && self.is_last_to_have_opened(key, link)?
        {
            opened.push(link.to_string());
        }
        if removed.was_last && removed.claim.is_some() && !self.holds_others(&ours)? {
            batch = Batch::new();
            for table in [&INET, &BRIDGE] {
                // A batch that fails waits for an RCU grace period.
                if nft::has_table(&self.socket, table)? {
                    batch.del_table(table);
                }
            }
        }
        let gone = Gone {
            key,
            claim: removed.claim.as_ref(),
            addresses: &removed.addresses,
            shared: &shared,
            was_last_of_kind: locked.is_last_of_kind(key, claimant),
            others_publish: !locked.is_last_of_kind_on_host(key, Claimant::Portmap),
        };
        kind.remove(&self.socket, &mut batch, &gone)?;
        batch.commit_skipping_missing(&self.socket)?;
        opened.iter().for_each(|link| localnet::close(link));
        resolvers::admit_no_more(self, &removed, claimant)?;
        kind.remove_leftovers(&self.socket, &gone)?;
        if removed.claim.as_ref().is_none_or(Claim::has_chains)
            && locked.is_last_with_chains(key, claimant)
        {
            kind.tidy(&self.socket)?;
        }
        // Last, so that whoever is killed before it is finished by the next call.
        locked.remove(key, claimant)?;
        Ok(removed)
    }

    /// Those of `addresses` that nobody else has by now.
    fn not_of_others(&self, addresses: &[IpAddr], ours: &str) -> Result<Vec<IpAddr>, Error> {
        let places: Vec<(&Set, Key)> = addresses
            .iter()
            .map(|ip| (&Sets::of(Family::of(*ip)).forwarded, Key::new().ip(*ip)))
            .collect();
        let places: Vec<(&Set, &Key)> = places.iter().map(|(set, key)| (*set, key)).collect();
        let found = nft::element(&self.socket, &INET, &places)?;
        // Where the table was flushed nobody else is known.
        let is_ours = |found: Option<FoundElement>| {
            found.is_none_or(|found| found.comment.as_deref() == Some(ours))
        };
        let all = addresses.iter().copied().zip(found);
        Ok(all.filter_map(|(ip, found)| is_ours(found).then_some(ip)).collect())
    }

    /// Whether nothing else says that cais turned `route_localnet` of `link` on: somebody flushed
    /// the tables.
    fn is_last_to_have_opened(&self, key: &Attachment, link: &IfName) -> Result<bool, Error> {
        if self.has_opened(link)? {
            return Ok(false);
        }
        let all = self.store.all()?;
        Ok(!all.iter().any(|other| other.key != *key && other.opened_link() == Some(link)))
    }

    /// Whether the tables hold anything but what `ours` wants; what a newer cais has in them is not
    /// known here.
    fn holds_others(&self, ours: &str) -> Result<bool, Error> {
        let newer = self.layout_of(&INET)?.is_some_and(|found| found > layout::LAYOUT_NUMBER);
        Ok(newer || shared::in_use(&self.socket, ours)?)
    }

    /// What is there at the place of each of `list`.
    pub(crate) fn find(&self, list: &[&Wanted]) -> Result<Vec<Option<FoundElement>>, Error> {
        let mut found = vec![None; list.len()];
        for table in [&INET, &BRIDGE] {
            let places: Vec<usize> =
                (0..list.len()).filter(|&place| list[place].table == table).collect();
            let keys: Vec<(&Set, &Key)> =
                places.iter().map(|&place| (list[place].set, list[place].element.key())).collect();
            if keys.is_empty() {
                continue;
            }
            for (place, one) in places.into_iter().zip(nft::element(&self.socket, table, &keys)?) {
                found[place] = one;
            }
        }
        Ok(found)
    }

    /// Of which layout `table` is; `None` where there is no such table.
    pub(crate) fn layout_of(&self, table: &Table) -> Result<Option<u32>, Error> {
        if !nft::has_table(&self.socket, table)? {
            return Ok(None);
        }
        let number = |name: String| name.strip_prefix(layout::LAYOUT_PREFIX)?.parse().ok();
        let sets = nft::sets(&self.socket, table)?;
        // A table of ours without any is what somebody made of it.
        Ok(Some(sets.into_iter().find_map(number).unwrap_or(0)))
    }
}

/// How often a change is tried that another program keeps interfering with.
const TRIES: u32 = 4;

/// Keeps where the rules of a claim are.
fn remember_rules(locked: &Locked, claim: &Claim, handles: Vec<Handle>) -> Result<(), Error> {
    match handles == claim.handles {
        true => Ok(()),
        false => locked.write(&Claim { handles, ..claim.clone() }),
    }
}

/// `found` as what deletes it.
pub(crate) fn as_element(found: &FoundElement) -> Element {
    let element = Element::new(Key::from_wire(&found.key));
    match found.last.is_empty() {
        true => element,
        false => element.to(Key::from_wire(&found.last)),
    }
}
