//! The lease table: a fixed-slot file of which the slots are the truth.
//!
//! | bytes | |
//! |---|---|
//! | 0..4096 | header (`header.rs`) |
//! | then capacity × 256 | slots (`slot.rs`) |
//! | then | index of owners, index of addresses (`index.rs`), list of free slots |
//!
//! Everything but the slots is a cache. A writer sets the dirty byte, writes slots, then indexes,
//! then the header with the byte cleared, so whoever finds it set rebuilds the caches from the
//! slots (`rebuild.rs`). The same happens when a checksum is wrong, and once after each boot,
//! since a power loss keeps some pages and not others. The file is sparse and only ever grows in
//! place: slots never move, the caches are written anew behind them.

mod file;
mod foreign;
mod header;
mod index;
mod rebuild;
mod search;
mod slot;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::checksum::{crc32, hash};
use crate::error::StoreError;
use crate::lease::{BootId, Host, Owner};
use crate::span;
use file::{CHUNK_SLOTS, FileSectors, read_up_to, scan, slot_at, write};
use header::Header;
use index::{Pointer, SECTOR};
use slot::Head;

pub(crate) use foreign::Foreign;
pub(crate) use header::Seen;
pub(crate) use search::Quarantine;
pub(crate) use slot::{FileMark, MAX_OWNER_BYTES, Record, State, moment, nanoseconds};

/// Bytes of an entry of the list of free slots: slot, checksum.
const FREE_ENTRY: u64 = 8;

/// Why a step inside the table failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A cache contradicts itself or a slot; rebuilding helps.
    Damaged,
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The kernel writes when it likes: killed processes lose nothing, a power loss may lose
    /// leases whose containers it killed as well.
    #[default]
    Lazy,
    /// The lease is on the disk when the call returns.
    Fsync,
}

/// What a file turned out to be.
pub(crate) enum Opened {
    Known(Table),
    /// A table of a later version.
    Newer(Foreign),
}

/// A lease to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewLease {
    pub(crate) address: IpAddr,
    pub(crate) owner: Owner,
    pub(crate) boot: Option<BootId>,
    /// Nanoseconds since 1970.
    pub(crate) since: i64,
    pub(crate) file: FileMark,
}

impl NewLease {
    fn into_record(self, sequence: u64) -> Record {
        Record {
            state: State::Held,
            address: self.address,
            owner: self.owner,
            sequence,
            boot: self.boot,
            since: self.since,
            file: self.file,
        }
    }
}

/// An open lease table whose lock the caller holds.
#[derive(Debug)]
pub(crate) struct Table {
    file: File,
    path: PathBuf,
    header: Header,
    /// Freed slots that are older, in nanoseconds since 1970, may be given to other addresses.
    forget_before: i64,
    is_dirty: bool,
    was_healed: bool,
}

impl Table {
    /// The table in `file`, which is empty or has been written by any version, in any state.
    pub(crate) fn open(file: File, path: &Path, host: &Host) -> Result<Opened, StoreError> {
        let mut page = vec![0; header::SIZE];
        let length = read_up_to(&file, path, &mut page, 0)?;
        let header = Header::read(&page[..length]);
        if let header::Read::Newer(layout) = header {
            return Ok(Opened::Newer(Foreign::new(file, path, layout)));
        }
        let mut table = Self {
            file,
            path: path.to_owned(),
            header: Header::new(host.boot),
            forget_before: nanoseconds(host.now),
            is_dirty: false,
            was_healed: false,
        };
        match header {
            header::Read::Good(header, true) if header.boot == host.boot && host.boot.is_some() => {
                table.header = header;
            }
            header::Read::Good(header, _) => {
                table.header = header;
                if table.header.boot != host.boot {
                    // A power loss may have kept a file's times and lost its bytes.
                    table.header.seen = None;
                }
                table.header.boot = host.boot;
                table.repair()?;
            }
            _ if length == 0 => {}
            _ => table.repair()?,
        }
        Ok(Opened::Known(table))
    }

    /// Keeps freed slots that are younger than `moment` (nanoseconds since 1970) for their
    /// addresses, so that a quarantine can be told.
    pub(crate) fn remember_since(&mut self, moment: i64) {
        self.forget_before = moment;
    }

    /// Whether the caches had to be rebuilt since this was last asked. Then leases may be missing
    /// that another source still knows.
    pub(crate) fn take_healed(&mut self) -> bool {
        std::mem::take(&mut self.was_healed)
    }

    /// Addresses held.
    pub(crate) fn held(&self) -> u32 {
        self.header.held
    }

    /// What the table knows of the directory that it indexes.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.header.seen
    }

    /// Sets what the table knows of the directory; takes effect with the commit.
    pub(crate) fn set_seen(&mut self, seen: Option<Seen>) {
        self.header.seen = seen;
    }

    /// The address that set number `set` handed out last.
    pub(crate) fn cursor(&self, set: usize) -> Option<IpAddr> {
        self.header.cursor(set)
    }

    /// Remembers that set number `set` handed out `last`; takes effect with the commit.
    pub(crate) fn set_cursor(&mut self, set: usize, last: IpAddr) {
        self.header.set_cursor(set, last);
    }

    /// Leases that `owner` holds, with their slots.
    pub(crate) fn of_owner(&mut self, owner: &Owner) -> Result<Vec<(u32, Record)>, StoreError> {
        if self.header.end == 0 {
            return Ok(Vec::new());
        }
        self.healing(|table| {
            let mut leases = Vec::new();
            for pointer in index::find(&table.owners(), owner_tag(owner))? {
                let record = table.record(pointer.slot())?.ok_or(Fault::Damaged)?;
                if record.state != State::Held || owner_tag(&record.owner) != owner_tag(owner) {
                    return Err(Fault::Damaged);
                }
                if record.owner == *owner {
                    leases.push((pointer.slot(), record));
                }
            }
            Ok(leases)
        })
    }

    /// The slot of `address`, held or freed.
    pub(crate) fn of_address(
        &mut self,
        address: IpAddr,
    ) -> Result<Option<(u32, Record)>, StoreError> {
        if self.header.end == 0 {
            return Ok(None);
        }
        self.healing(|table| {
            for pointer in index::find(&table.addresses(), address_tag(address))? {
                let record = table.record(pointer.slot())?.ok_or(Fault::Damaged)?;
                if address_tag(record.address) != address_tag(address)
                    || (record.state == State::Held) != pointer.is_held()
                {
                    return Err(Fault::Damaged);
                }
                if record.address == address {
                    return Ok(Some((pointer.slot(), record)));
                }
            }
            Ok(None)
        })
    }

    /// All addresses that are held.
    pub(crate) fn leases(&mut self) -> Result<Vec<(u32, Record)>, StoreError> {
        self.healing(|table| {
            let mut leases = Vec::with_capacity(table.header.held as usize);
            table.scan(u64::from(table.header.end), |slot, record| {
                if record.is_held() {
                    leases.push((slot, record));
                }
            })?;
            let is_whole = leases.len() == table.header.held as usize;
            if is_whole { Ok(leases) } else { Err(Fault::Damaged) }
        })
    }

    /// The folder that the table is in.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Whether changes wait for their commit.
    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Writes `found` and frees `gone` at `now` (nanoseconds since 1970), however many they are,
    /// at the price of making all caches anew. A lease found for an address that has a slot
    /// already takes its place.
    pub(crate) fn replace_many(
        &mut self,
        found: Vec<NewLease>,
        gone: Vec<(u32, Record)>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.begin()?;
        for (slot, mut record) in gone {
            record.state = State::Freed;
            record.since = now;
            record.sequence = self.next_sequence();
            self.write(&record.encode(slot), slot_at(slot))?;
        }
        // Slots overwrite the caches behind them, which are made anew further back.
        let mut slot = self.header.end;
        let mut pending = Vec::new();
        let mut begins_at = slot;
        for lease in found {
            let record = lease.into_record(self.next_sequence());
            pending.extend(record.encode(slot));
            slot += u32::from(record.parts());
            if slot - begins_at >= CHUNK_SLOTS {
                self.write(&pending, slot_at(begins_at))?;
                pending.clear();
                begins_at = slot;
            }
        }
        self.write(&pending, slot_at(begins_at))?;
        self.rebuild(0)
    }

    /// Begins to change the table: from here to the commit, its caches count as wrong.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        if self.is_dirty {
            return Ok(());
        }
        if self.header.end == 0 {
            // New or empty: the caches have to be there before the first search.
            self.rebuild(0)?;
        }
        self.write(&[1], header::DIRTY_AT)?;
        self.is_dirty = true;
        Ok(())
    }

    /// Ends a change. Without one there is nothing to do.
    pub(crate) fn commit(&mut self, durability: Durability) -> Result<(), StoreError> {
        if !self.is_dirty {
            return Ok(());
        }
        self.write(&self.header.encode(true), 0)?;
        self.is_dirty = false;
        if durability == Durability::Fsync {
            self.file
                .sync_data()
                .map_err(|source| StoreError::io("write to disk", &self.path, source))?;
        }
        Ok(())
    }

    /// Writes `lease`. The slot that its address had is used again.
    pub(crate) fn put(&mut self, lease: NewLease) -> Result<(), StoreError> {
        self.begin()?;
        let mut record = lease.into_record(0);
        let parts = record.parts();
        let mut previous = self.of_address(record.address)?;
        let slot = match &previous {
            Some((slot, old)) if old.parts() >= parts => *slot,
            _ => {
                let slot = self.claim(parts)?;
                // Claiming may have made room by forgetting freed slots.
                previous = self.of_address(record.address)?;
                slot
            }
        };
        record.sequence = self.next_sequence();
        self.write(&record.encode(slot), slot_at(slot))?;
        if let Some((old, _)) = previous.as_ref().filter(|(old, _)| *old != slot) {
            self.write(&[0; slot::SIZE], slot_at(*old))?;
        }
        self.or_rebuild(|table| table.file_under_both(slot, &record, previous.as_ref()))
    }

    /// Frees the address in `slot`, which `record` describes, at `now` (nanoseconds since 1970).
    pub(crate) fn release(
        &mut self,
        slot: u32,
        record: &Record,
        now: i64,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let mut freed = record.clone();
        freed.state = State::Freed;
        freed.since = now;
        freed.sequence = self.next_sequence();
        self.write(&freed.encode(slot), slot_at(slot))?;
        self.or_rebuild(|table| {
            index::remove(&mut table.owners(), owner_tag(&record.owner), slot)?;
            let tag = address_tag(record.address);
            let v6 = record.address.is_ipv6();
            index::remove(&mut table.addresses(), tag, slot)?;
            index::insert(&mut table.addresses(), tag, Pointer::new(slot, false, v6))?;
            table.header.held = table.header.held.checked_sub(1).ok_or(Fault::Damaged)?;
            table.header.freed += 1;
            Ok(())
        })
    }

    fn file_under_both(
        &mut self,
        slot: u32,
        record: &Record,
        previous: Option<&(u32, Record)>,
    ) -> Result<(), Fault> {
        let tag = address_tag(record.address);
        if let Some((old_slot, old)) = previous {
            index::remove(&mut self.addresses(), tag, *old_slot)?;
            let count = if old.state == State::Held {
                index::remove(&mut self.owners(), owner_tag(&old.owner), *old_slot)?;
                &mut self.header.held
            } else {
                &mut self.header.freed
            };
            *count = count.checked_sub(1).ok_or(Fault::Damaged)?;
        }
        let pointer = Pointer::new(slot, true, record.address.is_ipv6());
        index::insert(&mut self.owners(), owner_tag(&record.owner), pointer)?;
        index::insert(&mut self.addresses(), tag, pointer)?;
        self.header.held += 1;
        Ok(())
    }

    /// A row of `parts` slots that nothing uses.
    fn claim(&mut self, parts: u16) -> Result<u32, StoreError> {
        self.healing(|table| {
            if parts == 1 && table.header.free > 0 {
                return table.pop_free();
            }
            if u32::from(parts) > table.header.limit - table.header.fresh {
                table.rebuild(parts)?;
                if parts == 1 && table.header.free > 0 {
                    return table.pop_free();
                }
            }
            let slot = table.header.fresh;
            table.header.fresh += u32::from(parts);
            table.header.end = table.header.end.max(table.header.fresh);
            Ok(slot)
        })
    }

    fn pop_free(&mut self) -> Result<u32, Fault> {
        let place = self.header.free - 1;
        let mut entry = [0; FREE_ENTRY as usize];
        let at = self.free_list_at() + u64::from(place) * FREE_ENTRY;
        let length = read_up_to(&self.file, &self.path, &mut entry, at)?;
        let slot = slot::u32_at(&entry, 0);
        let intact = length == entry.len()
            && slot::u32_at(&entry, 4) == crc32(place, &entry[..4])
            && slot < self.header.end;
        if !intact || self.record(slot)?.is_some_and(|record| record.state == State::Held) {
            return Err(Fault::Damaged);
        }
        self.header.free = place;
        Ok(slot)
    }

    fn next_sequence(&mut self) -> u64 {
        let sequence = self.header.sequence;
        self.header.sequence += 1;
        sequence
    }

    /// Runs `step`, and once more after a repair when it finds damage.
    fn healing<T>(
        &mut self,
        step: impl Fn(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let outcome = step(self);
        if let Some(value) = undamaged(outcome)? {
            return Ok(value);
        }
        self.repair()?;
        let again = step(self);
        undamaged(again)?.ok_or_else(|| StoreError::Damaged { path: self.path.clone() })
    }

    /// Runs `step`, whose effect on the caches a rebuild has as well.
    fn or_rebuild(
        &mut self,
        step: impl Fn(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), StoreError> {
        let outcome = step(self);
        match undamaged(outcome)? {
            Some(()) => Ok(()),
            None => self.repair(),
        }
    }

    /// Rebuilds because something was wrong.
    fn repair(&mut self) -> Result<(), StoreError> {
        self.was_healed = true;
        self.header.seen = self.header.seen.map(|seen| Seen { is_proof: false, ..seen });
        self.rebuild(0)
    }

    /// The lease in slot number `slot`, if it is an intact one.
    fn record(&self, slot: u32) -> Result<Option<Record>, Fault> {
        let mut bytes = vec![0; slot::SIZE];
        let length = read_up_to(&self.file, &self.path, &mut bytes, slot_at(slot))?;
        match slot::head(&bytes[..length], slot) {
            Head::Lease(1) => Ok(Record::decode(&bytes, slot)),
            Head::Lease(parts) => {
                bytes.resize(usize::from(parts) * slot::SIZE, 0);
                let length = read_up_to(&self.file, &self.path, &mut bytes, slot_at(slot))?;
                Ok(Record::decode(&bytes[..length], slot))
            }
            Head::Blank | Head::Other => Ok(None),
        }
    }

    /// Shows `visit` every intact lease in the first `slots` slots.
    fn scan(&self, slots: u64, visit: impl FnMut(u32, Record)) -> Result<(), StoreError> {
        scan(&self.file, &self.path, slots, visit)
    }

    fn owners(&self) -> FileSectors<'_> {
        self.sectors(self.owners_at())
    }

    fn addresses(&self) -> FileSectors<'_> {
        self.sectors(self.addresses_at())
    }

    fn sectors(&self, at: u64) -> FileSectors<'_> {
        let count = index::sectors_for(self.header.capacity);
        FileSectors { file: &self.file, path: &self.path, at, count }
    }

    fn owners_at(&self) -> u64 {
        slot_at(self.header.capacity)
    }

    fn addresses_at(&self) -> u64 {
        self.owners_at() + u64::from(index::sectors_for(self.header.capacity)) * SECTOR as u64
    }

    fn free_list_at(&self) -> u64 {
        self.addresses_at() + u64::from(index::sectors_for(self.header.capacity)) * SECTOR as u64
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), StoreError> {
        write(&self.file, &self.path, bytes, at)
    }
}

/// Under what an owner is filed.
fn owner_tag(owner: &Owner) -> u64 {
    match &owner.ifname {
        Some(ifname) => hash(&[owner.container.as_bytes(), ifname.as_bytes()]),
        None => hash(&[owner.container.as_bytes()]),
    }
}

/// Under what an address is filed: the address itself for IPv4, for IPv6 its low half with the
/// high half mixed in, so that a search can tell addresses of one prefix apart by tag alone.
fn address_tag(address: IpAddr) -> u64 {
    let number = span::number(address);
    search::fold(address.is_ipv6(), number) ^ number as u64
}

/// `None` when damage is all that went wrong.
fn undamaged<T>(outcome: Result<T, Fault>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Damaged) => Ok(None),
        Err(Fault::Store(error)) => Err(error),
    }
}
