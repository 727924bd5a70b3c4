//! Making the caches of a table from its slots: after a crash, and to make room.

use crate::checksum::crc32;
use crate::error::StoreError;
use crate::table::header::{LEAST_CAPACITY, MOST_CAPACITY};
use crate::table::index::{self, Draft, Pointer};
use crate::table::slot::{self, Record, State};
use crate::table::{FREE_ENTRY, Fault, Table, address_tag, owner_tag, slot_at, undamaged};

/// The longest row of free slots that a rebuild leaves for names of several slots.
const LEAST_ROW: usize = 64;

/// What a rebuild has to know of a slot.
struct Brief {
    slot: u32,
    parts: u16,
    sequence: u64,
    since: i64,
    is_held: bool,
    is_v6: bool,
    address: u128,
    address_tag: u64,
    owner_tag: u64,
}

impl Brief {
    fn new(slot: u32, record: &Record) -> Self {
        Self {
            slot,
            parts: record.parts(),
            sequence: record.sequence,
            since: record.since,
            is_held: record.state == State::Held,
            is_v6: record.address.is_ipv6(),
            address: crate::span::number(record.address),
            address_tag: address_tag(record.address),
            owner_tag: owner_tag(&record.owner),
        }
    }

    fn end(&self) -> u32 {
        self.slot + u32::from(self.parts)
    }
}

/// Sorts by whatever `key` says. One function for all orders, since sorting is much code.
fn order(briefs: &mut [Brief], key: fn(&Brief) -> (bool, u128, u64)) {
    briefs.sort_unstable_by_key(key);
}

impl Table {
    /// Writes all caches anew. With `room` for so many slots in a row: forgets freed addresses
    /// whose quarantine is over, and doubles the capacity when more than three quarters of it are
    /// used all the same.
    pub(super) fn rebuild(&mut self, room: u16) -> Result<(), StoreError> {
        // Whatever the header says: slots may lie behind the capacity that it knows, because a
        // power loss keeps some pages and not others.
        let length = self
            .file
            .metadata()
            .map_err(|source| StoreError::io("look at", &self.path, source))?
            .len();
        let was_dirty = self.is_dirty;
        if length > 0 {
            self.write(&[1], super::header::DIRTY_AT)?;
        }
        let mut briefs = Vec::new();
        self.scan(length / slot::SIZE as u64, |slot, record| {
            briefs.push(Brief::new(slot, &record));
        })?;
        let highest = briefs.iter().map(|brief| brief.sequence.saturating_add(1)).max();
        self.header.sequence = self.header.sequence.max(highest.unwrap_or(1));
        self.keep_newest(&mut briefs)?;
        if room > 0 {
            let forget_before = self.forget_before;
            briefs.retain(|brief| brief.is_held || brief.since > forget_before);
        }
        let free = self.lay_out(&mut briefs, room)?;
        let write = self.write_caches(&briefs, &free);
        undamaged(write)?.ok_or_else(|| StoreError::Damaged { path: self.path.clone() })?;
        // Until the commit the caches count as wrong, if they did before.
        self.write(&self.header.encode(!was_dirty), 0)
    }

    /// Of several slots for one address only the newest is right. The others are wiped, or they
    /// would come back one day.
    fn keep_newest(&self, briefs: &mut Vec<Brief>) -> Result<(), StoreError> {
        order(briefs, |brief| (brief.is_v6, brief.address, !brief.sequence));
        let mut wiped = Vec::new();
        briefs.dedup_by(|older, newer| {
            let same = (older.is_v6, older.address) == (newer.is_v6, newer.address);
            if same {
                wiped.push(older.slot);
            }
            same
        });
        wiped.iter().try_for_each(|slot| self.write(&[0; slot::SIZE], slot_at(*slot)))
    }

    /// Sets capacity and counts; answers which slots below the last used one are free, the longest
    /// row of them left out.
    fn lay_out(&mut self, briefs: &mut [Brief], room: u16) -> Result<Vec<u32>, StoreError> {
        order(briefs, |brief| (false, brief.slot.into(), 0));
        let mut gaps = Vec::new();
        let mut end = 0;
        for brief in briefs.iter() {
            if brief.slot > end {
                gaps.push(end..brief.slot);
            }
            end = end.max(brief.end());
        }
        let used: u64 = briefs.iter().map(|brief| u64::from(brief.parts)).sum();
        let longest_gap = gaps.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        // A row that is hardly longer than what is asked for would be used up at once.
        let row = if room > 1 { usize::from(room).max(LEAST_ROW) } else { 0 };
        let fits = |capacity: u32| {
            let has_row = end <= capacity && longest_gap.max((capacity - end) as usize) >= row;
            has_row && (room == 0 || used * 4 <= u64::from(capacity) * 3)
        };
        let mut capacity = self.header.capacity.max(LEAST_CAPACITY);
        while !fits(capacity) {
            capacity *= 2;
            if capacity > MOST_CAPACITY {
                return Err(StoreError::TableFull { path: self.path.clone() });
            }
        }
        gaps.push(end..capacity);
        let longest = (0..gaps.len()).max_by_key(|at| gaps[*at].len()).unwrap_or(0);
        let row = gaps.remove(longest);
        // The list is used from its end; the lowest slots first keeps the file compact.
        let free: Vec<u32> = gaps.into_iter().flatten().rev().filter(|slot| *slot < end).collect();
        self.header.capacity = capacity;
        self.header.fresh = row.start;
        self.header.limit = row.end;
        self.header.end = end;
        self.header.free = free.len() as u32;
        self.header.held = briefs.iter().filter(|brief| brief.is_held).count() as u32;
        self.header.freed = briefs.len() as u32 - self.header.held;
        Ok(free)
    }

    fn write_caches(&self, briefs: &[Brief], free: &[u32]) -> Result<(), Fault> {
        let count = index::sectors_for(self.header.capacity);
        let mut owners = Draft::new(count);
        let mut addresses = Draft::new(count);
        for brief in briefs {
            let pointer = Pointer::new(brief.slot, brief.is_held, brief.is_v6);
            if brief.is_held {
                index::insert(&mut owners, brief.owner_tag, pointer)?;
            }
            index::insert(&mut addresses, brief.address_tag, pointer)?;
        }
        self.write(&owners.finish(), self.owners_at())?;
        self.write(&addresses.finish(), self.addresses_at())?;
        let mut list = Vec::with_capacity(free.len() * FREE_ENTRY as usize);
        for (place, slot) in free.iter().enumerate() {
            let slot = slot.to_le_bytes();
            list.extend_from_slice(&slot);
            list.extend_from_slice(&crc32(place as u32, &slot).to_le_bytes());
        }
        Ok(self.write(&list, self.free_list_at())?)
    }
}
