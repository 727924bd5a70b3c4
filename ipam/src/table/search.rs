//! Finding the first free address without reading what is held.

use std::net::IpAddr;
use std::time::Duration;

use types::Family;

use crate::checksum::mix;
use crate::error::StoreError;
use crate::lease::Owner;
use crate::span::{self, Span};
use crate::table::index::{self, Pointer, SECTOR, Sector, Sectors};
use crate::table::{Fault, State, Table, address_tag, read_up_to};

/// So many addresses are looked up one by one before a map of all that is held is made.
const SINGLE_LOOKUPS: usize = 24;
/// Sectors that are read at once for that map.
const CHUNK_SECTORS: u32 = 64;

/// Keeps an address that was freed a short while ago from being given to somebody else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quarantine<'a> {
    pub(crate) lasts: Duration,
    /// Nanoseconds since 1970.
    pub(crate) now: i64,
    /// May have its own address back at once.
    pub(crate) owner: &'a Owner,
}

impl Table {
    /// The first address of `spans`, in their order, that is neither held nor in quarantine.
    ///
    /// The cost does not depend on how many are held: mostly the first addresses are free and one
    /// look into the index says so. When a long run is taken the whole index is read once, 1.4 MB
    /// for a full /16, and marks a bitmap of as many addresses as there are entries and one more,
    /// of which at least one must be free.
    pub(crate) fn first_free(
        &mut self,
        spans: &[Span],
        quarantine: Quarantine<'_>,
    ) -> Result<Option<IpAddr>, StoreError> {
        self.healing(|table| {
            if table.header.end == 0 {
                // Nothing was ever held, and there may be no index yet.
                return Ok(spans.first().map(|span| span.first()));
            }
            let mut looked_at = 0;
            for address in spans.iter().flat_map(|span| each(*span)).take(SINGLE_LOOKUPS) {
                looked_at += 1;
                let entries = index::find(&table.addresses(), address_tag(address))?;
                if table.is_free(address, &entries, quarantine)? {
                    return Ok(Some(address));
                }
            }
            if looked_at < SINGLE_LOOKUPS {
                return Ok(None);
            }
            table.first_free_by_map(spans, quarantine)
        })
    }

    fn first_free_by_map(
        &self,
        spans: &[Span],
        quarantine: Quarantine<'_>,
    ) -> Result<Option<IpAddr>, Fault> {
        let may_be_blocked = u128::from(self.header.held) + u128::from(self.header.freed);
        let (windows, is_cut) = windows(spans, may_be_blocked + 1);
        let map = self.map_of_held(&windows)?;
        for window in &windows {
            for offset in 0..window.count {
                let place = window.base + offset;
                if map[place / 8] & (1 << (place % 8)) != 0 {
                    continue;
                }
                let address = window.address(offset);
                if quarantine.lasts.is_zero() {
                    return Ok(Some(address));
                }
                let entries = index::find(&self.addresses(), address_tag(address))?;
                if self.is_free(address, &entries, quarantine)? {
                    return Ok(Some(address));
                }
            }
        }
        // More addresses than entries and none free: the counts are wrong.
        if is_cut { Err(Fault::Damaged) } else { Ok(None) }
    }

    /// A bit for each address of `windows`, set when it is held.
    fn map_of_held(&self, windows: &[Window]) -> Result<Vec<u8>, Fault> {
        let bits = windows.last().map_or(0, |window| window.base + window.count);
        let mut map = vec![0_u8; bits.div_ceil(8)];
        let sectors = self.addresses();
        let mut buffer = vec![0; CHUNK_SECTORS as usize * SECTOR];
        let mut place = 0;
        while place < sectors.count() {
            let wanted = CHUNK_SECTORS.min(sectors.count() - place) as usize * SECTOR;
            let length =
                read_up_to(&self.file, &self.path, &mut buffer[..wanted], sectors.place(place))?;
            if length < wanted {
                return Err(Fault::Damaged);
            }
            for bytes in buffer[..wanted].chunks_exact(SECTOR) {
                let sector = Sector::parse(bytes, place).ok_or(Fault::Damaged)?;
                for (tag, pointer) in sector.entries().filter(|(_, pointer)| pointer.is_held()) {
                    for window in windows {
                        if let Some(bit) = window.place_of(tag, pointer) {
                            map[bit / 8] |= 1 << (bit % 8);
                        }
                    }
                }
                place += 1;
            }
        }
        Ok(map)
    }

    fn is_free(
        &self,
        address: IpAddr,
        entries: &[Pointer],
        quarantine: Quarantine<'_>,
    ) -> Result<bool, Fault> {
        for entry in entries {
            if entry.is_held() {
                // Two IPv6 prefixes may share a tag, once in 2^64; then one address is passed by.
                return Ok(false);
            }
            if quarantine.lasts.is_zero() {
                continue;
            }
            let record = self.record(entry.slot())?.ok_or(Fault::Damaged)?;
            if record.address == address && record.state == State::Freed {
                // A clock that was set back must not make the quarantine longer.
                let age = Duration::from_nanos(quarantine.now.abs_diff(record.since));
                if age < quarantine.lasts && record.owner != *quarantine.owner {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// What an address's high half adds to its tag.
pub(super) fn fold(is_v6: bool, number: u128) -> u64 {
    if is_v6 { mix((number >> 64) as u64) } else { 0 }
}

/// Addresses with a common high half, and their place in a bitmap.
struct Window {
    family: Family,
    first: u128,
    count: usize,
    base: usize,
    fold: u64,
}

impl Window {
    fn address(&self, offset: usize) -> IpAddr {
        span::address(self.family, self.first + offset as u128)
    }

    fn place_of(&self, tag: u64, pointer: Pointer) -> Option<usize> {
        let offset = (tag ^ self.fold).wrapping_sub(self.first as u64);
        let inside = offset < self.count as u64 && pointer.is_v6() == (self.family == Family::V6);
        inside.then_some(self.base + offset as usize)
    }
}

/// The first `budget` addresses of `spans` as windows, and whether there are more.
fn windows(spans: &[Span], budget: u128) -> (Vec<Window>, bool) {
    let mut windows = Vec::new();
    let mut base = 0;
    let mut left = budget;
    for span in spans {
        let (mut first, last) = span.bounds();
        loop {
            if left == 0 {
                return (windows, true);
            }
            let end_of_half = first | u128::from(u64::MAX);
            let end = last.min(end_of_half).min(first.saturating_add(left - 1));
            let count = (end - first) as usize + 1;
            let fold = fold(span.family() == Family::V6, first);
            windows.push(Window { family: span.family(), first, count, base, fold });
            base += count;
            left -= count as u128;
            match end.checked_add(1) {
                Some(next) if next <= last => first = next,
                _ => break,
            }
        }
    }
    (windows, false)
}

fn each(span: Span) -> impl Iterator<Item = IpAddr> {
    let (first, last) = span.bounds();
    (first..=last).map(move |number| span::address(span.family(), number))
}
