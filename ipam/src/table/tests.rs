//! Tables damaged in every way, beside what their slots say.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::scratch::Scratch;

const PAGE: usize = 4096;

fn host(boot: u8) -> Host {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    Host::at(BootId([boot; 16]), now, SystemTime::UNIX_EPOCH)
}

fn open(path: &Path, boot: u8) -> Table {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    match Table::open(file, path, &host(boot)).unwrap() {
        Opened::Known(table) => table,
        Opened::Newer(_) => panic!("written by us"),
    }
}

fn owner(number: u32) -> Owner {
    let length = if number.is_multiple_of(7) { 700 } else { 10 };
    Owner { container: format!("{number}-{}", "y".repeat(length)), ifname: Some("eth0".into()) }
}

fn address(number: u32) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    } else {
        Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(number)).into()
    }
}

fn lease(number: u32) -> NewLease {
    NewLease {
        address: address(number),
        owner: owner(number),
        boot: Some(BootId([1; 16])),
        since: 5,
        file: FileMark::default(),
    }
}

/// A table with `count` leases after some coming and going, committed.
fn sample(path: &Path, count: u32) {
    let mut table = open(path, 1);
    for number in 0..count {
        table.put(lease(number)).unwrap();
        if number.is_multiple_of(5) {
            let (slot, record) = table.of_address(address(number)).unwrap().unwrap();
            table.release(slot, &record, 6).unwrap();
            table.put(lease(number)).unwrap();
        }
        if number.is_multiple_of(11) {
            let (slot, record) = table.of_address(address(number)).unwrap().unwrap();
            table.release(slot, &record, 6).unwrap();
        }
    }
    table.set_cursor(0, address(2));
    table.commit(Durability::Lazy).unwrap();
}

type Held = BTreeMap<IpAddr, Owner>;

fn held(table: &mut Table) -> Held {
    table.leases().unwrap().into_iter().map(|(_, record)| (record.address, record.owner)).collect()
}

/// The leases of `bytes` that lie wholly outside the places that `damaged` names.
fn untouched(bytes: &[u8], damaged: impl Fn(usize) -> bool) -> Held {
    let mut held = Held::new();
    let mut slot = 0;
    while let Some(rest) = bytes.get(slot_at(slot) as usize..) {
        if rest.len() < slot::SIZE {
            break;
        }
        let mut taken = 1;
        if let Head::Lease(parts) = slot::head(rest, slot) {
            let length = usize::from(parts) * slot::SIZE;
            let from = slot_at(slot) as usize;
            let record = rest.get(..length).and_then(|whole| Record::decode(whole, slot));
            if let Some(record) = record.filter(|_| !(from..from + length).any(&damaged)) {
                taken = u32::from(parts);
                if record.is_held() {
                    held.insert(record.address, record.owner);
                }
            }
        }
        slot += taken;
    }
    held
}

/// After damage the table holds nothing that it did not hold, still holds every lease of which no
/// byte was touched, finds each by owner and address, and gives none of them away.
fn survives(path: &Path, before: &Held, untouched: &Held, boot: u8) -> Result<(), TestCaseError> {
    let mut table = open(path, boot);
    // As a caller would: first look for somebody, whatever the state of the table.
    table.of_owner(&owner(3)).unwrap();
    let everything = "10.0.0.0/22".parse::<types::Cidr>().unwrap().into();
    let nobody = owner(1_000_000);
    let quarantine = Quarantine { lasts: Duration::ZERO, now: 0, owner: &nobody };
    for number in 0..40 {
        let free = table.first_free(&[everything], quarantine).unwrap().unwrap();
        prop_assert!(!untouched.contains_key(&free), "{} was given away", free);
        let taken = NewLease { address: free, owner: owner(2_000_000 + number), ..lease(0) };
        table.put(taken).unwrap();
    }
    table.commit(Durability::Lazy).unwrap();
    let mut table = open(path, boot);
    let after = held(&mut table);
    let old: Held = after
        .iter()
        .filter(|(_, owner)| !owner.container.starts_with("20000"))
        .map(|(address, owner)| (*address, owner.clone()))
        .collect();
    prop_assert!(old.iter().all(|(address, owner)| before.get(address) == Some(owner)));
    for (address, owner) in untouched {
        prop_assert_eq!(after.get(address), Some(owner), "{} was lost", address);
    }
    for (address, owner) in &after {
        let found = table.of_address(*address).unwrap().map(|(_, record)| record.owner);
        prop_assert_eq!(found.as_ref(), Some(owner));
        prop_assert!(table.of_owner(owner).unwrap().iter().any(|(_, r)| r.address == *address));
    }
    prop_assert_eq!(table.held() as usize, after.len());
    Ok(())
}

struct Sample {
    _scratch: Scratch,
    path: PathBuf,
    bytes: Vec<u8>,
    held: Held,
}

impl Sample {
    fn new(count: u32) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path().join("table");
        sample(&path, count);
        let bytes = fs::read(&path).unwrap();
        let held = held(&mut open(&path, 1));
        assert_eq!(untouched(&bytes, |_| false), held);
        Self { _scratch: scratch, path, bytes, held }
    }

    fn damaged(&self, bytes: &[u8], boot: u8) -> Result<(), TestCaseError> {
        let differs = |at: usize| bytes.get(at) != Some(&self.bytes[at]);
        fs::write(&self.path, bytes).unwrap();
        survives(&self.path, &self.held, &untouched(&self.bytes, differs), boot)
    }
}

#[test]
fn cut_off_at_any_length_a_table_keeps_what_is_left() {
    let sample = Sample::new(60);
    // Every byte of the header, then around every border of slots and sectors.
    let lengths = (0..200).chain((200..sample.bytes.len()).filter(|at| at % 128 <= 1));
    for length in lengths {
        if let Err(error) = sample.damaged(&sample.bytes[..length], 1) {
            panic!("cut to {length} of {} bytes: {error}", sample.bytes.len());
        }
    }
}

#[test]
fn with_any_page_or_sector_zeroed_a_table_keeps_the_rest() {
    let sample = Sample::new(200);
    for size in [512, PAGE] {
        for from in (0..sample.bytes.len()).step_by(size) {
            let mut bytes = sample.bytes.clone();
            let end = (from + size).min(bytes.len());
            bytes[from..end].fill(0);
            if let Err(error) = sample.damaged(&bytes, 1) {
                panic!("{size} bytes from {from} zeroed: {error}");
            }
        }
    }
}

/// A power loss keeps any mix of old and new pages. The boot is another one afterwards.
#[test]
fn with_any_mix_of_old_and_new_pages_no_address_is_in_two_hands() {
    let old = Sample::new(60);
    let scratch = Scratch::new();
    let path = scratch.path().join("table");
    fs::write(&path, &old.bytes).unwrap();
    let mut table = open(&path, 1);
    for number in (0..60_u32).filter(|number| !number.is_multiple_of(11)) {
        let (slot, record) = table.of_address(address(number)).unwrap().unwrap();
        table.release(slot, &record, 7).unwrap();
        // The same addresses, one owner further.
        let heir = owner(number + 100);
        table.put(NewLease { owner: heir, ..lease(number) }).unwrap();
    }
    table.commit(Durability::Lazy).unwrap();
    drop(table);
    let new = fs::read(&path).unwrap();
    let pages = new.len().div_ceil(PAGE);
    for seed in 0..400_u64 {
        let mut mixed = new.clone();
        for page in 0..pages {
            let kept_old = crate::checksum::mix(seed * 1_000 + page as u64) & 1 == 0;
            let range = page * PAGE..((page + 1) * PAGE).min(old.bytes.len());
            if kept_old && !range.is_empty() {
                mixed[range.clone()].copy_from_slice(&old.bytes[range]);
            }
        }
        fs::write(&path, &mixed).unwrap();
        let mut table = open(&path, 2);
        let leases = table.leases().unwrap();
        let held: Held =
            leases.iter().map(|(_, record)| (record.address, record.owner.clone())).collect();
        assert_eq!(held.len(), leases.len(), "seed {seed}: an address in two slots");
        for (at, record) in &leases {
            let found = table.of_address(record.address).unwrap();
            assert_eq!(found.map(|(slot, _)| slot), Some(*at), "seed {seed}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn with_bits_flipped_anywhere_a_table_keeps_every_whole_lease(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..12),
    ) {
        let sample = Sample::new(120);
        let mut bytes = sample.bytes.clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            // A layout of the future is another case.
            if !(8..12).contains(&at) {
                bytes[at] ^= 1 << bit;
            }
        }
        sample.damaged(&bytes, 1)?;
    }

    #[test]
    fn bytes_that_never_were_a_table_are_an_empty_one(
        bytes in prop::collection::vec(any::<u8>(), 1..20_000),
    ) {
        let scratch = Scratch::new();
        let path = scratch.path().join("table");
        fs::write(&path, &bytes).unwrap();
        survives(&path, &Held::new(), &Held::new(), 1)?;
    }
}

#[test]
fn an_uncommitted_change_is_found_in_the_slots() {
    let scratch = Scratch::new();
    let path = scratch.path().join("table");
    sample(&path, 30);
    let mut table = open(&path, 1);
    table.put(lease(777)).unwrap();
    drop(table);
    let mut table = open(&path, 1);
    assert_eq!(table.of_owner(&owner(777)).unwrap().len(), 1);
    assert_eq!(table.cursor(0), Some(address(2)), "the header itself was whole");
}

#[test]
fn a_table_grows_and_finds_everything_again() {
    let scratch = Scratch::new();
    let path = scratch.path().join("table");
    let mut table = open(&path, 1);
    for number in 0..3_000 {
        table.put(lease(number)).unwrap();
    }
    table.commit(Durability::Lazy).unwrap();
    let mut table = open(&path, 1);
    assert_eq!(table.held(), 3_000);
    for number in 0..3_000 {
        assert_eq!(table.of_owner(&owner(number)).unwrap()[0].1.address, address(number));
    }
    assert!(!table.take_healed(), "nothing had to be repaired");
}

#[test]
fn long_names_that_come_and_go_do_not_make_the_table_grow_for_ever() {
    let scratch = Scratch::new();
    let path = scratch.path().join("table");
    let mut table = open(&path, 1);
    for number in 0..5_000 {
        let length = 100 + (number as usize * 37) % 2_000;
        let owner = Owner { container: "z".repeat(length), ifname: None };
        // Three times as many addresses as slots, so that slots have to be used for others.
        let address = address(number % 800);
        table.put(NewLease { address, owner, ..lease(number) }).unwrap();
        let (slot, record) = table.of_address(address).unwrap().unwrap();
        if !number.is_multiple_of(50) {
            table.release(slot, &record, 8).unwrap();
        }
    }
    assert!(table.header.capacity <= 1_024, "{} slots", table.header.capacity);
}
