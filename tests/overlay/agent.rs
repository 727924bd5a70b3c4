//! Networks that hosts tell each other of through etcd: the daemon, started by the first container.

use std::fs;
use std::time::{Duration, Instant};

use netns_fixtures::{Etcd, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{Resident, Town, Underlay, VERSION};

/// No wait of a case is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where etcd is on the wire.
pub(super) const STORE: &str = "10.99.0.200";

/// Hosts that follow the members of etcd.
pub(super) fn followers<'lab>(lab: &'lab Lab, hosts: usize, members: usize) -> (Town<'lab>, Etcd) {
    let town = Town::new(lab, hosts, Underlay::V4);
    for number in 1..=hosts {
        town.host(number).run("ip link set dev lo up");
        let folder = format!("/run/root{number}/etc/cais");
        fs::create_dir_all(&folder).unwrap();
        let own = json!({ "underlay": [town.address(number)], "hostName": format!("h{number}") });
        fs::write(format!("{folder}/overlayd.json"), own.to_string()).unwrap();
    }
    let store = town.plug_in("store", 200);
    store.run("ip link set dev lo up");
    let etcd = Etcd::cluster_at(lab, &store, STORE, members);
    (town, etcd)
}

/// The configuration of network `name` in etcd, which the first host creates.
pub(super) fn by_etcd(name: &str, pool: u8, members: usize) -> Value {
    let endpoint = |number: usize| format!("http://{STORE}:{}", 2379 + 10 * number);
    let endpoints: Vec<String> = (0..members).map(endpoint).collect();
    json!({
        "cniVersion": VERSION, "name": name, "type": "overlay",
        "store": { "type": "etcd", "endpoints": endpoints, "ttl": 5 },
        "create": { "pools": [format!("10.{pool}.0.0/16"), format!("fd{pool}::/48")] },
    })
}

/// Waits until `is_so`.
#[track_caller]
pub(super) fn await_that(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        pause(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// Lets time pass: what etcd and daemons do has no event here, or its absence is what is tried.
#[expect(clippy::disallowed_methods, reason = "there is no event to wait for")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

pub(super) fn all_reach_all(residents: &[Resident<'_>]) {
    for from in residents {
        for to in residents.iter().filter(|to| to.number != from.number) {
            for address in to.addresses() {
                let ping = format!("ping -c 1 -W 1 {address}");
                await_that(&format!("{} reaches {address}", from.number), || {
                    from.container.try_run(&ping).status.success()
                });
            }
        }
    }
}

#[test]
fn containers_of_two_hosts_reach_each_other_by_what_etcd_says() {
    lab_with_plugins(|lab| {
        let (town, _etcd) = followers(lab, 2, 1);
        let config = by_etcd("blue", 77, 1);
        let residents: Vec<_> =
            (1..=2).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        assert!(residents.iter().all(|one| one.addresses().len() == 2), "both families");
        all_reach_all(&residents);
        for resident in &residents {
            resident.check();
            resident.del();
        }
    });
}

#[test]
fn containers_of_five_hosts_reach_each_other_with_three_members_of_etcd() {
    lab_with_plugins(|lab| {
        let _logs = super::faults::Logs;
        let (town, _etcd) = followers(lab, 5, 3);
        let config = by_etcd("blue", 77, 3);
        let residents: Vec<_> =
            (1..=5).map(|number| town.resident(number, &format!("c{number}"), &config)).collect();
        all_reach_all(&residents);
    });
}
