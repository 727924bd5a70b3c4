//! What is done to a store of leases whose files hold anything.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use ipam::{
    AllocateError, BootId, Durability, Host, Owner, RangeSets, RangeSpec, Request, Store,
    StoreError,
};

/// Takes addresses, lists, gives back and sweeps. Each may fail, but what it says it did must be
/// so, and nobody gets an address that somebody else got.
pub(crate) fn exercise(store: &Store) {
    let (host, sets) = (host(), sets());
    let before = store.leases(&host);
    let mut given: Vec<IpAddr> = Vec::new();
    for container in ["new1", "new2"] {
        let owner = owner(container);
        match store.allocate(&Request::new(&sets, &owner), &host) {
            Ok(grants) => {
                for address in grants.iter().map(|grant| grant.address.ip()) {
                    assert!(!given.contains(&address), "{address} is given to two");
                    given.push(address);
                }
                let held = store.leases_of(&owner, &host).expect("a store that gave can be read");
                // It may have held others before, which no set contains.
                let holds = |ip| held.iter().any(|lease| lease.address == ip);
                let all = grants.iter().all(|grant| holds(grant.address.ip()));
                assert!(all, "{container} got {grants:?} and holds {held:?}");
            }
            Err(AllocateError::Store(error)) => tolerable(&error),
            Err(_) => {}
        }
    }
    if let (Ok(before), Ok(after)) = (before, store.leases(&host)) {
        let lost = before.iter().find(|lease| !after.iter().any(|a| a.address == lease.address));
        assert!(lost.is_none(), "{lost:?} is lost");
    }
    let release = || store.release(&owner("new1"), Durability::Lazy, &host);
    // The first takes what bears the interface's name, the second what knows the container alone.
    if release().is_ok() && release().is_ok() {
        let held = store.leases_of(&owner("new1"), &host);
        assert!(held.is_ok_and(|held| held.is_empty()), "new1 keeps what it gave back");
    }
    if store.gc(&|_| false, Durability::Lazy, &host).is_ok() {
        let held = store.leases(&host).expect("a store that was swept can be read");
        assert!(held.is_empty(), "{held:?} is kept though nobody wants it");
    }
}

/// Bytes in a file are no reason to wait, nor is a file of ours one that cannot be read.
fn tolerable(error: &StoreError) {
    assert!(!matches!(error, StoreError::Timeout { .. }), "{error}");
}

/// A machine that never changes, so that an input does the same each time.
pub(crate) fn host() -> Host {
    let boot = BootId::parse("11111111-2222-3333-4444-555555555555").expect("a UUID");
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Host::at(boot, started + Duration::from_secs(3600), started)
}

/// Twelve addresses of IPv4 and two of IPv6.
pub(crate) fn sets() -> RangeSets {
    let spec = |subnet: &str, end: Option<&str>| RangeSpec {
        subnet: subnet.parse().expect("a subnet"),
        start: None,
        end: end.map(|ip| ip.parse().expect("an address")),
        gateway: None,
    };
    let sets = vec![
        vec![spec("10.1.0.0/29", None), spec("10.1.0.16/28", Some("10.1.0.24"))],
        vec![spec("fd00:1::/126", None)],
    ];
    RangeSets::new(sets).expect("ranges that do not overlap")
}

pub(crate) fn owner(container: &str) -> Owner {
    Owner::new(
        &container.parse().expect("a container id"),
        &"eth0".parse().expect("the name of an interface"),
    )
}
