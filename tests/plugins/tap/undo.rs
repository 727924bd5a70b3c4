//! An ADD that fails has changed nothing.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{attached, lab_with_taps, layer2, with, with_addresses, with_pool};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, are_ours, must_have, unlike_reference};

const LEAVES: &str = "leaves the link in the container when ADD fails after it was made [E]";

/// Claims that ADD fails, and that all is as it was.
#[track_caller]
fn fails_without_a_trace(lab: &Lab, c: &Container, config: &Value) {
    let before = lab.snapshot();
    let call = lab.plugin("tap").container(c).config(config).verb("ADD");
    call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat());
}

#[test]
fn a_tap_is_taken_back_when_the_ipam_plugin_fails() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 11, "msg": "no" }));
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    });
}

#[test]
fn a_tap_is_taken_back_when_ipam_gives_no_address() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": USUAL, "ips": [] }));
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        unlike_reference(lab, "leaves link and lease when IPAM gives no address [E]", || {
            fails_without_a_trace(lab, &c, &config);
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
        });
    });
}

/// Each comes later than the tap itself: bridge, address, route, and the result's old shape.
mod a_tap_is_taken_back_when_it_cannot_have {
    use super::*;

    fn case(lab: &Lab, config: &Value) {
        let c = lab.container("c1");
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, config));
    }

    fn with_far_gateway() -> Value {
        let mut config = with_pool(Family::Dual);
        config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        config
    }

    stamp!(lab_with_taps, case,
        its_bridge: &with(with_pool(Family::V4), "bridge", json!("nowhere")),
        its_address: &with_addresses(&["10.1.0.5/24", "10.1.0.5/24"]),
        its_route: &with_far_gateway(),
        its_result: &with(layer2(), "cniVersion", json!("0.2.0")),
    );
}

#[test]
fn an_interface_that_somebody_else_made_is_left_alone_by_tap() {
    lab_with_taps(|lab| {
        // A tap of somebody's could be opened instead of made.
        for (name, made) in [
            ("veth", "ip link add dev eth0 type veth peer name other"),
            ("tap", "ip tuntap add mode tap vnet_hdr dev eth0"),
        ] {
            let c = lab.container(name);
            c.run(made);
            let config = with_pool(Family::V4);
            fails_without_a_trace(lab, &c, &config);
            if are_ours(lab) {
                let call = lab.plugin("tap").container(&c).config(&config).verb("ADD");
                let text = format!("create tap eth0 in /run/netns/{name}");
                call.run().refused(4).says(&[&text, "eth0 already exists", "run DEL"]);
            }
        }
    });
}

#[test]
fn a_second_add_is_refused_and_the_first_tap_stays() {
    lab_with_taps(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        fails_without_a_trace(lab, &c, &config);
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
    });
}

every_family! {
    fn add_and_del_of_tap_leave_what_was_there_before(lab, family) {
        must_have(lab, "tap");
        lab.needs(netns_fixtures::Feature::Tun);
        let c = lab.container("c1");
        let config = with_pool(family);
        let before = lab.snapshot();
        for _ in 0..3 {
            lab.add("tap", &c, &config);
            lab.del("tap", &c, &config);
        }
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
    }
}
