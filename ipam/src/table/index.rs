//! The two indexes of a table: from owners and from addresses to slots.
//!
//! An index is a row of 512-byte sectors. An entry lives in its home sector, which a hash of its
//! tag chooses, or in the first one after it that has room. Each sector counts the entries that
//! passed it looking for room; a search goes on only where that count is above zero, and as
//! sectors are at most two thirds full in the mean it nearly always ends in the first. A sector
//! has a checksum that covers its place; a zeroed one is as damaged as a flipped one.
//!
//! | bytes of a sector | |
//! |---|---|
//! | 0..4 | CRC-32 of the rest |
//! | 4 | number of entries |
//! | 5..8 | entries that passed |
//! | 8..512 | up to 42 entries: tag (8 bytes), slot and flags (4 bytes) |

use crate::checksum::{crc32, mix};
use crate::table::Fault;
use crate::table::slot::{array, number, put, u32_at};

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 512;
const ENTRIES: usize = 42;
const ENTRY: usize = 12;
const FIRST: usize = 8;
/// Entries per sector in the mean when every slot of the table is in use.
const FILL: u32 = 24;

/// Where an entry points, and what is known of the slot without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(u32);

impl Pointer {
    const HELD: u32 = 1 << 31;
    const V6: u32 = 1 << 30;

    pub(crate) fn new(slot: u32, held: bool, v6: bool) -> Self {
        let flag = |set: bool, bit| if set { bit } else { 0 };
        Self(slot | flag(held, Self::HELD) | flag(v6, Self::V6))
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 & !(Self::HELD | Self::V6)
    }

    pub(crate) fn is_held(self) -> bool {
        self.0 & Self::HELD != 0
    }

    pub(crate) fn is_v6(self) -> bool {
        self.0 & Self::V6 != 0
    }
}

/// A row of sectors, in the file or in memory.
pub(crate) trait Sectors {
    fn count(&self) -> u32;
    fn load(&self, place: u32) -> Result<Sector, Fault>;
    fn store(&mut self, place: u32, sector: Sector) -> Result<(), Fault>;
}

/// How many sectors serve `slots` slots.
pub(crate) fn sectors_for(slots: u32) -> u32 {
    slots.div_ceil(FILL)
}

/// Everything filed under `tag`.
pub(crate) fn find(sectors: &impl Sectors, tag: u64) -> Result<Vec<Pointer>, Fault> {
    let mut found = Vec::new();
    for place in walk(sectors.count(), tag) {
        let sector = sectors.load(place)?;
        found.extend(sector.entries().filter(|(t, _)| *t == tag).map(|(_, pointer)| pointer));
        if sector.passed() == 0 {
            return Ok(found);
        }
    }
    Ok(found)
}

/// Files `pointer` under `tag`.
pub(crate) fn insert(sectors: &mut impl Sectors, tag: u64, pointer: Pointer) -> Result<(), Fault> {
    for place in walk(sectors.count(), tag) {
        let mut sector = sectors.load(place)?;
        if sector.push(tag, pointer) {
            return sectors.store(place, sector);
        }
        sector.set_passed(sector.passed() + 1);
        sectors.store(place, sector)?;
    }
    // There are more places than slots, so a full row is a wrong one.
    Err(Fault::Damaged)
}

/// Takes out the entry of `slot` under `tag`; one that is missing is damage.
pub(crate) fn remove(sectors: &mut impl Sectors, tag: u64, slot: u32) -> Result<(), Fault> {
    let mut passed = Vec::new();
    for place in walk(sectors.count(), tag) {
        let mut sector = sectors.load(place)?;
        if sector.take(tag, slot) {
            sectors.store(place, sector)?;
            for (place, mut sector) in passed {
                let count = Sector::passed(&sector).checked_sub(1).ok_or(Fault::Damaged)?;
                sector.set_passed(count);
                sectors.store(place, sector)?;
            }
            return Ok(());
        }
        if sector.passed() == 0 {
            return Err(Fault::Damaged);
        }
        passed.push((place, sector));
    }
    Err(Fault::Damaged)
}

/// The places to look for `tag`, from its home on, once around.
fn walk(count: u32, tag: u64) -> impl Iterator<Item = u32> {
    let home = (u128::from(mix(tag)) * u128::from(count)) >> 64;
    let home = home as u32;
    (home..count).chain(0..home)
}

/// The 512 bytes of one sector.
#[derive(Clone)]
pub(crate) struct Sector(pub(crate) Box<[u8; SECTOR]>);

impl Sector {
    pub(crate) fn empty() -> Self {
        Self(Box::new([0; SECTOR]))
    }

    /// The sector in `bytes`, which lie at `place`; `None` when it is damaged.
    pub(crate) fn parse(bytes: &[u8], place: u32) -> Option<Self> {
        let bytes: Box<[u8; SECTOR]> = Box::new(bytes.try_into().ok()?);
        let intact = u32_at(&bytes[..], 0) == crc32(place, &bytes[4..]);
        (intact && usize::from(bytes[4]) <= ENTRIES).then_some(Self(bytes))
    }

    /// Sets the checksum for `place`.
    pub(crate) fn seal(&mut self, place: u32) {
        let crc = crc32(place, &self.0[4..]);
        put(&mut self.0[..], 0, &crc.to_le_bytes());
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, Pointer)> + '_ {
        (0..usize::from(self.0[4])).map(|entry| {
            let at = FIRST + entry * ENTRY;
            (number(&self.0[..], at), Pointer(u32_at(&self.0[..], at + 8)))
        })
    }

    fn passed(&self) -> u32 {
        let [_, low, middle, high] = array(&self.0[..], 4);
        u32::from_le_bytes([low, middle, high, 0])
    }

    fn set_passed(&mut self, passed: u32) {
        let [low, middle, high, _] = passed.to_le_bytes();
        put(&mut self.0[..], 5, &[low, middle, high]);
    }

    fn push(&mut self, tag: u64, pointer: Pointer) -> bool {
        let count = usize::from(self.0[4]);
        if count == ENTRIES {
            return false;
        }
        self.write(count, tag, pointer);
        self.0[4] += 1;
        true
    }

    /// Removes an entry, filling its place with the last one.
    fn take(&mut self, tag: u64, slot: u32) -> bool {
        let wanted = |(t, pointer): (u64, Pointer)| t == tag && pointer.slot() == slot;
        let Some(at) = self.entries().position(wanted) else { return false };
        self.0[4] -= 1;
        let last = usize::from(self.0[4]);
        let from = FIRST + last * ENTRY;
        self.0.copy_within(from..from + ENTRY, FIRST + at * ENTRY);
        self.0[from..from + ENTRY].fill(0);
        true
    }

    fn write(&mut self, entry: usize, tag: u64, pointer: Pointer) {
        let at = FIRST + entry * ENTRY;
        put(&mut self.0[..], at, &tag.to_le_bytes());
        put(&mut self.0[..], at + 8, &pointer.0.to_le_bytes());
    }
}

/// Sectors under construction, whose checksums are set when they are written out.
pub(crate) struct Draft(Vec<Sector>);

impl Draft {
    pub(crate) fn new(count: u32) -> Self {
        Self(vec![Sector::empty(); count as usize])
    }

    /// The bytes of all sectors.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * SECTOR);
        for (place, mut sector) in self.0.into_iter().enumerate() {
            sector.seal(place as u32);
            bytes.extend_from_slice(&sector.0[..]);
        }
        bytes
    }
}

impl Sectors for Draft {
    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn load(&self, place: u32) -> Result<Sector, Fault> {
        Ok(self.0[place as usize].clone())
    }

    fn store(&mut self, place: u32, sector: Sector) -> Result<(), Fault> {
        self.0[place as usize] = sector;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Few tags and few sectors, so that sectors overflow all the time.
        #[test]
        fn an_index_does_what_a_map_does(steps in prop::collection::vec((0..6_u64, 0..40_u32), 0..400)) {
            let mut index = Draft::new(4);
            let mut model: HashMap<u64, Vec<u32>> = HashMap::new();
            for (tag, slot) in steps {
                let slots = model.entry(tag).or_default();
                if let Some(at) = slots.iter().position(|s| *s == slot) {
                    slots.swap_remove(at);
                    remove(&mut index, tag, slot).unwrap();
                } else if model.values().map(Vec::len).sum::<usize>() < 4 * ENTRIES {
                    model.entry(tag).or_default().push(slot);
                    insert(&mut index, tag, Pointer::new(slot, true, false)).unwrap();
                }
                for (tag, slots) in &model {
                    let mut found: Vec<_> =
                        find(&index, *tag).unwrap().iter().map(|p| p.slot()).collect();
                    let mut expected = slots.clone();
                    found.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn removing_what_is_not_there_is_damage() {
        let mut index = Draft::new(2);
        insert(&mut index, 1, Pointer::new(1, true, true)).unwrap();
        assert!(matches!(remove(&mut index, 1, 2), Err(Fault::Damaged)));
        assert!(matches!(remove(&mut index, 2, 1), Err(Fault::Damaged)));
    }

    #[test]
    fn a_zeroed_or_misplaced_sector_is_damaged() {
        let bytes = Draft::new(2).finish();
        assert!(Sector::parse(&bytes[..SECTOR], 0).is_some());
        assert!(Sector::parse(&bytes[..SECTOR], 1).is_none());
        assert!(Sector::parse(&[0; SECTOR], 0).is_none());
        assert!(Sector::parse(&bytes[..100], 0).is_none());
    }
}
