//! Which device is meant.

use netns_fixtures::Lab;
use serde_json::{Value, json};

use super::{device, lab_with_device, layer2};
use crate::under_test::{DEVICE, only_ours, with_keys};

fn given(lab: &Lab, keys: &Value) {
    let config = with_keys(layer2(), &json!({ "device": "" }));
    let config = with_keys(config, keys);
    let c = lab.container("c1");
    lab.add("host-device", &c, &config);
    assert_eq!(c.link("eth0").unwrap()["ifalias"], DEVICE);
    lab.del("host-device", &c, &config);
    device(lab);
}

#[test]
fn a_device_is_found_by_its_address() {
    lab_with_device(|lab| given(lab, &json!({ "hwaddr": device(lab)["address"] })));
}

#[test]
fn a_device_is_found_by_its_place_in_sysfs() {
    lab_with_device(|lab| {
        only_ours(lab, "takes the path of what has links, not that of a link");
        given(lab, &json!({ "kernelpath": format!("/sys/devices/virtual/net/{DEVICE}") }));
    });
}

/// All that is virtual: `dev0` is the first by name.
#[test]
fn of_the_links_at_a_place_in_sysfs_the_first_is_meant() {
    lab_with_device(|lab| given(lab, &json!({ "kernelpath": "/sys/devices/virtual" })));
}

#[test]
fn a_device_that_is_not_there_is_named() {
    lab_with_device(|lab| {
        let c = lab.container("c1");
        for (keys, said) in [
            (json!({ "device": "nowhere" }), "nowhere"),
            (json!({ "device": "", "hwaddr": "02:00:00:00:00:77" }), "02:00:00:00:00:77"),
            (json!({ "device": "", "kernelpath": "/sys/devices/none" }), "/sys/devices/none"),
            (json!({ "device": "", "pciBusID": "0000:00:1e.7" }), "0000:00:1e.7"),
            (json!({ "device": "", "runtimeConfig": { "deviceID": "none.sf.1" } }), "none.sf.1"),
        ] {
            let config = with_keys(layer2(), &keys);
            let call = lab.plugin("host-device").container(&c).config(&config).verb("ADD");
            let error = call.run().error();
            if crate::under_test::are_ours(lab) {
                error.says(&[said, "on the host"]);
            }
        }
    });
}
