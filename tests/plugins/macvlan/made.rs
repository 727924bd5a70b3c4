//! A master that is a VLAN and is missing: made with its first user, gone with the last.

use netns_fixtures::{Feature, Lab, lab_with_plugins, skip};
use serde_json::{Value, json};

use super::{attached, lan, layer2, master, with, with_addresses};
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, only_ours};

const VLAN: &str = "lan0.50";

fn on_vlan(config: Value) -> Value {
    with(config, "master", json!(VLAN))
}

fn needs_vlan(lab: &Lab) {
    only_ours(lab, "makes no master");
    lab.needs(Feature::Vlan);
}

#[test]
fn a_vlan_is_made_with_its_first_container_and_goes_with_the_last() {
    lab_with_plugins(|lab| {
        needs_vlan(lab);
        let lan = lan(lab);
        lan.run("ip link add link eth0 name eth0.50 type vlan id 50");
        lan.run("ip link set dev eth0.50 up");
        lan.run("ip addr add 10.2.0.250/24 dev eth0.50");
        let before = lab.snapshot();
        let (one, two) =
            (on_vlan(with_addresses(&["10.2.0.5/24"])), on_vlan(with_addresses(&["10.2.0.6/24"])));
        let a = attached(lab, "a", &one);
        let vlan = lab.host().link(VLAN).expect("ADD makes it");
        assert_eq!((&vlan["ifalias"], &vlan["link"]), (&json!("cais:master"), &json!("lan0")));
        // Of another network, too.
        let two = with(two, "name", json!("other"));
        let b = attached(lab, "b", &two);
        a.assert_reaches(&b);
        a.assert_reaches_at(&lan, "10.2.0.250".parse().unwrap());
        lab.del("macvlan", &a, &one);
        assert!(lab.host().link(VLAN).is_some(), "the other network uses it");
        lab.del("macvlan", &b, &two);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn a_vlan_that_somebody_else_made_stays() {
    lab_with_plugins(|lab| {
        needs_vlan(lab);
        master(lab).run(&format!("ip link add link lan0 name {VLAN} type vlan id 7"));
        lab.host().run(&format!("ip link set dev {VLAN} up"));
        let before = lab.snapshot();
        let config = on_vlan(layer2());
        let c = attached(lab, "c1", &config);
        lab.del("macvlan", &c, &config);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn a_vlan_is_taken_back_when_add_fails_and_kept_when_the_first_add_did_not() {
    lab_with_plugins(|lab| {
        needs_vlan(lab);
        master(lab);
        let before = lab.snapshot();
        let c = lab.container("c1");
        let twice = on_vlan(with_addresses(&["10.2.0.5/24", "10.2.0.5/24"]));
        let call = lab.plugin("macvlan").container(&c);
        call.clone().config(&twice).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
        let config = on_vlan(layer2());
        call.clone().config(&config).verb("ADD").run().succeeded();
        call.clone().config(&config).verb("ADD").run().error().says(&["already exists"]);
        assert!(lab.host().link(VLAN).is_some() && c.link("eth0").is_some());
        call.config(&config).verb("DEL").run().is_silent();
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
    });
}

#[test]
fn a_vlan_goes_with_the_last_container_that_gc_removes() {
    lab_with_plugins(|lab| {
        needs_vlan(lab);
        master(lab);
        let before = lab.snapshot();
        let config = with(on_vlan(layer2()), "cniVersion", json!("1.1.0"));
        lab.plugin("macvlan").config(&config).verb("STATUS").run().is_silent();
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        a.remove();
        lab.plugin("macvlan").config(&config).verb("GC").run().is_silent();
        assert!(lab.host().link(VLAN).is_some() && b.link("eth0").is_some());
        let config = with(config, "cni.dev/valid-attachments", json!([]));
        lab.plugin("macvlan").config(&config).verb("GC").run().is_silent();
        assert!(b.link("eth0").is_none());
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn a_vlan_that_cannot_be_made_is_named_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        only_ours(lab, "makes no master");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("macvlan").container(&c).config(&on_vlan(layer2())).verb("ADD");
        call.run().refused(7).says(&["link lan0.50 does not exist"]);
        lab.assert_unchanged(&before);
        let has_vlans = lab.scratch(|scratch| {
            scratch.run("ip link add dev base type veth peer name other");
            scratch.try_run("ip link add link base name probe type vlan id 5").status.success()
        });
        if has_vlans {
            skip("this kernel can make VLANs");
        }
        master(lab);
        let before = lab.snapshot();
        call.run().error().says(&["create vlan lan0.50", "over lan0", "8021q"]);
        lab.assert_unchanged(&before);
    });
}
