//! Defects of the reference: those that every kernel shows first.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{call, config, container, lab_with_vrfs, routes, table};
use crate::under_test::unlike_reference;

#[test]
fn del_of_vrf_succeeds_when_the_namespace_is_gone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let path = c.path().to_owned();
        let del = lab.plugin("vrf").container(&c).config(&config(&c, &json!({}))).verb("DEL");
        c.remove();
        del.clone().run().is_silent();
        del.clone().env("CNI_NETNS", "").run().is_silent();
        assert!(!path.exists());
        // What an unmount leaves.
        std::fs::write(&path, "").unwrap();
        unlike_reference(lab, "fails on a plain file for ever [E]", || {
            del.clone().run().is_silent();
        });
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn check_fails_when_the_vrf_is_gone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let check = || call(lab, "CHECK", &c, &json!({})).run();
        unlike_reference(lab, "passes without the VRF [E]", || {
            check().refused(101).says(&["VRF blue is missing in /run/netns/c1"]);
        });
        c.run("ip link del dev eth0");
        unlike_reference(lab, "passes without VRF and interface [E]", || {
            check().refused(101).says(&["eth0 is missing in /run/netns/c1"]);
        });
    });
}

#[test]
fn del_succeeds_when_the_interface_is_gone_and_takes_the_vrf() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        c.run("ip link del dev eth0");
        unlike_reference(lab, "fails without the interface [E]", || {
            call(lab, "DEL", &c, &json!({})).run().is_silent();
            assert!(c.link("blue").is_none());
        });
    });
}

#[test]
fn a_second_add_makes_nothing_twice_and_moves_new_routes() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        let first = routes(&c, "1");
        unlike_reference(lab, "fails, since the interface has a master [E]", || {
            call(lab, "ADD", &c, &json!({})).run().succeeded();
            assert_eq!(routes(&c, "1"), first);
            c.run("ip route add 10.7.0.0/16 dev eth0");
            call(lab, "ADD", &c, &json!({})).run().succeeded();
            assert_eq!(routes(&c, "main"), [""; 0]);
            assert_eq!(routes(&c, "1").len(), first.len() + 1);
        });
    });
}

#[test]
fn a_table_that_others_use_is_not_taken() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        c.run("ip route add 10.55.0.0/16 dev peer0 table 1");
        c.run("ip route add unreachable 10.56.0.0/16 table 2");
        c.run("ip rule add from 10.9.9.9 lookup 3");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        unlike_reference(lab, "looks at tables of VRFs alone [E]", || {
            assert_eq!(table(&c, "blue"), Some(4));
        });
    });
}

#[test]
fn a_route_on_the_link_is_kept_and_so_is_one_of_another_table() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        c.run("ip route add 192.0.2.1 dev eth0 scope link");
        c.run("ip route add 10.66.0.0/16 via 192.0.2.1 dev eth0");
        c.run("ip route add 10.67.0.0/16 dev eth0 table 300");
        call(lab, "ADD", &c, &json!({ "table": 7 })).run().succeeded();
        unlike_reference(lab, "keeps global routes of the main table alone [E]", || {
            let seen = routes(&c, "7").join("\n");
            assert!(seen.contains("192.0.2.1 dev eth0") && seen.contains("10.66.0.0/16"), "{seen}");
            assert!(routes(&c, "300").join("\n").contains("10.67.0.0/16"));
        });
    });
}
