//! What runs on every kernel: what there is to refuse or to clean before a VRF is made.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{call, container};
use crate::under_test::{BOOKKEEPING, NETWORK, only_ours, unlike_reference};

#[test]
fn an_interface_with_another_master_is_refused() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip link add dev br0 type bridge");
        c.run("ip link set dev eth0 master br0");
        c.settle_link_local();
        let before = lab.snapshot();
        let error = call(lab, "ADD", &c, &json!({})).run();
        error.error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        only_ours(lab, "has other words");
        error.refused(7).says(&["join VRF blue", "eth0 in /run/netns/c1 is a port of br0"]);
    });
}

#[test]
fn a_link_of_that_name_that_is_no_vrf_is_refused_by_add_and_left_by_del() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip link add dev blue type bridge");
        c.settle_link_local();
        let before = lab.snapshot();
        let error = call(lab, "ADD", &c, &json!({})).run();
        error.error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        unlike_reference(lab, "fails in DEL for ever [E]", || {
            call(lab, "DEL", &c, &json!({})).run().is_silent();
        });
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        only_ours(lab, "has other words");
        error.refused(7).says(&["link blue is a bridge, not a VRF"]);
    });
}

#[test]
fn an_interface_that_is_missing_is_named_by_add() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let mut call = call(lab, "ADD", &c, &json!({}));
        call = call.ifname("net7");
        let error = call.run();
        error.error();
        only_ours(lab, "has other words");
        error.refused(4).says(&["join VRF blue", "net7 is missing in /run/netns/c1"]);
    });
}

#[test]
fn keys_and_the_earlier_result_are_asked_for_by_name() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let add = |members: Value| call(lab, "ADD", &c, &members).run();
        let without = add(json!({ "vrfname": null }));
        without.error();
        add(json!({ "prevResult": null })).error().says(&["prevResult"]);
        only_ours(lab, "has other words");
        without.refused(7).says(&["key \"vrfname\" is required by vrf"]);
        add(json!({ "vrfname": "a/b" })).refused(7).says(&["key \"vrfname\""]);
    });
}

#[test]
fn del_succeeds_without_vrf_interface_or_right_configuration() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.settle_link_local();
        let before = lab.snapshot();
        let del = |members: Value| call(lab, "DEL", &c, &members);
        for _ in 0..2 {
            del(json!({})).run().is_silent();
        }
        only_ours(lab, "validates first");
        for members in
            [json!({ "prevResult": null }), json!({ "vrfname": 7 }), json!({ "table": "x" })]
        {
            del(members).run().is_silent();
        }
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        c.run("ip link del dev eth0");
        del(json!({})).run().is_silent();
    });
}

#[test]
fn gc_without_attachments_is_silent() {
    lab_with_plugins(|lab| {
        let valid = json!([]);
        let gc = json!({
            "cniVersion": "1.1.0", "name": NETWORK, "type": "vrf", "vrfname": "blue",
            "cni.dev/valid-attachments": valid,
        });
        crate::under_test::must_know(lab, "1.1.0");
        lab.plugin("vrf").verb("GC").config(&gc).run().is_silent();
    });
}
