//! DEL, whatever became of the namespace.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, layer2, master, with_pool};
use crate::battery::Family;
use crate::under_test::{leases, only_ours, unlike_reference};

#[test]
fn del_of_macvlan_twice_is_success() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin("macvlan").container(&c).config(&config).verb("DEL");
        call.run().is_silent();
        call.run().is_silent();
        assert!(c.link("eth0").is_none());
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn del_of_macvlan_frees_the_address_when_the_namespace_is_gone() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        c.remove();
        lab.plugin("macvlan").container(&c).config(&config).verb("DEL").run().is_silent();
        assert_eq!(leases(), [""; 0]);
    });
}

/// A plain file is what is left at the path when a pin is undone, but not removed.
#[test]
fn del_of_macvlan_takes_a_stale_file_as_a_namespace_that_is_gone() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        c.remove();
        std::fs::write(c.path(), "").unwrap();
        let call = lab.plugin("macvlan").container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "fails for ever on a stale file [E]", || call.run().is_silent());
        assert_eq!(leases(), [""; 0]);
        std::fs::remove_file(c.path()).unwrap();
    });
}

#[test]
fn del_of_macvlan_without_a_namespace_removes_the_link_that_its_record_tells_of() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin("macvlan").container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(leases(), [""; 0]);
        unlike_reference(lab, "leaves the interface when DEL names no namespace", || {
            assert!(c.link("eth0").is_none());
        });
    });
}

#[test]
fn del_of_macvlan_without_a_namespace_leaves_a_link_of_others_alone() {
    lab_with_plugins(|lab| {
        only_ours(lab, "knows nothing of it");
        master(lab);
        let c = attached(lab, "c1", &layer2());
        c.run("ip link del dev eth0");
        c.run("ip link add dev eth0 type veth peer name other");
        let call = lab.plugin("macvlan").container(&c).config(&layer2()).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert!(c.link("eth0").is_some());
    });
}

#[test]
fn del_of_macvlan_minds_nothing_of_its_configuration_but_ipam() {
    lab_with_plugins(|lab| {
        master(lab);
        let mut config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        config["mode"] = json!("hub");
        config["master"] = json!("nowhere");
        let call = lab.plugin("macvlan").container(&c).config(&config).args("nonsense");
        unlike_reference(lab, "looks for the master at DEL, and fails without one (1.1.1)", || {
            call.verb("DEL").run().is_silent();
            assert!(c.link("eth0").is_none());
            assert_eq!(leases(), [""; 0]);
        });
    });
}

#[test]
fn del_of_one_macvlan_leaves_the_siblings() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_pool(Family::V4);
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        lab.plugin("macvlan")
            .container(&b)
            .config(&config)
            .ifname("eth1")
            .verb("ADD")
            .run()
            .succeeded();
        lab.del("macvlan", &a, &config);
        lab.del("macvlan", &b, &config);
        assert_eq!(b.link_names(), ["eth1"]);
        assert_eq!(leases(), ["10.1.0.4"]);
    });
}
