//! An ADD that fails has changed nothing.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, layer2, master, with, with_addresses, with_pool};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, are_ours, unlike_reference};

const LEAVES: &str = "leaves the link in the container when ADD with addresses fails [E]";

/// Claims that ADD fails, and that all is as it was.
#[track_caller]
fn fails_without_a_trace(lab: &Lab, c: &Container, config: &Value) {
    let before = lab.snapshot();
    let call = lab.plugin("macvlan").container(c).config(config).verb("ADD");
    call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat());
}

#[test]
fn a_macvlan_is_taken_back_when_the_ipam_plugin_fails() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 11, "msg": "no" }));
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn a_macvlan_is_taken_back_when_ipam_gives_no_address() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": USUAL, "ips": [] }));
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, "leaves link and lease when IPAM gives no address [E]", || {
            fails_without_a_trace(lab, &c, &config);
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
        });
    });
}

#[test]
fn a_macvlan_is_taken_back_when_a_route_cannot_be_made() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let mut config = with_pool(Family::Dual);
        config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn a_macvlan_is_taken_back_when_an_address_cannot_be_added() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        // The same twice; `static` does not compare.
        let config = with_addresses(&["10.1.0.5/24", "10.1.0.5/24"]);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn a_macvlan_is_taken_back_when_its_result_cannot_be_told_in_the_version_asked_for() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let config = with(layer2(), "cniVersion", json!("0.2.0"));
        unlike_reference(lab, "fails when all is made, and leaves it [E]", || {
            fails_without_a_trace(lab, &c, &config);
        });
    });
}

#[test]
fn an_interface_that_somebody_else_made_is_left_alone_by_macvlan() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        let config = with_pool(Family::V4);
        fails_without_a_trace(lab, &c, &config);
        if are_ours(lab) {
            let call = lab.plugin("macvlan").container(&c).config(&config).verb("ADD");
            call.run().refused(4).says(&[
                "create macvlan eth0 over lan0 in /run/netns/c1",
                "eth0 already exists",
                "run DEL",
            ]);
        }
    });
}

#[test]
fn a_second_add_is_refused_and_the_first_macvlan_stays() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        fails_without_a_trace(lab, &c, &config);
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
    });
}

#[test]
fn an_ipv6_address_that_a_neighbour_has_is_refused_and_everything_is_taken_back() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_addresses(&["fd00:1::5/64"]);
        attached(lab, "a", &config);
        let b = lab.container("b");
        unlike_reference(
            lab,
            "does not look for duplicates of an address without gateway [E]",
            || {
                fails_without_a_trace(lab, &b, &config);
                let call = lab.plugin("macvlan").container(&b).config(&config).verb("ADD");
                call.run().refused(100).says(&["fd00:1::5/64", "another host has it"]);
            },
        );
    });
}

every_family! {
    fn add_and_del_of_macvlan_leave_what_was_there_before(lab, family) {
        master(lab);
        let c = lab.container("c1");
        let config = with_pool(family);
        let before = lab.snapshot();
        for _ in 0..3 {
            lab.add("macvlan", &c, &config);
            lab.del("macvlan", &c, &config);
        }
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
    }
}
