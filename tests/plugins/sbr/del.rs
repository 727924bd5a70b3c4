//! DEL, whatever is left.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{call, config, container, routes, rules};
use crate::under_test::{BOOKKEEPING, only_ours, unlike_reference};

#[test]
fn del_removes_rules_and_tables_and_can_be_repeated() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip rule add from 10.9.9.9 lookup 900");
        let main = routes(&c, "main");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        for _ in 0..2 {
            call(lab, "DEL", &c, &json!({})).run().succeeded();
            assert_eq!(rules(&c), ["from 10.9.9.9 lookup 900"]);
        }
        unlike_reference(lab, "leaves the tables, and the main one without routes", || {
            assert_eq!([routes(&c, "100"), routes(&c, "101")].concat(), [""; 0]);
            assert_eq!(routes(&c, "main"), main);
        });
    });
}

#[test]
fn del_needs_neither_a_result_nor_the_interface_nor_a_right_configuration() {
    lab_with_plugins(|lab| {
        only_ours(lab, "validates first, and leaves rules when the interface is gone");
        let c = container(lab, "c1");
        for members in [json!({ "prevResult": null }), json!({ "table": "x" })] {
            call(lab, "ADD", &c, &json!({})).run().succeeded();
            call(lab, "DEL", &c, &members).run().is_silent();
            assert_eq!(rules(&c), [""; 0]);
        }
        call(lab, "ADD", &c, &json!({ "table": 300 })).run().succeeded();
        c.run("ip link del dev eth0");
        call(lab, "DEL", &c, &json!({ "table": 300 })).run().is_silent();
        assert_eq!(rules(&c), [""; 0]);
    });
}

#[test]
fn del_succeeds_when_the_namespace_is_gone_and_makes_no_file_in_its_place() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        let path = c.path().to_owned();
        c.remove();
        let del = call(lab, "DEL", &c, &json!({}));
        unlike_reference(lab, "makes an empty file there, and fails [E]", || {
            del.clone().run().is_silent();
            assert!(!path.exists());
        });
        let _ = std::fs::remove_file(&path);
        unlike_reference(lab, "fails on an empty path [E]", || {
            del.clone().env("CNI_NETNS", "").run().is_silent();
        });
        // What an unmount leaves.
        std::fs::write(&path, "").unwrap();
        unlike_reference(lab, "fails on a plain file for ever [E]", || {
            del.clone().run().is_silent();
        });
        std::fs::remove_file(&path).unwrap();
        only_ours(lab, "leaves nothing, and keeps nothing");
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn del_of_one_interface_leaves_the_other_alone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        let mut other = config(&c, &json!({}));
        other["prevResult"] = Value::Null;
        c.run("ip link add dev net1 type veth peer name net1p");
        c.run("ip addr add 10.2.0.2/24 dev net1");
        let del = lab.plugin("sbr").container(&c).ifname("net1").config(&other).verb("DEL").run();
        if crate::under_test::are_ours(lab) {
            del.is_silent();
        }
        assert_eq!(rules(&c).len(), 2);
    });
}
