//! One open store: a table, and for host-local the directory of which it is the index.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::directory::{Content, Directory};
use crate::error::StoreError;
use crate::lease::{Host, Lease, Owner};
use crate::span::Span;
use crate::table::{
    Durability, FileMark, NewLease, Quarantine, Record, Seen, Table, moment, nanoseconds,
};

/// With more changes than this the table's caches are made anew instead of changed one by one.
const MANY: usize = 64;

/// An open store whose locks we hold.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    table: Table,
    directory: Option<Directory>,
    host: &'a Host,
    durability: Durability,
    /// The directory has been listed since we hold its lock.
    was_listed: bool,
}

/// A lease and the slot it is in.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) slot: u32,
    pub(crate) record: Record,
}

/// Whether a change could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Change {
    Made,
    /// The directory is not as the table has it. Relist it and look again.
    Contradicted,
}

impl<'a> Ledger<'a> {
    /// The store of `table`, which indexes `directory` where there is one.
    pub(crate) fn open(
        table: Table,
        directory: Option<Directory>,
        host: &'a Host,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        let mut ledger = Self { table, directory, host, durability, was_listed: false };
        ledger.trust_or_relist()?;
        Ok(ledger)
    }

    fn trust_or_relist(&mut self) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let is_trusted = match self.table.seen() {
            Some(Seen { directory: known, is_proof: true, .. }) => known == directory.mark()?,
            _ => false,
        };
        if is_trusted { Ok(()) } else { self.relist() }
    }

    /// Makes the table agree with the directory, whatever happened to either. Says whether there
    /// was anything to look at that had not been looked at since we hold the lock.
    pub(crate) fn relist_once(&mut self) -> Result<bool, StoreError> {
        if self.was_listed || self.directory.is_none() {
            return Ok(false);
        }
        self.relist()?;
        Ok(true)
    }

    /// Lists the directory and reads the files that may have changed since the table was exact.
    pub(crate) fn relist(&mut self) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        self.table.begin()?;
        let exact_at = self.table.seen().map_or(i64::MIN, |seen| seen.exact_at);
        let mut known: HashMap<IpAddr, (u32, Record)> = self
            .table
            .leases()?
            .into_iter()
            .map(|(slot, record)| (record.address, (slot, record)))
            .collect();
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for listed in directory.list()? {
            let before = known.remove(&listed.address);
            if let Some((_, record)) = &before
                && listed.is_unchanged(record.file, &record.owner, exact_at)
            {
                continue;
            }
            let mark = listed.mark();
            match directory.read(listed.address)? {
                Content::Missing => gone.extend(before),
                // Its writer died before it wrote, or power was lost: nobody can hold this.
                Content::Torn => {
                    directory.remove(listed.address)?;
                    gone.extend(before);
                }
                Content::Lease(owner) => {
                    let before = before.map(|(_, record)| record);
                    found.push(rediscovered(listed.address, owner, mark, before));
                }
            }
        }
        let now = nanoseconds(self.host.now);
        gone.extend(known.into_values());
        if found.len() + gone.len() > MANY {
            self.table.replace_many(found, gone, now)?;
        } else {
            gone.iter().try_for_each(|(slot, record)| self.table.release(*slot, record, now))?;
            found.into_iter().try_for_each(|lease| self.table.put(lease))?;
        }
        self.was_listed = true;
        self.table.take_healed();
        Ok(())
    }

    /// What `owner` holds, by exactly this name.
    pub(crate) fn of_owner(&mut self, owner: &Owner) -> Result<Vec<Entry>, StoreError> {
        let leases = self.looking(|table| table.of_owner(owner))?;
        Ok(leases.into_iter().map(|(slot, record)| Entry { slot, record }).collect())
    }

    /// Who holds `address`.
    pub(crate) fn holder(&mut self, address: IpAddr) -> Result<Option<Entry>, StoreError> {
        let found = self.looking(|table| table.of_address(address))?;
        Ok(found
            .filter(|(_, record)| record.is_held())
            .map(|(slot, record)| Entry { slot, record }))
    }

    /// Everything that is held.
    pub(crate) fn all(&mut self) -> Result<Vec<Entry>, StoreError> {
        let leases = self.looking(Table::leases)?;
        Ok(leases.into_iter().map(|(slot, record)| Entry { slot, record }).collect())
    }

    /// The first address of `spans` that is neither held nor in quarantine.
    pub(crate) fn first_free(
        &mut self,
        spans: &[Span],
        quarantine: Quarantine<'_>,
    ) -> Result<Option<IpAddr>, StoreError> {
        self.looking(|table| table.first_free(spans, quarantine))
    }

    /// Freed addresses keep their slots so long that a quarantine of this length can be told.
    pub(crate) fn remember_since(&mut self, moment: i64) {
        self.table.remember_since(moment);
    }

    /// The lease as callers of the store see it.
    pub(crate) fn lease(&self, record: &Record) -> Lease {
        let since = moment(record.since);
        Lease {
            address: record.address,
            owner: record.owner.clone(),
            since,
            age: self.host.age(record.boot, since),
        }
    }

    /// The address that set number `set` handed out last.
    pub(crate) fn cursor(&self, set: usize) -> Option<IpAddr> {
        match &self.directory {
            Some(directory) => directory.cursor(set),
            None => self.table.cursor(set),
        }
    }

    /// Gives the free `address` of set number `set` to `owner`.
    pub(crate) fn take(
        &mut self,
        set: usize,
        address: IpAddr,
        owner: &Owner,
    ) -> Result<Change, StoreError> {
        let file = match &self.directory {
            None => FileMark::default(),
            Some(directory) => {
                let to_disk = self.durability == Durability::Fsync;
                match directory.create(address, owner, self.table.folder(), to_disk)? {
                    Some(mark) => mark,
                    None => return Ok(Change::Contradicted),
                }
            }
        };
        let put = self.table.put(NewLease {
            address,
            owner: owner.clone(),
            boot: self.host.boot,
            since: nanoseconds(self.host.now),
            file,
        });
        if let Err(error) = put.and_then(|()| self.set_cursor(set, address)) {
            if let Some(directory) = &self.directory {
                directory.remove(address)?;
            }
            return Err(error);
        }
        Ok(Change::Made)
    }

    fn set_cursor(&mut self, set: usize, last: IpAddr) -> Result<(), StoreError> {
        match &self.directory {
            Some(directory) => directory.set_cursor(set, last),
            None => {
                self.table.set_cursor(set, last);
                Ok(())
            }
        }
    }

    /// Gives an address back.
    pub(crate) fn free(&mut self, entry: &Entry) -> Result<Change, StoreError> {
        let Entry { slot, record } = entry;
        if let Some(directory) = &self.directory {
            // The one file is read although the table knows it: an address that somebody else
            // holds by now must not be given away, however it came about.
            match directory.read(record.address)? {
                Content::Lease(owner) if owner == record.owner => {
                    directory.remove(record.address)?;
                }
                Content::Missing => {}
                Content::Lease(_) | Content::Torn => return Ok(Change::Contradicted),
            }
        }
        self.table.release(*slot, record, nanoseconds(self.host.now))?;
        Ok(Change::Made)
    }

    /// Ends the changes that were made, if any.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        if !self.table.is_dirty() {
            return Ok(());
        }
        if let Some(directory) = &self.directory {
            if self.durability == Durability::Fsync {
                directory.sync()?;
            }
            let seen = directory.settle(self.table.seen())?;
            self.table.set_seen(Some(seen));
        }
        self.table.commit(self.durability)
    }

    /// How many addresses are held.
    pub(crate) fn held(&self) -> usize {
        self.table.held() as usize
    }

    /// Why we give up when the directory contradicts its index again and again.
    pub(crate) fn unsettled(&self) -> StoreError {
        let directory = self.directory.as_ref().map(|directory| directory.path().to_owned());
        StoreError::Unsettled { path: directory.unwrap_or_default() }
    }

    /// The directory alone, for a caller that goes on without the index.
    pub(crate) fn into_directory(self) -> Option<Directory> {
        self.directory
    }

    /// Looks something up; a second time when the table had to be repaired meanwhile, because the
    /// directory may know leases that were lost with a slot.
    fn looking<T>(
        &mut self,
        look: impl Fn(&mut Table) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let found = look(&mut self.table)?;
        if self.directory.is_some() && self.table.take_healed() {
            self.relist()?;
            return look(&mut self.table);
        }
        Ok(found)
    }
}

/// The lease in a file that was new or had changed. What the table knew of it stays when it is the
/// same owner's; otherwise another program wrote it.
fn rediscovered(address: IpAddr, owner: Owner, file: FileMark, before: Option<Record>) -> NewLease {
    match before {
        Some(record) if record.owner == owner => {
            NewLease { address, owner, boot: record.boot, since: record.since, file }
        }
        _ => NewLease { address, owner, boot: None, since: file.mtime, file },
    }
}
