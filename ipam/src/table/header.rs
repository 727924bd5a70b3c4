//! The first page of a table.
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | magic |
//! | 8..12 | layout number |
//! | 12 | not zero while slots and indexes may disagree |
//! | 16..20 | CRC-32 of the rest |
//! | 20..24 | capacity in slots |
//! | 24..32 | the longest row of free slots: the first, the one after the last |
//! | 32..36 | the slot after the last one that is used |
//! | 36..40 | length of the list of all other free slots below that |
//! | 40..48 | addresses held and freed |
//! | 48..52 | number of cursors |
//! | 52..56 | 1 when what follows of the directory may be trusted |
//! | 56..64 | next sequence number |
//! | 64..80 | boot in which the indexes were last written |
//! | 80..96 | inode and modification time of the directory that this table indexes |
//! | 96..104 | moment at which the index was last exact |
//! | 104.. | cursors: set (4 bytes), family (4), last address handed out (16) |

use std::net::IpAddr;

use types::Family;

use crate::checksum::crc32;
use crate::lease::BootId;
use crate::span;
use crate::table::slot::{FileMark, array, number, put, u32_at};

/// Bytes that the header may take; slots begin after them, in every layout.
pub(crate) const SIZE: usize = 4096;
/// The layout that this version writes.
pub(crate) const LAYOUT: u32 = 1;
/// Where the dirty byte lies, in every layout.
pub(crate) const DIRTY_AT: u64 = 12;
/// Slots of a new table.
pub(crate) const LEAST_CAPACITY: u32 = 256;
/// Most slots of a table, a file of 4 GiB.
pub(crate) const MOST_CAPACITY: u32 = 1 << 24;

const MAGIC: &[u8; 8] = b"caislea\0";
const CURSORS_AT: usize = 104;
const CURSOR: usize = 24;
/// Sets of higher numbers start every search at their first address.
const MOST_CURSORS: usize = (SIZE - CURSORS_AT) / CURSOR;

/// What a directory looked like when its index was last exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The directory itself.
    pub(crate) directory: FileMark,
    /// When; files of the directory older than this have not changed since.
    pub(crate) exact_at: i64,
    /// Whether an equal mark proves that nothing has changed since.
    pub(crate) is_proof: bool,
}

/// The values of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) capacity: u32,
    /// The longest row of free slots, from `fresh` to before `limit`; it is used from its start.
    pub(crate) fresh: u32,
    pub(crate) limit: u32,
    /// The slot after the last one that is used.
    pub(crate) end: u32,
    /// Entries of the list of free slots.
    pub(crate) free: u32,
    pub(crate) held: u32,
    pub(crate) freed: u32,
    pub(crate) sequence: u64,
    pub(crate) boot: Option<BootId>,
    pub(crate) seen: Option<Seen>,
    cursors: Vec<(u32, IpAddr)>,
}

/// What the first page of a file says.
#[derive(Debug)]
pub(crate) enum Read {
    /// An intact header; whether slots and indexes agree.
    Good(Header, bool),
    /// A layout of a later version.
    Newer(u32),
    /// Nothing usable.
    Damaged,
}

impl Header {
    /// The header of an empty table.
    pub(crate) fn new(boot: Option<BootId>) -> Self {
        Self {
            capacity: LEAST_CAPACITY,
            fresh: 0,
            limit: LEAST_CAPACITY,
            end: 0,
            free: 0,
            held: 0,
            freed: 0,
            sequence: 1,
            boot,
            seen: None,
            cursors: Vec::new(),
        }
    }

    pub(crate) fn read(page: &[u8]) -> Read {
        if page.len() < CURSORS_AT || !page.starts_with(MAGIC) {
            return Read::Damaged;
        }
        let layout = u32_at(page, 8);
        if layout > LAYOUT {
            return Read::Newer(layout);
        }
        let cursors = u32_at(page, 48) as usize;
        let end = CURSORS_AT + cursors.min(MOST_CURSORS) * CURSOR;
        let intact = layout == LAYOUT
            && cursors <= MOST_CURSORS
            && page.len() >= end
            && u32_at(page, 16) == crc32(0, &page[20..end]);
        if !intact {
            return Read::Damaged;
        }
        match Self::values(&page[..end]) {
            Some(header) => Read::Good(header, page[DIRTY_AT as usize] == 0),
            None => Read::Damaged,
        }
    }

    fn values(page: &[u8]) -> Option<Self> {
        let boot: [u8; 16] = array(page, 64);
        let exact_at = number(page, 96) as i64;
        let seen = Seen {
            directory: FileMark { inode: number(page, 80), mtime: number(page, 88) as i64 },
            exact_at,
            is_proof: u32_at(page, 52) == 1,
        };
        let cursor = |bytes: &[u8]| {
            let family = match u32_at(bytes, 4) {
                4 => Family::V4,
                6 => Family::V6,
                _ => return None,
            };
            let last = span::address(family, u128::from_be_bytes(array(bytes, 8)));
            Some((u32_at(bytes, 0), last))
        };
        let header = Self {
            capacity: u32_at(page, 20),
            fresh: u32_at(page, 24),
            limit: u32_at(page, 28),
            end: u32_at(page, 32),
            free: u32_at(page, 36),
            held: u32_at(page, 40),
            freed: u32_at(page, 44),
            sequence: number(page, 56),
            boot: (boot != [0; 16]).then_some(BootId(boot)),
            seen: (exact_at != 0).then_some(seen),
            cursors: page[CURSORS_AT..].chunks_exact(CURSOR).map(cursor).collect::<Option<_>>()?,
        };
        let sane = (LEAST_CAPACITY..=MOST_CAPACITY).contains(&header.capacity)
            && header.fresh <= header.limit
            && header.limit <= header.capacity
            && header.end <= header.capacity
            && header.free <= header.end;
        sane.then_some(header)
    }

    /// The bytes of the header.
    pub(crate) fn encode(&self, clean: bool) -> Vec<u8> {
        let mut page = vec![0; CURSORS_AT + self.cursors.len() * CURSOR];
        put(&mut page, 0, MAGIC);
        put(&mut page, 8, &LAYOUT.to_le_bytes());
        page[DIRTY_AT as usize] = u8::from(!clean);
        let numbers = [
            self.capacity,
            self.fresh,
            self.limit,
            self.end,
            self.free,
            self.held,
            self.freed,
            self.cursors.len() as u32,
            u32::from(self.seen.is_some_and(|seen| seen.is_proof)),
        ];
        for (i, number) in numbers.into_iter().enumerate() {
            put(&mut page, 20 + 4 * i, &number.to_le_bytes());
        }
        put(&mut page, 56, &self.sequence.to_le_bytes());
        put(&mut page, 64, &self.boot.map_or([0; 16], |boot| boot.0));
        if let Some(seen) = self.seen {
            put(&mut page, 80, &seen.directory.inode.to_le_bytes());
            put(&mut page, 88, &seen.directory.mtime.to_le_bytes());
            put(&mut page, 96, &seen.exact_at.to_le_bytes());
        }
        for (i, (set, last)) in self.cursors.iter().enumerate() {
            let at = CURSORS_AT + i * CURSOR;
            let family: u32 = if last.is_ipv4() { 4 } else { 6 };
            put(&mut page, at, &set.to_le_bytes());
            put(&mut page, at + 4, &family.to_le_bytes());
            put(&mut page, at + 8, &span::number(*last).to_be_bytes());
        }
        let crc = crc32(0, &page[20..]);
        put(&mut page, 16, &crc.to_le_bytes());
        page
    }

    /// The address that set number `set` handed out last.
    pub(crate) fn cursor(&self, set: usize) -> Option<IpAddr> {
        let wanted = u32::try_from(set).ok()?;
        self.cursors.iter().find(|(number, _)| *number == wanted).map(|(_, last)| *last)
    }

    /// Remembers that set number `set` handed out `last`.
    pub(crate) fn set_cursor(&mut self, set: usize, last: IpAddr) {
        let Ok(number) = u32::try_from(set) else { return };
        if let Some(cursor) = self.cursors.iter_mut().find(|(n, _)| *n == number) {
            cursor.1 = last;
        } else if self.cursors.len() < MOST_CURSORS {
            self.cursors.push((number, last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cursors: usize) -> Header {
        let mut header = Header::new(Some(BootId([3; 16])));
        header.seen = Some(Seen {
            directory: FileMark { inode: 8, mtime: -1 },
            exact_at: 99,
            is_proof: true,
        });
        for set in 0..cursors {
            let last = if set % 2 == 0 { "10.0.0.7" } else { "fd00::7" };
            header.set_cursor(set, last.parse().unwrap());
        }
        header
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        for cursors in [0, 1, 2, MOST_CURSORS, MOST_CURSORS + 5] {
            let header = header(cursors);
            for clean in [true, false] {
                let mut page = header.encode(clean);
                assert!(page.len() <= SIZE);
                page.resize(SIZE, 0);
                let Read::Good(read, was_clean) = Header::read(&page) else { panic!("damaged") };
                assert_eq!((read, was_clean), (header.clone(), clean));
            }
        }
    }

    #[test]
    fn a_flipped_bit_never_passes_for_another_header() {
        let page = header(3).encode(true);
        for bit in 0..page.len() * 8 {
            let mut torn = page.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            match Header::read(&torn) {
                Read::Damaged => {}
                Read::Newer(_) => assert!((64..96).contains(&bit), "bit {bit}"),
                // The dirty byte and the three unused ones after it are outside the checksum.
                Read::Good(read, _) => {
                    assert!((96..128).contains(&bit), "bit {bit}");
                    assert_eq!(read, header(3));
                }
            }
        }
        for length in 0..page.len() {
            assert!(matches!(Header::read(&page[..length]), Read::Damaged), "{length}");
        }
    }
}
