//! GC: what is not in the list of valid attachments goes. The reference accepts the verb since it
//! knows 1.1.0, and cleans nothing.

use std::path::Path;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::under_test::only_ours;

const NOTHING: &str = "cleans nothing in GC [E]";

fn config(network: &str) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": network, "type": "bridge", "bridge": "cni0",
        "ipam": { "type": "host-local", "subnet": "10.1.0.0/24",
            "dataDir": format!("/var/lib/cni/{network}") },
    })
}

fn leases(network: &str) -> Vec<String> {
    let directory = format!("/var/lib/cni/{network}/{network}");
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut leases: Vec<String> = names.filter(|name| name.starts_with("10.")).collect();
    leases.sort();
    leases
}

/// Three containers on one network: `a`, `b`, `c` with 10.1.0.2 to 10.1.0.4.
fn three(lab: &Lab) -> [Container; 3] {
    only_ours(lab, NOTHING);
    let containers = ["a", "b", "c"].map(|name| lab.container(name));
    for container in &containers {
        lab.add("bridge", container, &config("net"));
    }
    assert_eq!(leases("net"), ["10.1.0.2", "10.1.0.3", "10.1.0.4"]);
    containers
}

/// GC of `net` with `valid` under the key of the specification.
fn gc(lab: &Lab, valid: Value) -> netns_fixtures::Outcome {
    let mut config = config("net");
    config["cni.dev/valid-attachments"] = valid;
    lab.plugin("bridge").config(&config).verb("GC").run()
}

#[test]
fn what_is_not_in_the_list_goes_and_what_is_in_it_stays() {
    lab_with_plugins(|lab| {
        let [a, b, c] = three(lab);
        gc(lab, json!([{ "containerID": "b", "ifname": "eth0" }])).is_silent();
        assert_eq!(leases("net"), ["10.1.0.3"]);
        assert_eq!(b.addresses("eth0"), ["10.1.0.3/24"]);
        assert!(a.link("eth0").is_none() && c.link("eth0").is_none());
    });
}

#[test]
fn an_attachment_is_container_and_interface() {
    lab_with_plugins(|lab| {
        three(lab);
        gc(lab, json!([{ "containerID": "b", "ifname": "eth1" }])).is_silent();
        assert!(leases("net").is_empty());
    });
}

#[test]
fn an_empty_list_and_null_mean_that_nothing_is_valid() {
    lab_with_plugins(|lab| {
        for nothing in [json!([]), Value::Null] {
            let containers = three(lab);
            gc(lab, nothing).is_silent();
            assert!(leases("net").is_empty());
            for container in containers {
                assert!(container.link("eth0").is_none());
                container.remove();
            }
            // The cursor would make the next round take later addresses.
            std::fs::remove_dir_all("/var/lib/cni/net").unwrap();
        }
    });
}

#[test]
fn without_a_list_only_what_is_proven_dead_goes() {
    lab_with_plugins(|lab| {
        let [a, b, c] = three(lab);
        a.remove();
        lab.plugin("bridge").config(&config("net")).verb("GC").run().is_silent();
        assert_eq!(leases("net"), ["10.1.0.3", "10.1.0.4"]);
        assert!(b.link("eth0").is_some() && c.link("eth0").is_some());
    });
}

#[test]
fn the_key_of_the_tagged_specification_is_read_as_well() {
    lab_with_plugins(|lab| {
        three(lab);
        let mut config = config("net");
        config["cni.dev/attachments"] = json!([{ "containerID": "a", "ifname": "eth0" }]);
        lab.plugin("bridge").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases("net"), ["10.1.0.2"]);
    });
}

#[test]
fn of_both_keys_the_newer_counts() {
    lab_with_plugins(|lab| {
        three(lab);
        let mut config = config("net");
        config["cni.dev/attachments"] = json!([{ "containerID": "a", "ifname": "eth0" }]);
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "b", "ifname": "eth0" }]);
        lab.plugin("bridge").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases("net"), ["10.1.0.3"]);
    });
}

#[test]
fn other_networks_are_left_alone() {
    lab_with_plugins(|lab| {
        let [a, ..] = three(lab);
        let call = lab.plugin("bridge").container(&a).ifname("eth1").config(&config("other"));
        call.verb("ADD").run().succeeded();
        gc(lab, json!([])).is_silent();
        assert_eq!(leases("other"), ["10.1.0.2"]);
        assert_eq!(a.link_names(), ["eth1"]);
    });
}

#[test]
fn host_local_alone_collects_its_own_leases() {
    lab_with_plugins(|lab| {
        only_ours(lab, NOTHING);
        let mut config = config("net");
        config["type"] = json!("host-local");
        for name in ["a", "b"] {
            lab.add("host-local", &lab.container(name), &config);
        }
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "a", "ifname": "eth0" }]);
        lab.plugin("host-local").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases("net"), ["10.1.0.2"]);
    });
}

/// Leases from before 0.8 have no name of an interface in them.
#[test]
fn a_lease_without_an_interface_is_valid_with_any_of_its_container() {
    lab_with_plugins(|lab| {
        only_ours(lab, NOTHING);
        let directory = Path::new("/var/lib/cni/net/net");
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("10.1.0.9"), "old").unwrap();
        std::fs::write(directory.join("10.1.0.10"), "older").unwrap();
        std::fs::write(directory.join("last_reserved_ip.0"), "10.1.0.10").unwrap();
        gc(lab, json!([{ "containerID": "old", "ifname": "eth5" }])).is_silent();
        assert_eq!(leases("net"), ["10.1.0.9"]);
        assert!(directory.join("last_reserved_ip.0").exists());
    });
}

#[test]
fn an_attachment_that_cannot_be_read_is_refused_and_nothing_goes() {
    lab_with_plugins(|lab| {
        three(lab);
        for odd in [json!("all"), json!([5]), json!({ "containerID": "a" })] {
            gc(lab, odd).error();
        }
        assert_eq!(leases("net").len(), 3);
    });
}

#[test]
fn gc_of_a_network_that_never_was_is_success() {
    lab_with_plugins(|lab| {
        only_ours(lab, NOTHING);
        let before = lab.snapshot();
        gc(lab, json!([])).is_silent();
        lab.assert_unchanged(&before);
    });
}
