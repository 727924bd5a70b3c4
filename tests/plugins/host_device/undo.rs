//! An ADD that fails has changed nothing.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{attached, device, lab_with_device, layer2, with_pool};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, DEVICE, OF_THE_STORE, unlike_reference, with_keys};

/// Claims that ADD fails, and that all is as it was.
#[track_caller]
fn fails_without_a_trace(lab: &Lab, c: &Container, config: &Value) {
    let before = lab.snapshot();
    let call = lab.plugin("host-device").container(c).config(config).verb("ADD");
    call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat());
}

#[test]
fn a_device_comes_home_when_the_ipam_plugin_fails() {
    lab_with_device(|lab| {
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 11, "msg": "no" }));
        let config = with_keys(layer2(), &json!({ "ipam": { "type": "fake" } }));
        unlike_reference(lab, "leaves the device in the container [E]", || {
            fails_without_a_trace(lab, &c, &config);
        });
    });
}

#[test]
fn a_device_comes_home_up_when_its_route_cannot_be_made() {
    lab_with_device(|lab| {
        lab.host().run(&format!("ip link set dev {DEVICE} mtu 1400 up"));
        lab.host().settle_link_local();
        let c = lab.container("c1");
        let routes = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        let ipam = json!({ "type": "host-local", "subnet": "10.1.0.0/24", "routes": routes });
        let config = with_keys(layer2(), &json!({ "ipam": ipam }));
        unlike_reference(lab, "leaves the device in the container [E]", || {
            fails_without_a_trace(lab, &c, &config);
        });
        if crate::under_test::are_ours(lab) {
            assert!(super::is_up(&device(lab)));
        }
    });
}

#[test]
fn a_device_comes_home_when_an_old_result_cannot_tell_of_it() {
    lab_with_device(|lab| {
        let c = lab.container("c1");
        let config = with_keys(layer2(), &json!({ "cniVersion": "0.2.0" }));
        unlike_reference(lab, "leaves the device in the container [E]", || {
            fails_without_a_trace(lab, &c, &config);
        });
    });
}

#[test]
fn a_name_that_is_taken_in_the_container_leaves_the_device_at_home() {
    lab_with_device(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        unlike_reference(lab, "leaves the alias", || {
            fails_without_a_trace(lab, &c, &with_pool());
        });
        let call = lab.plugin("host-device").container(&c).config(&with_pool()).verb("ADD");
        if crate::under_test::are_ours(lab) {
            call.run().refused(4).says(&["move link dev0", "eth0 already exists"]);
        }
    });
}

#[test]
fn a_second_add_is_refused_and_the_first_keeps_the_device() {
    lab_with_device(|lab| {
        let c = attached(lab, "c1", &with_pool());
        fails_without_a_trace(lab, &c, &with_pool());
        assert_eq!(c.link("eth0").unwrap()["ifalias"], DEVICE);
        lab.del("host-device", &c, &with_pool());
        device(lab);
    });
}
