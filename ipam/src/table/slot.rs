//! Slots: the truth of a lease table.
//!
//! A slot is 256 bytes, so it never crosses a page and a killed writer leaves it old or new. A
//! lease takes one slot, or several in a row when its owner's name is long. Each has a checksum
//! that also covers its number.
//!
//! Bytes of the first slot of a lease, numbers in little endian:
//!
//! | bytes | |
//! |---|---|
//! | 0..4 | CRC-32 of the rest |
//! | 4 | 0 never used, 1 held, 2 freed, 3 continuation |
//! | 5 | family: 4 or 6 |
//! | 6..8 | how many slots the lease takes |
//! | 8..16 | sequence number: of two slots for one address the higher is right |
//! | 16..32 | address, IPv4 in the last four bytes |
//! | 32..48 | boot id, zero when another program wrote the lease |
//! | 48..56 | time taken or freed, nanoseconds since 1970 |
//! | 56..64 | inode of the file that this lease indexes |
//! | 64..72 | its modification time, nanoseconds since 1970 |
//! | 72..76 | bytes of the container's id |
//! | 76..80 | bytes of the interface's name, all ones for none |
//! | 80..256 | id and name, continued in bytes 16..256 of the slots that follow |
//!
//! **Promise to older programs.** Whatever a later layout changes, slots stay where they are and
//! keep this form, so that every version can free what it finds (`foreign.rs`).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use types::Family;

use crate::checksum::crc32;
use crate::lease::{BootId, Owner};
use crate::span;

/// Bytes of a slot.
pub(crate) const SIZE: usize = 256;
/// Longest owner in bytes: what one call's environment can hold many times over.
pub(crate) const MAX_OWNER_BYTES: usize = 1 << 20;

const TEXT: usize = 80;
const MORE_TEXT: usize = 16;
const NO_IFNAME: u32 = u32::MAX;

/// Whether an address is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    /// Given back; kept for the quarantine.
    Freed,
}

/// Which file a slot of an index describes, as far as the kernel can tell files apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileMark {
    pub(crate) inode: u64,
    /// Nanoseconds since 1970.
    pub(crate) mtime: i64,
}

/// A lease as a slot holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) address: IpAddr,
    pub(crate) owner: Owner,
    pub(crate) sequence: u64,
    pub(crate) boot: Option<BootId>,
    /// Nanoseconds since 1970 at which the address was taken or freed.
    pub(crate) since: i64,
    pub(crate) file: FileMark,
}

/// What the first 256 bytes of a slot say.
pub(crate) enum Head {
    /// Never used.
    Blank,
    /// A continuation, or bytes that are none of ours: torn, zeroed or flipped.
    Other,
    /// A lease in so many slots, the first of which is intact.
    Lease(u16),
}

impl Record {
    /// Whether the address is in use.
    pub(crate) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// How many slots the record takes.
    pub(crate) fn parts(&self) -> u16 {
        let bytes = self.owner.container.len() + self.owner.ifname.as_ref().map_or(0, String::len);
        let more = bytes.saturating_sub(SIZE - TEXT).div_ceil(SIZE - MORE_TEXT);
        u16::try_from(more + 1).expect("an owner has at most MAX_OWNER_BYTES")
    }

    /// The bytes of all its slots, the first of which is number `slot`.
    pub(crate) fn encode(&self, slot: u32) -> Vec<u8> {
        let parts = self.parts();
        let mut bytes = vec![0; usize::from(parts) * SIZE];
        self.encode_head(&mut bytes[..SIZE], parts);
        let ifname = self.owner.ifname.as_deref().unwrap_or_default();
        let mut text = [self.owner.container.as_bytes(), ifname.as_bytes()].concat();
        let mut rest = text.split_off(text.len().min(SIZE - TEXT));
        bytes[TEXT..TEXT + text.len()].copy_from_slice(&text);
        for (part, more) in bytes.chunks_exact_mut(SIZE).enumerate().skip(1) {
            text = rest;
            rest = text.split_off(text.len().min(SIZE - MORE_TEXT));
            more[4] = 3;
            put(more, 6, &(part as u16).to_le_bytes());
            put(more, 8, &self.sequence.to_le_bytes());
            put(more, MORE_TEXT, &text);
        }
        for (part, slot_bytes) in bytes.chunks_exact_mut(SIZE).enumerate() {
            seal(slot_bytes, slot + part as u32);
        }
        bytes
    }

    fn encode_head(&self, head: &mut [u8], parts: u16) {
        head[4] = if self.state == State::Held { 1 } else { 2 };
        head[5] = if self.address.is_ipv4() { 4 } else { 6 };
        put(head, 6, &parts.to_le_bytes());
        put(head, 8, &self.sequence.to_le_bytes());
        put(head, 16, &span::number(self.address).to_be_bytes());
        put(head, 32, &self.boot.map_or([0; 16], |boot| boot.0));
        put(head, 48, &self.since.to_le_bytes());
        put(head, 56, &self.file.inode.to_le_bytes());
        put(head, 64, &self.file.mtime.to_le_bytes());
        put(head, 72, &(self.owner.container.len() as u32).to_le_bytes());
        let ifname = self.owner.ifname.as_ref().map_or(NO_IFNAME, |name| name.len() as u32);
        put(head, 76, &ifname.to_le_bytes());
    }

    /// The record in the slots `bytes`, the first of which is number `slot`. `None` when one of
    /// them is not intact.
    pub(crate) fn decode(bytes: &[u8], slot: u32) -> Option<Self> {
        let Head::Lease(parts) = head(bytes, slot) else { return None };
        if bytes.len() != usize::from(parts) * SIZE {
            return None;
        }
        let sequence = number(bytes, 8);
        let mut text = bytes[TEXT..SIZE].to_vec();
        for (part, more) in bytes.chunks_exact(SIZE).enumerate().skip(1) {
            let belongs = more[4] == 3
                && more[6..8] == (part as u16).to_le_bytes()
                && number(more, 8) == sequence
                && is_sealed(more, slot + part as u32);
            if !belongs {
                return None;
            }
            text.extend_from_slice(&more[MORE_TEXT..]);
        }
        let family = match bytes[5] {
            4 => Family::V4,
            6 => Family::V6,
            _ => return None,
        };
        let boot: [u8; 16] = array(bytes, 32);
        Some(Self {
            state: if bytes[4] == 1 { State::Held } else { State::Freed },
            address: span::address(family, u128::from_be_bytes(array(bytes, 16))),
            owner: owner(&text, u32_at(bytes, 72), u32_at(bytes, 76))?,
            sequence,
            boot: (boot != [0; 16]).then_some(BootId(boot)),
            since: number(bytes, 48) as i64,
            file: FileMark { inode: number(bytes, 56), mtime: number(bytes, 64) as i64 },
        })
    }
}

/// What the first slot of `bytes`, number `slot`, says.
pub(crate) fn head(bytes: &[u8], slot: u32) -> Head {
    let Some(first) = bytes.get(..SIZE) else { return Head::Other };
    if first.iter().all(|byte| *byte == 0) {
        return Head::Blank;
    }
    match first[4] {
        1 | 2 if is_sealed(first, slot) => Head::Lease(u16::from_le_bytes(array(first, 6)).max(1)),
        _ => Head::Other,
    }
}

fn owner(text: &[u8], container: u32, ifname: u32) -> Option<Owner> {
    let container = container as usize;
    let id = str::from_utf8(text.get(..container)?).ok()?;
    let ifname = match ifname {
        NO_IFNAME => None,
        bytes => {
            let name = text.get(container..container.checked_add(bytes as usize)?)?;
            Some(str::from_utf8(name).ok()?.to_owned())
        }
    };
    Some(Owner { container: id.to_owned(), ifname })
}

fn seal(slot_bytes: &mut [u8], slot: u32) {
    let crc = crc32(slot, &slot_bytes[4..]);
    put(slot_bytes, 0, &crc.to_le_bytes());
}

fn is_sealed(slot_bytes: &[u8], slot: u32) -> bool {
    u32_at(slot_bytes, 0) == crc32(slot, &slot_bytes[4..])
}

/// Nanoseconds since 1970, cut off at what 64 bits hold (the years 1677 to 2262).
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// The moment `nanoseconds` after 1970.
pub(crate) fn moment(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let moment = if nanoseconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `N` bytes of `bytes` from `at`; the caller knows that they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub(crate) fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(container: usize, ifname: Option<&str>) -> Record {
        Record {
            state: State::Held,
            address: "fd00::17".parse().unwrap(),
            owner: Owner {
                container: "c".repeat(container),
                ifname: ifname.map(ToOwned::to_owned),
            },
            sequence: 77,
            boot: Some(BootId([9; 16])),
            since: -5,
            file: FileMark { inode: 4, mtime: -7 },
        }
    }

    #[test]
    fn owners_of_every_length_come_back_to_the_byte() {
        for ifname in [None, Some(""), Some("eth0"), Some("fifteen_bytes_x")] {
            for bytes in (0..800).chain([65_536, MAX_OWNER_BYTES - 15]) {
                let record = record(bytes, ifname);
                let slots = record.encode(3);
                assert_eq!(Record::decode(&slots, 3).as_ref(), Some(&record), "{bytes}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_any_part_makes_the_whole_no_lease() {
        let slots = record(500, Some("eth0")).encode(0);
        assert_eq!(slots.len(), 3 * SIZE);
        for bit in 0..slots.len() * 8 {
            let mut torn = slots.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&torn, 0), None, "bit {bit}");
        }
    }

    #[test]
    fn a_slot_counts_only_at_its_own_place() {
        let slots = record(9, None).encode(5);
        assert_eq!(Record::decode(&slots, 6), None);
        assert!(matches!(head(&slots[..100], 5), Head::Other), "cut off");
    }

    #[test]
    fn times_survive_the_way_through_a_slot() {
        for nanos in [0, 1, -1, i64::MAX, i64::MIN + 1, 1_800_000_000_123_456_789] {
            assert_eq!(nanoseconds(moment(nanos)), nanos);
        }
    }
}
