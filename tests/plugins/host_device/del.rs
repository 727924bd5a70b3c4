//! DEL and GC, and what is not theirs.

use serde_json::json;

use super::{as_if_the_namespace_died, attached, del, device, lab_with_device, layer2, with_pool};
use crate::under_test::{DEVICE, leases, only_ours, with_keys};

#[test]
fn del_fails_where_the_name_is_taken_on_the_host_and_succeeds_when_it_is_free_again() {
    lab_with_device(|lab| {
        let c = attached(lab, "c1", &with_pool());
        lab.host().run(&format!("ip link add dev {DEVICE} type veth peer name other"));
        let error = del(lab, &c, &with_pool()).error();
        assert_eq!(c.link("eth0").unwrap()["ifalias"], DEVICE);
        if crate::under_test::are_ours(lab) {
            error.says(&["give link eth0", DEVICE, "is taken", "rename"]);
        }
        lab.host().run(&format!("ip link del dev {DEVICE}"));
        del(lab, &c, &with_pool()).is_silent();
        device(lab);
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn del_leaves_links_of_the_host_alone_that_are_called_as_the_containers() {
    lab_with_device(|lab| {
        only_ours(lab, "fails");
        let c = attached(lab, "c1", &layer2());
        del(lab, &c, &layer2()).is_silent();
        c.remove();
        lab.host().run("ip link add dev eth0 type veth peer name other");
        lab.host().run("ip link set dev eth0 alias uplink");
        let before = lab.snapshot();
        del(lab, &c, &layer2()).is_silent();
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_device_that_ends_with_its_namespace_keeps_nobody_from_del() {
    lab_with_device(|lab| {
        only_ours(lab, "fails without the namespace [E]");
        let c = attached(lab, "c1", &layer2());
        c.remove();
        lab.host().wait_until_gone(&format!("{DEVICE}-peer"));
        let before = lab.snapshot();
        del(lab, &c, &layer2()).is_silent();
        lab.assert_unchanged_but(&before, &["/run/cais/attachments/"]);
    });
}

#[test]
fn gc_brings_devices_home_that_are_not_listed_and_leaves_others() {
    lab_with_device(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        lab.host().run("ip link add dev dev1 type veth peer name dev1-peer");
        let version = json!({ "cniVersion": "1.1.0" });
        let config = with_keys(with_pool(), &version);
        let a = attached(lab, "a", &config);
        let b = attached(lab, "b", &with_keys(config.clone(), &json!({ "device": "dev1" })));
        lab.plugin("host-device").config(&config).verb("GC").run().is_silent();
        assert!(a.link("eth0").is_some() && b.link("eth0").is_some());
        let valid =
            json!({ "cni.dev/valid-attachments": [{ "containerID": "b", "ifname": "eth0" }] });
        lab.plugin("host-device").config(&with_keys(config, &valid)).verb("GC").run().is_silent();
        assert!(a.link("eth0").is_none() && b.link("eth0").is_some());
        device(lab);
        assert_eq!(leases(), ["10.1.0.3"]);
    });
}

#[test]
fn gc_gives_a_device_its_name_again_that_the_kernel_brought_home() {
    lab_with_device(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let config = with_keys(layer2(), &json!({ "cniVersion": "1.1.0" }));
        let c = attached(lab, "c1", &config);
        as_if_the_namespace_died(&c);
        c.remove();
        lab.plugin("host-device").config(&config).verb("GC").run().is_silent();
        assert!(device(lab)["ifalias"].is_null());
    });
}

#[test]
fn two_devices_of_one_container_come_home_each_under_its_name() {
    lab_with_device(|lab| {
        lab.host().run("ip link add dev dev1 type veth peer name dev1-peer");
        let second = with_keys(layer2(), &json!({ "device": "dev1" }));
        let c = attached(lab, "c1", &layer2());
        let call =
            lab.plugin("host-device").container(&c).config(&second).env("CNI_IFNAME", "net1");
        call.clone().verb("ADD").run().succeeded();
        assert_eq!(c.link("net1").unwrap()["ifalias"], "dev1");
        del(lab, &c, &layer2()).is_silent();
        device(lab);
        assert!(c.link("net1").is_some());
        call.verb("DEL").run().is_silent();
        assert!(lab.host().link("dev1").is_some());
    });
}
