//! Defects of the reference.

use serde_json::json;

use super::{
    as_if_the_namespace_died, attached, del, device, is_up, lab_with_device, layer2, with_pool,
};
use crate::under_test::{DEVICE, leases, unlike_reference, with_keys};

#[test]
fn del_of_host_device_without_a_namespace_releases_the_address_and_brings_the_device_home() {
    lab_with_device(|lab| {
        let c = attached(lab, "c1", &with_pool());
        let call = lab.plugin("host-device").container(&c).config(&with_pool()).verb("DEL");
        call.env("CNI_NETNS", "").run().succeeded();
        unlike_reference(lab, "does nothing without a namespace [E]", || {
            assert_eq!(leases(), [""; 0]);
            device(lab);
        });
    });
}

#[test]
fn del_of_host_device_releases_the_address_when_the_namespace_is_gone_or_a_stale_file() {
    lab_with_device(|lab| {
        for stale in [false, true] {
            if lab.host().link(DEVICE).is_none() {
                crate::under_test::furnish_host(lab.host(), "host-device");
            }
            let c = attached(lab, if stale { "stale" } else { "gone" }, &with_pool());
            c.remove();
            lab.host().wait_until_gone(&format!("{DEVICE}-peer"));
            if stale {
                std::fs::write(c.path(), "").unwrap();
            }
            unlike_reference(lab, "fails, and keeps the address [E]", || {
                del(lab, &c, &with_pool()).is_silent();
                assert_eq!(leases(), [""; 0]);
            });
            if stale {
                std::fs::remove_file(c.path()).unwrap();
            }
        }
    });
}

#[test]
fn a_second_del_of_host_device_succeeds() {
    lab_with_device(|lab| {
        let c = attached(lab, "c1", &with_pool());
        del(lab, &c, &with_pool()).is_silent();
        unlike_reference(lab, "fails the second time [E]", || {
            del(lab, &c, &with_pool()).is_silent();
        });
    });
}

#[test]
fn a_device_that_was_renamed_in_the_container_comes_home() {
    lab_with_device(|lab| {
        let c = attached(lab, "c1", &layer2());
        c.run("ip link set dev eth0 down");
        c.run("ip link set dev eth0 name lan7");
        unlike_reference(lab, "looks for the interface by its name alone [E]", || {
            del(lab, &c, &layer2()).is_silent();
            assert!(device(lab)["ifalias"].is_null());
        });
    });
}

#[test]
fn a_device_that_the_kernel_brought_home_has_its_name_again_after_del() {
    lab_with_device(|lab| {
        lab.host().run(&format!("ip link set dev {DEVICE} up"));
        let c = attached(lab, "c1", &layer2());
        as_if_the_namespace_died(&c);
        c.remove();
        unlike_reference(lab, "leaves it under the container's name [E]", || {
            del(lab, &c, &layer2()).is_silent();
            let home = device(lab);
            assert!(home["ifalias"].is_null() && is_up(&home));
            assert!(lab.host().link("eth0").is_none());
        });
    });
}

#[test]
fn a_vanished_pci_device_does_not_keep_del_from_releasing_the_address() {
    lab_with_device(|lab| {
        let c = attached(lab, "c1", &with_pool());
        let keys = json!({ "device": "", "pciBusID": "0000:00:1e.7" });
        let config = with_keys(with_pool(), &keys);
        unlike_reference(lab, "looks for the PCI device first, and fails [E]", || {
            del(lab, &c, &config).is_silent();
            assert_eq!(leases(), [""; 0]);
            device(lab);
        });
    });
}

#[test]
fn the_name_servers_that_ipam_gives_are_in_the_result_of_host_device() {
    lab_with_device(|lab| {
        let ipam = json!({
            "type": "static", "addresses": [{ "address": "10.1.0.5/24" }],
            "dns": { "nameservers": ["10.1.0.53"] },
        });
        let config = with_keys(layer2(), &json!({ "ipam": ipam }));
        let result = lab.add("host-device", &lab.container("c1"), &config);
        unlike_reference(lab, "drops what IPAM says of name servers [E]", || {
            assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        });
    });
}
