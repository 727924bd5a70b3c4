//! Our plugins and the Go ones in turn on one living host: what one made, the other checks, uses and
//! removes.

use std::collections::BTreeSet;
use std::thread;

use netns_fixtures::{Call, Container, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::turns::By::{self, Ours, Reference};
use crate::turns::{self, call};
use crate::under_test::{BOOKKEEPING, NETWORK, are_ours, leases, only_ours};

fn config() -> Value {
    json!({
        "cniVersion": USUAL, "name": NETWORK, "type": "bridge", "bridge": "cni0",
        "isDefaultGateway": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }]],
        },
    })
}

fn added(lab: &Lab, by: By, c: &Container) -> Value {
    turns::added(lab, by, c, config())
}

/// Each pair of who adds and who comes after.
mod what_one_made_the_other_checks {
    use super::*;

    fn case(lab: &Lab, (maker, checker): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        let c = lab.container("c1");
        let config = added(lab, maker, &c);
        call(lab, checker, &c, "CHECK", &config).run().is_silent();
        c.run("ip addr del 10.1.0.2/24 dev eth0");
        call(lab, checker, &c, "CHECK", &config).run().error();
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

mod what_one_made_the_other_deletes {
    use super::*;

    fn case(lab: &Lab, (maker, remover): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        // The bridge is there already, and stays.
        let first = lab.container("first");
        added(lab, maker, &first);
        lab.host().settle();
        let before = lab.snapshot();
        let c = lab.container("c1");
        let with_result = added(lab, maker, &c);
        for config in [with_result, config()] {
            // The second time there is nothing left.
            call(lab, remover, &c, "DEL", &config).run().succeeded();
        }
        assert!(c.link("eth0").is_none());
        // The cursor has moved; the Go plugin cannot know of our records.
        let moved = ["last_reserved_ip", "/var/lib/cni/cais/", "/run/cais/attachments/"];
        lab.assert_unchanged_but(&before, &[&moved, BOOKKEEPING].concat());
        first.assert_reaches(lab.host());
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

mod what_one_made_the_other_deletes_without_its_namespace {
    use super::*;

    fn case(lab: &Lab, (maker, remover): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        let c = lab.container("c1");
        let config = added(lab, maker, &c);
        c.remove();
        call(lab, remover, &c, "DEL", &config).run().succeeded();
        assert_eq!(leases(), [""; 0]);
        for link in lab.host().link_names().iter().filter(|name| name.starts_with("veth")) {
            lab.host().wait_until_gone(link);
        }
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

#[test]
fn our_gc_keeps_valid_attachments_of_the_reference_and_frees_the_others() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "cleans nothing in GC [E]");
        let (a, b) = (lab.container("a"), lab.container("b"));
        added(lab, Reference, &a);
        added(lab, Reference, &b);
        let mut config = config();
        config["cniVersion"] = json!("1.1.0");
        // Nothing proves that they are dead.
        lab.plugin("bridge").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases().len(), 4);
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "a", "ifname": "eth0" }]);
        lab.plugin("bridge").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases(), ["10.1.0.2", "fd00:1::2"]);
        a.assert_reaches(lab.host());
    });
}

#[test]
fn our_gc_clears_up_what_the_reference_deleted_of_ours() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "has no records");
        let c = lab.container("c1");
        let mut config = added(lab, Ours, &c);
        call(lab, Reference, &c, "DEL", &config).run().succeeded();
        config["cniVersion"] = json!("1.1.0");
        config["cni.dev/valid-attachments"] = json!([]);
        config["prevResult"] = Value::Null;
        lab.plugin("bridge").config(&config).verb("GC").run().is_silent();
        let left = lab.snapshot();
        let records: Vec<&String> =
            left.lines().iter().filter(|line| line.contains("/run/cais/attachments")).collect();
        assert!(records.is_empty(), "{records:?}");
    });
}

#[test]
fn containers_of_both_reach_each_other() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        let containers: Vec<(Container, By)> = [Reference, Ours, Reference, Ours]
            .into_iter()
            .enumerate()
            .map(|(number, by)| (lab.container(&format!("c{number}")), by))
            .collect();
        for (container, by) in &containers {
            added(lab, *by, container);
        }
        for (one, _) in &containers {
            one.assert_reaches(lab.host());
            for (other, _) in containers.iter().filter(|(other, _)| other.name() != one.name()) {
                one.assert_reaches(other);
            }
        }
    });
}

/// Go, ours, Go, ours: each attachment is deleted by the one that did not make it.
#[test]
fn a_host_can_be_swapped_again_and_again() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        let c = lab.container("c1");
        let mut given = BTreeSet::new();
        for (maker, other) in [(Reference, Ours), (Ours, Reference)].repeat(4) {
            let config = added(lab, maker, &c);
            given.insert(config["prevResult"]["ips"][0]["address"].to_string());
            c.assert_reaches(lab.host());
            call(lab, other, &c, "CHECK", &config).run().succeeded();
            call(lab, other, &c, "DEL", &config).run().succeeded();
            assert_eq!(leases(), [""; 0]);
            assert_eq!(lab.host().link_names(), ["cni0"]);
        }
        assert_eq!(given.len(), 8, "both follow the same cursor: {given:?}");
    });
}

/// ADDs and DELs of each thread in the case below. `CAIS_SWAP_ROUNDS` makes it more for a long run.
fn rounds() -> usize {
    let given = std::env::var("CAIS_SWAP_ROUNDS").ok();
    given.and_then(|rounds| rounds.parse().ok()).unwrap_or(40)
}

/// `host-local` of one of them for a container that need not exist.
fn lease<'lab>(lab: &'lab Lab, by: By, id: &str, verb: &str) -> Call<'lab> {
    let config = json!({
        "cniVersion": USUAL, "name": NETWORK, "type": "host-local",
        "ipam": { "type": "host-local", "subnet": "10.1.0.0/24" },
    });
    let call = match by {
        Reference => lab.reference_plugin("host-local"),
        Ours => lab.plugin("host-local"),
    };
    let call = call.env("CNI_CONTAINERID", id).env("CNI_NETNS", "/run/netns/none");
    call.config(&config).verb(verb)
}

fn address(result: &Value) -> String {
    result["ips"][0]["address"].as_str().unwrap_or_default().trim_end_matches("/24").to_owned()
}

/// What was given to whom in one thread, and not freed.
fn work(lab: &Lab, by: By, thread: usize) -> Vec<(String, String)> {
    let other = if by == Ours { Reference } else { Ours };
    let mut kept: Vec<(String, String)> = Vec::new();
    for round in 0..rounds() {
        let id = format!("c{thread}-{round}");
        let given = address(&lease(lab, by, &id, "ADD").run().result());
        let file = format!("/var/lib/cni/networks/net/{given}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{id}\r\neth0"));
        kept.push((given, id));
        // Keep some, so that the cursor goes around; free them by either.
        if kept.len() > 20 {
            let (_, id) = kept.remove(0);
            let remover = if round % 2 == 0 { by } else { other };
            lease(lab, remover, &id, "DEL").run().is_silent();
        }
    }
    kept
}

#[test]
fn both_lease_from_one_directory_at_once_without_a_double() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        let kept: Vec<(String, String)> = thread::scope(|scope| {
            let threads: Vec<_> = [Ours, Reference, Ours, Reference]
                .into_iter()
                .enumerate()
                .map(|(thread, by)| scope.spawn(move || work(lab, by, thread)))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: BTreeSet<&str> = kept.iter().map(|(address, _)| address.as_str()).collect();
        assert_eq!(distinct.len(), kept.len(), "an address twice: {kept:?}");
        let mut expected: Vec<String> = kept.iter().map(|(address, _)| address.clone()).collect();
        expected.sort();
        assert_eq!(leases(), expected);
        for (_, id) in &kept {
            lease(lab, Ours, id, "DEL").run().is_silent();
        }
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn a_full_pool_of_one_is_full_for_the_other() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        for by in [Reference, Ours] {
            let other = if by == Ours { Reference } else { Ours };
            for number in 2..=254 {
                lease(lab, by, &format!("c{number}"), "ADD").run().succeeded();
            }
            let full = lease(lab, other, "late", "ADD").run();
            full.error().says(&["no IP addresses available in range set"]);
            lease(lab, other, "c77", "DEL").run().is_silent();
            let got = address(&lease(lab, by, "late", "ADD").run().result());
            assert_eq!(got, "10.1.0.77");
            std::fs::remove_dir_all("/var/lib/cni/networks").unwrap();
        }
    });
}

#[test]
fn the_reference_finds_nothing_but_its_own_files_after_ours() {
    lab_with_plugins(|lab| {
        if !are_ours(lab) {
            netns_fixtures::skip("about what ours leaves");
        }
        for number in 0..10 {
            lease(lab, Ours, &format!("c{number}"), "ADD").run().succeeded();
        }
        let entries = std::fs::read_dir("/var/lib/cni/networks/net").unwrap().flatten();
        let count = entries.count();
        assert_eq!(count, 12, "ten leases, one cursor, one lock");
    });
}
