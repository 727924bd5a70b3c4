//! ADD and DEL again and again: what must be refused, and what must not pile up.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{default_gateway, layer2, with, with_addresses};
use crate::battery::Family;
use crate::under_test::{BOOKKEEPING, only_ours, unlike_reference};

/// What `host-local` never takes away: cursor and lock.
const OF_THE_STORE: &[&str] = &["/last_reserved_ip.", "/lock ", "/var/lib/cni/cais/"];

every_family! {
    fn add_and_del_leave_what_was_there_before(lab, family) {
        let config = default_gateway(family);
        let c = lab.container("c1");
        // The first container makes the bridge, which stays.
        lab.add("bridge", &lab.container("first"), &config);
        lab.host().settle();
        let before = lab.snapshot();
        lab.add("bridge", &c, &config);
        lab.del("bridge", &c, &config);
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
    }

    fn add_is_refused_while_the_interface_is_there(lab, family) {
        let config = default_gateway(family);
        let c = lab.container("c1");
        lab.add("bridge", &c, &config);
        lab.host().settle();
        let before = lab.snapshot();
        let again = lab.plugin("bridge").container(&c).config(&config).verb("ADD").run();
        again.error().says(&["eth0", "exist"]);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        c.assert_reaches(lab.host());
    }
}

#[test]
fn a_container_that_was_deleted_can_be_added_again() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = default_gateway(Family::Dual);
        for _ in 0..5 {
            lab.add("bridge", &c, &config);
            c.assert_reaches(lab.host());
            lab.del("bridge", &c, &config);
        }
        assert_eq!(lab.host().link_names(), ["cni0"]);
    });
}

#[test]
fn an_interface_that_somebody_else_made_is_left_alone() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        let before = lab.snapshot();
        let call = lab.plugin("bridge").container(&c).config(&layer2()).verb("ADD");
        call.run().error().says(&["eth0"]);
        unlike_reference(lab, "has made the bridge by then, and leaves it [E]", || {
            lab.assert_unchanged_but(&before, BOOKKEEPING);
        });
    });
}

#[test]
fn del_of_a_container_that_died_with_its_namespace_leaves_nothing_on_the_host() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = default_gateway(Family::V4);
        lab.add("bridge", &c, &config);
        c.remove();
        lab.del("bridge", &c, &config);
        // The kernel takes the pair away when the namespace dies; ours does not wait for that.
        for link in lab.host().link_names().iter().filter(|name| name.starts_with("veth")) {
            lab.host().wait_until_gone(link);
        }
        assert_eq!(lab.host().link_names(), ["cni0"]);
    });
}

/// The name of the host's end comes from the key, so a link that happens to have it must not be
/// taken for ours.
#[test]
fn a_link_of_somebody_else_with_the_name_of_ours_is_not_deleted() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = with_addresses(&["10.1.0.5/24"]);
        let result = lab.add("bridge", &c, &config);
        let name = result["interfaces"][1]["name"].as_str().unwrap_or_default().to_owned();
        lab.del("bridge", &c, &config);
        lab.host().run(&format!("ip link add dev {name} type bridge"));
        lab.del("bridge", &c, &config);
        assert!(lab.host().link(&name).is_some(), "a foreign link is gone");
        // And ADD finds another name.
        lab.add("bridge", &c, &config);
        assert_eq!(c.addresses("eth0"), ["10.1.0.5/24"]);
        lab.del("bridge", &c, &config);
        assert!(lab.host().link(&name).is_some(), "a foreign link is gone");
        assert!(c.link("eth0").is_none());
    });
}

/// A runtime that crashed starts the container again under its old name, while something still
/// keeps the old namespace, and with it the old pair, alive.
#[test]
fn what_is_left_of_the_same_attachment_in_a_dead_namespace_is_replaced() {
    lab_with_plugins(|lab| {
        only_ours(lab, "takes another random name, and leaves the old pair");
        let old = lab.container("c1");
        let config = with_addresses(&["10.1.0.5/24"]);
        lab.add("bridge", &old, &config);
        let _still_inside = old.spawn("sleep infinity");
        old.remove();
        let new = lab.container("c1");
        lab.add("bridge", &new, &config);
        assert_eq!(new.addresses("eth0"), ["10.1.0.5/24"]);
        assert_eq!(lab.host().link_names().len(), 2, "the bridge and one pair");
        lab.del("bridge", &new, &config);
        assert_eq!(lab.host().link_names(), ["cni0"]);
    });
}

#[test]
fn the_same_container_in_two_networks_is_two_attachments() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let one = with_addresses(&["10.1.0.5/24"]);
        let mut two = with(with_addresses(&["10.2.0.5/24"]), "name", json!("other"));
        two["bridge"] = json!("cni1");
        lab.add("bridge", &c, &one);
        lab.plugin("bridge")
            .container(&c)
            .config(&two)
            .ifname("eth1")
            .verb("ADD")
            .run()
            .succeeded();
        lab.plugin("bridge")
            .container(&c)
            .config(&two)
            .ifname("eth1")
            .verb("DEL")
            .run()
            .is_silent();
        assert_eq!(c.link_names(), ["eth0"]);
        lab.del("bridge", &c, &one);
        assert!(c.link_names().is_empty());
    });
}
