//! A directory that others write to: what we find there, and what we leave.

use std::fs;
use std::time::{Duration, SystemTime};

use ipam::{Age, Durability, Life, Request};

use crate::fixtures::{Folder, host, ip, owner, sets};

#[test]
fn records_that_know_only_the_container_are_honoured() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    fs::create_dir_all(folder.directory()).unwrap();
    fs::write(folder.directory().join("10.0.0.2"), "c1").unwrap();
    let (c1, c2) = (owner("c1"), owner("c2"));
    let now = host(1, 0);
    let alive = Request { life: &|_| Life::Alive, ..Request::new(&pool, &c1) };
    let error = store.allocate(&alive, &now).unwrap_err();
    assert!(error.to_string().contains("10.0.0.2 is held by container `c1` already"), "{error}");
    let grants = store.allocate(&Request::new(&pool, &c2), &now).unwrap();
    assert_eq!(grants[0].address.ip(), ip("10.0.0.3"));
    assert_eq!(store.leases_of(&c1, &now).unwrap()[0].owner.ifname, None);
    assert_eq!(store.release(&c1, Durability::Lazy, &now).unwrap().len(), 1);
    assert!(!folder.directory().join("10.0.0.2").exists());
    assert!(folder.directory().join("10.0.0.3").exists());
}

#[test]
fn a_lease_of_another_program_is_stale_only_if_older_than_the_boot_and_unknown() {
    let folder = Folder::new();
    let store = folder.host_local();
    fs::create_dir_all(folder.directory()).unwrap();
    let now = host(1, 100);
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    for (name, seconds) in [("10.0.0.2", -5_i64), ("10.0.0.3", 5)] {
        let path = folder.directory().join(name);
        fs::write(&path, format!("c-{name}\r\neth0")).unwrap();
        let written =
            started + Duration::from_secs(100) - Duration::from_secs((100 - seconds) as u64);
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    }
    let ages: Vec<_> = store.leases(&now).unwrap().iter().map(|lease| lease.age).collect();
    assert_eq!(ages, [Age::UnmarkedAndOlder, Age::Unmarked]);
    let dead = |life| {
        let leases = store.leases(&now).unwrap();
        leases.iter().filter(|lease| lease.is_dead(life)).count()
    };
    assert_eq!((dead(Life::Alive), dead(Life::Unknown), dead(Life::Dead)), (0, 1, 2));
}

#[test]
fn our_mark_survives_in_the_index_when_networks_are_wiped_and_restored() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    let c1 = owner("c1");
    store.allocate(&Request::new(&pool, &c1), &host(1, 0)).unwrap();
    assert_eq!(store.leases(&host(2, 0)).unwrap()[0].age, Age::EarlierBoot);
    fs::remove_dir_all(folder.directory()).unwrap();
    assert_eq!(store.leases(&host(2, 0)).unwrap(), []);
    let grants = store.allocate(&Request::new(&pool, &c1), &host(2, 0)).unwrap();
    assert_eq!(grants[0].address.ip(), ip("10.0.0.2"));
    assert_eq!(store.leases(&host(2, 0)).unwrap()[0].age, Age::ThisBoot);
}

#[test]
fn torn_files_are_removed_and_their_addresses_used_again() {
    let pool = sets(&[&["10.0.0.0/29"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    fs::create_dir_all(folder.directory()).unwrap();
    let torn: [(&str, &[u8]); 4] = [
        ("10.0.0.2", b""),
        ("10.0.0.3", b"\0\0\0\0\0\0"),
        ("10.0.0.4", b"c\xffd"),
        ("10.0.0.5", b"\r\n"),
    ];
    for (name, content) in torn {
        fs::write(folder.directory().join(name), content).unwrap();
    }
    fs::write(folder.directory().join("10.0.0.6"), "alive\r\neth0").unwrap();
    for number in 0..4 {
        let owner = owner(&format!("c{number}"));
        store.allocate(&Request::new(&pool, &owner), &host(1, 0)).unwrap();
    }
    let late = owner("late");
    let alive = Request { life: &|_| Life::Alive, ..Request::new(&pool, &late) };
    let error = store.allocate(&alive, &host(1, 0)).unwrap_err();
    assert!(error.to_string().contains("5 held by 5 containers"), "{error}");
}

/// What `cargo xtask vm --power-loss` found: the index was on the disk, the files' bytes were not.
#[test]
fn a_lease_whose_file_lost_its_bytes_is_no_lease_any_more() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    let now = host(1, 0);
    let (c1, c2) = (owner("c1"), owner("c2"));
    for owner in [&c1, &c2] {
        store.allocate(&Request::new(&pool, owner), &now).unwrap();
    }
    let file = folder.directory().join("10.0.0.2");
    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    let left: Vec<_> = store.leases(&now).unwrap().into_iter().map(|l| l.owner).collect();
    assert_eq!(left, [c2]);
    assert_eq!(store.held(&now).unwrap(), 1);
    assert!(!file.exists());
}

#[test]
fn an_address_that_changed_hands_behind_our_back_is_not_given_away() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    let now = host(1, 0);
    let (c1, c2) = (owner("c1"), owner("c2"));
    store.allocate(&Request::new(&pool, &c1), &now).unwrap();
    let file = folder.directory().join("10.0.0.2");
    // In place, which leaves the directory's time as it was: only the file itself shows it.
    fs::write(&file, "c2\r\neth0").unwrap();
    assert_eq!(store.release(&c1, Durability::Lazy, &now).unwrap(), []);
    assert!(file.exists());
    let ended = store.release(&c2, Durability::Lazy, &now).unwrap();
    assert_eq!(ended.len(), 1);
    assert!(!file.exists());
}

#[test]
fn nothing_but_leases_cursors_and_the_lock_is_left_in_the_directory() {
    let pool = sets(&[&["10.0.0.0/24"], &["fd00::/64"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    let now = host(1, 0);
    for number in 0..20 {
        let owner = owner(&format!("c{number}"));
        store.allocate(&Request::new(&pool, &owner), &now).unwrap();
        if number > 0 {
            store.release(&owner, Durability::Lazy, &now).unwrap();
        }
    }
    let mut names: Vec<_> = fs::read_dir(folder.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["10.0.0.2", "fd00::2", "last_reserved_ip.0", "last_reserved_ip.1", "lock"]);
    let cursor = fs::read_to_string(folder.directory().join("last_reserved_ip.1")).unwrap();
    assert_eq!(cursor, "fd00::15");
}

#[test]
fn a_directory_of_thousands_is_taken_over_at_once() {
    let pool = sets(&[&["10.1.0.0/16"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    fs::create_dir_all(folder.directory()).unwrap();
    for number in 0..3_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a01_0002 + number);
        let content = format!("c{number}\r\neth0");
        fs::write(folder.directory().join(address.to_string()), content).unwrap();
    }
    let now = host(1, 0);
    let new = owner("new");
    let grants = store.allocate(&Request::new(&pool, &new), &now).unwrap();
    assert_eq!(grants[0].address.ip(), ip("10.1.11.186"));
    assert_eq!(store.release(&owner("c1234"), Durability::Lazy, &now).unwrap().len(), 1);
    assert_eq!(store.held(&now).unwrap(), 3_000);
    fs::remove_dir_all(folder.directory()).unwrap();
    assert_eq!(store.leases(&now).unwrap(), []);
    let grants = store.allocate(&Request::new(&pool, &new), &now).unwrap();
    assert_eq!(grants[0].address.ip(), ip("10.1.0.2"));
}

#[test]
fn an_index_that_cannot_be_used_never_keeps_a_lease_from_being_released() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    let store = folder.host_local();
    let now = host(1, 0);
    let c1 = owner("c1");
    store.allocate(&Request::new(&pool, &c1), &now).unwrap();
    fs::remove_file(folder.index()).unwrap();
    fs::create_dir(folder.index()).unwrap();
    assert!(store.allocate(&Request::new(&pool, &owner("c2")), &now).is_err());
    assert_eq!(store.leases_of(&c1, &now).unwrap().len(), 1);
    assert_eq!(store.release(&c1, Durability::Lazy, &now).unwrap().len(), 1);
    assert!(!folder.directory().join("10.0.0.2").exists());
}
