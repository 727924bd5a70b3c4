//! From ADD to DEL: where the device is, and how.

use serde_json::json;

use super::{attached, del, device, is_up, lab_with_device, layer2, with_pool};
use crate::under_test::{BOOKKEEPING, DEVICE, OF_THE_STORE, leases, unlike_reference, with_keys};

#[test]
fn a_container_has_the_device_under_its_own_name_and_the_alias_says_the_former() {
    lab_with_device(|lab| {
        let mac = device(lab)["address"].clone();
        let c = lab.container("c1");
        let result = lab.add("host-device", &c, &layer2());
        let link = c.link("eth0").unwrap();
        assert_eq!((&link["address"], &link["ifalias"]), (&mac, &json!(DEVICE)));
        assert!(is_up(&link));
        assert!(lab.host().link(DEVICE).is_none());
        assert_eq!(result["interfaces"][0]["mac"], mac);
        assert_eq!(result["interfaces"][0]["sandbox"], json!(c.path()));
        unlike_reference(lab, "never fills the MTU", || {
            assert_eq!(result["interfaces"][0]["mtu"], 1500);
        });
    });
}

#[test]
fn add_and_del_leave_the_host_as_it_was() {
    lab_with_device(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        for _ in 0..3 {
            lab.add("host-device", &c, &with_pool());
            assert_eq!(c.addresses("eth0").len(), 1);
            lab.del("host-device", &c, &with_pool());
        }
        unlike_reference(lab, "leaves the alias", || {
            lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
        });
    });
}

#[test]
fn a_device_comes_home_up_with_its_mtu_address_and_alias() {
    lab_with_device(|lab| {
        let host = lab.host();
        host.run(&format!("ip link set dev {DEVICE} mtu 1400 alias uplink up"));
        let before = device(lab);
        let c = attached(lab, "c1", &layer2());
        c.run("ip link set dev eth0 mtu 1300 address 02:00:00:00:00:99");
        del(lab, &c, &layer2()).is_silent();
        unlike_reference(lab, "leaves the device down, with what the container made of it", || {
            let after = device(lab);
            for key in ["mtu", "address", "ifalias"] {
                assert_eq!(after[key], before[key], "{key}");
            }
            assert!(is_up(&after));
        });
    });
}

#[test]
fn traffic_flows_over_the_device() {
    lab_with_device(|lab| {
        let lan = lab.another_host("lan");
        lab.host().run(&format!("ip link set dev {DEVICE}-peer netns {}", lan.path().display()));
        lan.run(&format!("ip addr add 10.1.0.1/24 dev {DEVICE}-peer"));
        lan.run(&format!("ip link set dev {DEVICE}-peer up"));
        let c = attached(lab, "c1", &with_pool());
        c.assert_reaches(&lan);
    });
}

#[test]
fn check_passes_after_add_and_names_what_is_missing() {
    lab_with_device(|lab| {
        let c = lab.container("c1");
        let result = lab.add("host-device", &c, &with_pool());
        let config = with_keys(with_pool(), &json!({ "prevResult": result }));
        let check = || lab.plugin("host-device").container(&c).config(&config).verb("CHECK").run();
        check().is_silent();
        c.run("ip addr del 10.1.0.2/24 dev eth0");
        check().error().says(&["10.1.0.2"]);
        c.run("ip addr add 10.1.0.2/24 dev eth0");
        c.run("ip link set dev eth0 address 02:00:00:00:00:07");
        check().error().says(&["02:00:00:00:00:07"]);
    });
}

#[test]
fn a_device_that_a_program_drives_is_not_moved_and_gets_addresses_in_the_result_alone() {
    lab_with_device(|lab| {
        let config = with_keys(with_pool(), &json!({ "DPDKMode": true }));
        let c = lab.container("c1");
        let before = lab.snapshot();
        let result = lab.add("host-device", &c, &config);
        assert!(c.link("eth0").is_none() && lab.host().link(DEVICE).is_some());
        assert_eq!(result["ips"][0]["address"], "10.1.0.2/24");
        assert!(result["interfaces"][0]["mac"].is_null());
        assert_eq!(leases(), ["10.1.0.2"]);
        let with_result = with_keys(config.clone(), &json!({ "prevResult": result }));
        lab.plugin("host-device")
            .container(&c)
            .config(&with_result)
            .verb("CHECK")
            .run()
            .is_silent();
        del(lab, &c, &config).is_silent();
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
    });
}
