//! An ADD that fails has changed nothing. The reference gives the address back, and leaves the rest.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{default_gateway, layer2, with, with_addresses};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, unlike_reference};

const LEAVES: &str = "leaves bridge and veth pair behind when ADD fails [E]";

/// What `host-local` keeps of an address that was given and given back.
const OF_THE_STORE: &[&str] = &["/last_reserved_ip.", "/lock ", "/var/lib/cni/cais/"];

/// A bridge with a MAC of its own, since it would lose a random one with its last port.
const BRIDGE: &str = "ip link add dev cni0 address 02:00:00:00:00:11 type bridge";

/// Claims that ADD fails, and that all is as it was.
#[track_caller]
fn fails_without_a_trace(lab: &Lab, c: &Container, config: &Value) {
    let before = lab.snapshot();
    let call = lab.plugin("bridge").container(c).config(config).verb("ADD");
    call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat());
}

#[test]
fn when_the_ipam_plugin_fails() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 11, "msg": "no" }));
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn when_a_route_cannot_be_made() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = default_gateway(Family::Dual);
        config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn when_an_address_cannot_be_added() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        // The same twice; `static` does not compare.
        let config = with_addresses(&["10.1.0.5/24", "10.1.0.5/24"]);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn when_the_bridge_has_another_address() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run(BRIDGE);
        lab.host().run("ip link set dev cni0 up");
        lab.host().run("ip addr add 10.9.0.1/24 dev cni0");
        // What the kernel itself sets on a bridge when it is first used.
        lab.host().set_sysctl("ipv6/conf/cni0/accept_ra", "0");
        let config = default_gateway(Family::V4);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn when_the_interface_is_there_already() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        let config = default_gateway(Family::Dual);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn when_the_ipam_answer_has_a_family_that_the_kernel_lacks_room_for() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ips = json!([{ "address": "10.1.0.5/24", "interface": 7 }]);
        Fake::answering(
            "fake",
            &json!({ "cniVersion": USUAL, "ips": ips, "routes": [
                { "dst": "10.8.0.0/16", "gw": "10.77.0.1" },
            ]}),
        );
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn when_the_result_cannot_be_told_in_the_version_asked_for() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = with(layer2(), "cniVersion", json!("0.2.0"));
        unlike_reference(lab, "fails when all is made, and leaves it [E]", || {
            // The bridge itself stays, as with DEL, which is what undoes so late a failure.
            lab.host().run(BRIDGE);
            lab.host().run("ip link set dev cni0 up");
            lab.host().set_sysctl("ipv6/conf/cni0/accept_ra", "0");
            fails_without_a_trace(lab, &c, &config);
        });
    });
}

#[test]
fn the_first_failure_is_told_and_not_one_of_the_undoing() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 123, "msg": "the first one" }));
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        let call = lab.plugin("bridge").container(&c).config(&config).verb("ADD");
        let error = call.env("CNI_PATH", Fake::path(&lab.plugins())).run().refused(123);
        error.says(&["the first one"]);
    });
}

#[test]
fn an_address_that_was_given_back_can_be_given_again() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = default_gateway(Family::V4);
        config["ipam"]["ranges"][0][0] = json!({
            "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.5", "rangeEnd": "10.1.0.5",
        });
        let mut broken = config.clone();
        broken["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        for _ in 0..3 {
            let call = lab.plugin("bridge").container(&c).config(&broken).verb("ADD");
            call.run().error();
            // The reference leaves both, which would be the error of the next round.
            let _ = c.try_run("ip link del dev eth0");
            let _ = lab.host().try_run("ip link del dev cni0");
        }
        let result = lab.add("bridge", &c, &config);
        assert_eq!(result["ips"][0]["address"], "10.1.0.5/24");
    });
}
