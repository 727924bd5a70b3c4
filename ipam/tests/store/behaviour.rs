//! What callers are promised, case by case.

use std::fs;
use std::time::Duration;

use ipam::{AllocateError, Durability, Lease, Life, Request, Span, Store, StoreError};

use crate::fixtures::{Folder, host, ip, owner, sets};

fn add(store: &Store, request: &Request<'_>, boot: u8) -> Result<String, AllocateError> {
    let grants = store.allocate(request, &host(boot, 0))?;
    Ok(grants.iter().map(|grant| grant.address.to_string()).collect::<Vec<_>>().join(" "))
}

fn text(outcome: Result<String, AllocateError>) -> String {
    outcome.unwrap_or_else(|error| {
        let hint = error.hint().map(|hint| format!(" / hint: {hint}")).unwrap_or_default();
        format!("{error}{hint}")
    })
}

#[test]
fn one_address_of_each_set_with_its_subnets_prefix_and_gateway() {
    let pool = sets(&[&["10.0.0.0/24 10.0.0.7"], &["fd00::/64"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        let owner = owner("c1");
        let grants = store.allocate(&Request::new(&pool, &owner), &host(1, 0)).unwrap();
        let shown: Vec<_> =
            grants.iter().map(|grant| format!("{} via {}", grant.address, grant.gateway)).collect();
        assert_eq!(shown, ["10.0.0.7/24 via 10.0.0.1", "fd00::2/64 via fd00::1"]);
    }
}

#[test]
fn a_repeated_add_is_refused_while_the_first_may_be_alive() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        let owner = owner("c1");
        let request = Request::new(&pool, &owner);
        assert_eq!(text(add(&store, &request, 1)), "10.0.0.2/24");
        assert_eq!(
            text(add(&store, &request, 1)),
            "allocate for range set 0: 10.0.0.2 is held by `eth0` of container `c1` already, \
             duplicate allocation is not allowed / hint: a previous ADD of this attachment was not \
             undone; run DEL for it first"
        );
        let dead = Request { life: &|_| Life::Dead, ..request };
        assert_eq!(text(add(&store, &dead, 1)), "10.0.0.2/24", "the same again");
        assert_eq!(text(add(&store, &request, 2)), "10.0.0.2/24", "the machine was restarted");
        assert_eq!(store.held(&host(2, 0)).unwrap(), 1);
    }
}

#[test]
fn two_interfaces_of_a_container_are_two_owners() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        let first = owner("c1");
        let second = ipam::Owner { ifname: Some("eth1".into()), ..owner("c1") };
        assert_eq!(text(add(&store, &Request::new(&pool, &first), 1)), "10.0.0.2/24");
        assert_eq!(text(add(&store, &Request::new(&pool, &second), 1)), "10.0.0.3/24");
        store.release(&first, Durability::Lazy, &host(1, 0)).unwrap();
        assert_eq!(store.leases_of(&first, &host(1, 0)).unwrap(), []);
        assert_eq!(store.leases_of(&second, &host(1, 0)).unwrap().len(), 1);
    }
}

#[test]
fn a_full_pool_says_who_holds_it() {
    let pool = sets(&[&["10.0.0.0/29"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        for number in 0..5 {
            let owner = owner(&format!("c{number}"));
            text(add(&store, &Request::new(&pool, &owner), 1));
        }
        let late = owner("late");
        let alive = Request { life: &|_| Life::Alive, ..Request::new(&pool, &late) };
        assert_eq!(
            text(add(&store, &alive, 1)),
            "allocate for range set 0: no IP addresses available in range set: 10.0.0.1-10.0.0.6 \
             (5 held by 5 containers) / hint: use a larger range, or stop containers"
        );
        assert_eq!(
            text(add(&store, &Request::new(&pool, &late), 1)),
            "allocate for range set 0: no IP addresses available in range set: 10.0.0.1-10.0.0.6 \
             (5 held by 5 containers, 5 of them look stale) / hint: run GC for this network to \
             release the leases of containers that are gone"
        );
    }
}

#[test]
fn leases_of_an_earlier_boot_make_room_when_the_pool_is_full_and_not_before() {
    let pool = sets(&[&["10.0.0.0/29"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        for number in 0..3 {
            let owner = owner(&format!("old{number}"));
            text(add(&store, &Request::new(&pool, &owner), 1));
        }
        let new: Vec<_> = (0..6).map(|number| owner(&format!("new{number}"))).collect();
        for (number, expected) in [(0, "10.0.0.5/29"), (1, "10.0.0.6/29")] {
            assert_eq!(text(add(&store, &Request::new(&pool, &new[number]), 2)), expected);
        }
        assert_eq!(store.held(&host(2, 0)).unwrap(), 5);
        let knows_old1 = |lease: &Lease| {
            if lease.owner.container == "old1" { Life::Alive } else { Life::Unknown }
        };
        let request = Request { life: &knows_old1, ..Request::new(&pool, &new[2]) };
        assert_eq!(text(add(&store, &request, 2)), "10.0.0.2/29");
        assert_eq!(store.held(&host(2, 0)).unwrap(), 4, "both dead ones went");
        assert!(!store.leases_of(&owner("old1"), &host(2, 0)).unwrap().is_empty());
    }
}

#[test]
fn requested_addresses_are_given_or_refused_with_the_reason() {
    let pool = sets(&[&["10.0.0.0/24"], &["fd00::/64"]]);
    let folder = Folder::new();
    let cases: &[(&[&str], &str)] = &[
        (&["fd00::77", "10.0.0.77"], "10.0.0.77/24 fd00::77/64"),
        (
            &["10.0.0.1"],
            "allocate for range set 0: requested address 10.0.0.1 is the gateway / \
            hint: request another address",
        ),
        (
            &["10.0.0.77"],
            "allocate for range set 0: requested address 10.0.0.77 is not available \
            in 10.0.0.1-10.0.0.254, it is held by `eth0` of container `c0` / hint: request another \
            address, or run DEL for the attachment that holds it",
        ),
        (
            &["10.9.0.1", "10.0.0.9", "10.0.0.10"],
            "failed to allocate all requested IPs: 10.9.0.1, \
            10.0.0.10 left over / hint: request at most one address of each range set of the \
            network",
        ),
        (&["10.0.0.9"], "10.0.0.9/24 fd00::78/64"),
    ];
    for store in folder.stores() {
        for (number, (requested, expected)) in cases.iter().enumerate() {
            let requested: Vec<_> = requested.iter().map(|text| ip(text)).collect();
            let owner = owner(&format!("c{number}"));
            let request = Request { requested: &requested, ..Request::new(&pool, &owner) };
            assert_eq!(text(add(&store, &request, 1)), *expected, "{requested:?}");
        }
        assert_eq!(store.held(&host(1, 0)).unwrap(), 4, "a refused call leaves nothing");
        let heir = owner("heir");
        let requested = [ip("10.0.0.77")];
        let request = Request { requested: &requested, ..Request::new(&pool, &heir) };
        assert_eq!(
            text(add(&store, &request, 2)),
            "10.0.0.77/24 fd00::79/64",
            "its holder is dead"
        );
    }
}

#[test]
fn excluded_addresses_are_given_only_on_request() {
    let pool = sets(&[&["10.0.0.0/29"]]);
    let exclude: Vec<Span> = ["10.0.0.2", "10.0.0.4/30"].map(|text| text.parse().unwrap()).to_vec();
    let folder = Folder::new();
    for store in folder.stores() {
        let (a, b, c) = (owner("a"), owner("b"), owner("c"));
        let request = Request { exclude: &exclude, ..Request::new(&pool, &a) };
        assert_eq!(text(add(&store, &request, 1)), "10.0.0.3/29");
        let request = Request { owner: &b, life: &|_| Life::Alive, ..request };
        assert!(text(add(&store, &request, 1)).contains("(1 held by 1 containers)"));
        let request = Request { owner: &c, requested: &[ip("10.0.0.5")], ..request };
        assert_eq!(text(add(&store, &request, 1)), "10.0.0.5/29");
    }
}

#[test]
fn a_quarantine_holds_for_others_and_ends() {
    let pool = sets(&[&["10.0.0.0/30"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        let (a, b) = (owner("a"), owner("b"));
        let of_a = Request { quarantine: Duration::from_secs(60), ..Request::new(&pool, &a) };
        let of_b = Request { owner: &b, ..of_a };
        let at = |request: &Request<'_>, seconds| {
            let outcome = store.allocate(request, &host(1, seconds));
            text(outcome.map(|grants| grants[0].address.to_string()))
        };
        assert_eq!(at(&of_a, 0), "10.0.0.2/30");
        store.release(&a, Durability::Lazy, &host(1, 100)).unwrap();
        assert!(at(&of_b, 159).contains("(0 held by 0 containers, 1 in quarantine)"));
        assert_eq!(at(&of_a, 101), "10.0.0.2/30", "its own is given back at once");
        store.release(&a, Durability::Lazy, &host(1, 200)).unwrap();
        let requested = Request { requested: &[ip("10.0.0.2")], ..of_b };
        assert_eq!(at(&requested, 201), "10.0.0.2/30", "a request is older than any quarantine");
        store.release(&b, Durability::Lazy, &host(1, 300)).unwrap();
        assert_eq!(at(&of_a, 360), "10.0.0.2/30", "it is over");
    }
}

#[test]
fn gc_ends_what_is_not_kept_and_nothing_else() {
    let pool = sets(&[&["10.0.0.0/24"], &["fd00::/64"]]);
    let folder = Folder::new();
    for store in folder.stores() {
        for number in 0..10 {
            let owner = owner(&format!("c{number}"));
            text(add(&store, &Request::new(&pool, &owner), 1));
        }
        let odd = |lease: &Lease| lease.owner.container.ends_with(['1', '3', '5', '7', '9']);
        let ended = store.gc(&odd, Durability::Lazy, &host(1, 0)).unwrap();
        assert_eq!(ended.len(), 10, "{ended:?}");
        assert!(store.leases(&host(1, 0)).unwrap().iter().all(odd));
        assert_eq!(store.gc(&|_| false, Durability::Fsync, &host(1, 0)).unwrap().len(), 10);
        assert_eq!(store.held(&host(1, 0)).unwrap(), 0);
    }
}

#[test]
fn asking_about_nothing_makes_nothing() {
    let folder = Folder::new();
    for store in folder.stores() {
        assert_eq!(store.release(&owner("c"), Durability::Fsync, &host(1, 0)).unwrap(), []);
        assert_eq!(store.gc(&|_| false, Durability::Lazy, &host(1, 0)).unwrap(), []);
        assert_eq!(store.leases(&host(1, 0)).unwrap(), []);
        assert_eq!(store.leases_of(&owner("c"), &host(1, 0)).unwrap(), []);
        assert_eq!(store.held(&host(1, 0)).unwrap(), 0);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_lock_that_is_held_ends_in_a_timeout_that_names_the_file() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    for (store, file) in
        folder.stores().into_iter().zip([folder.table_file(), folder.directory().join("lock")])
    {
        let owner = owner("c1");
        let request = Request::new(&pool, &owner);
        text(add(&store, &request, 1));
        let lock = fs::File::open(&file).unwrap();
        lock.lock().unwrap();
        let hasty = store.with_deadline(Duration::from_millis(10));
        let error = hasty.release(&owner, Durability::Lazy, &host(1, 0)).unwrap_err();
        assert!(error.is_passing(), "{error}");
        assert_eq!(
            error.to_string(),
            format!("lock {}: still held by another process after 0 s", file.display())
        );
        assert!(error.hint().unwrap().contains("fuser"), "{error:?}");
    }
}

#[test]
fn a_range_is_handed_out_to_its_last_address() {
    let pool = sets(&[&["10.1.0.0/16"]]);
    let folder = Folder::new();
    let store = folder.table();
    let now = host(1, 0);
    for number in 0..65_533 {
        let owner = owner(&format!("c{number}"));
        let grants = store.allocate(&Request::new(&pool, &owner), &now).unwrap();
        // 10.1.0.1 is the gateway.
        let expected = 0x0a01_0002 + number;
        assert_eq!(grants[0].address.ip(), std::net::Ipv4Addr::from_bits(expected));
    }
    let late = owner("late");
    let error = store.allocate(&Request::new(&pool, &late), &now).unwrap_err();
    assert!(error.to_string().contains("65533 held by 65533 containers"), "{error}");
    for number in [40_000, 100] {
        store.release(&owner(&format!("c{number}")), Durability::Lazy, &now).unwrap();
    }
    for expected in ["10.1.0.102/16", "10.1.156.66/16"] {
        let owner = owner(&format!("new-{}", &expected[..8]));
        assert_eq!(text(add(&store, &Request::new(&pool, &owner), 1)), expected);
    }
}

#[test]
fn ranges_far_larger_than_a_table_go_on_where_they_were() {
    let pool = sets(&[&["10.0.0.0/8"], &["fd00::/8"]]);
    let folder = Folder::new();
    let store = folder.table();
    let mut last = String::new();
    for number in 0..3_000 {
        let owner = owner(&format!("c{number}"));
        last = text(add(&store, &Request::new(&pool, &owner), 1));
        if number % 10 != 0 {
            store.release(&owner, Durability::Lazy, &host(1, 0)).unwrap();
        }
    }
    assert_eq!(last, "10.0.11.185/8 fd00::bb9/8");
    assert_eq!(store.held(&host(1, 0)).unwrap(), 600);
    let length = fs::metadata(folder.table_file()).unwrap().len();
    assert!(length < 1_000_000, "freed slots are used again: {length} bytes");
}

#[test]
fn an_id_that_no_lease_can_hold_is_refused() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    let owner = owner(&"x".repeat(1 << 20));
    let error = folder.table().allocate(&Request::new(&pool, &owner), &host(1, 0)).unwrap_err();
    assert!(matches!(error, AllocateError::Store(StoreError::OwnerTooLong { .. })), "{error}");
}

#[test]
fn a_disk_that_refuses_says_what_and_where() {
    let pool = sets(&[&["10.0.0.0/24"]]);
    let folder = Folder::new();
    fs::write(folder.path().join("leases"), "a file where a folder should be").unwrap();
    let owner = owner("c1");
    let error = folder.table().allocate(&Request::new(&pool, &owner), &host(1, 0)).unwrap_err();
    let expected = format!("open {}", folder.table_file().display());
    assert_eq!(error.to_string(), expected);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert!(cause.is_some_and(|cause| cause.contains("Not a directory")), "{error:?}");
}
