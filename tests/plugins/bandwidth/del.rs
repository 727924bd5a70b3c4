//! DEL, whatever is left.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{both, call, config, container, shapers};
use crate::under_test::{BOOKKEEPING, only_ours, unlike_reference};

#[test]
fn del_leaves_the_pair_as_it_was() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        call(lab, "ADD", &c, &both()).run().succeeded();
        for _ in 0..2 {
            call(lab, "DEL", &c, &both()).run().is_silent();
            assert_eq!(shapers(lab.host()), [""; 0]);
            unlike_reference(lab, "leaves queues and a filter that drops all", || {
                lab.assert_unchanged_but(&before, BOOKKEEPING);
            });
        }
    });
}

#[test]
fn del_needs_neither_limits_nor_a_result_nor_a_right_configuration() {
    lab_with_plugins(|lab| {
        for (number, members) in [
            json!({ "prevResult": null }),
            json!({ "egressRate": 5 }),
            json!({ "shapedSubnets": 7 }),
        ]
        .iter()
        .enumerate()
        {
            let c = container(lab, &format!("c{number}"));
            let before = shapers(lab.host());
            call(lab, "ADD", &c, &both()).run().succeeded();
            let del = || {
                call(lab, "DEL", &c, members).run().is_silent();
                assert!(!shapers(lab.host()).iter().any(|link| !before.contains(link)));
            };
            // It reads limits before anything else, though not networks.
            match number {
                1 => unlike_reference(lab, "needs right limits", del),
                _ => del(),
            }
        }
    });
}

#[test]
fn del_succeeds_when_the_namespace_is_gone() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &both()).run().succeeded();
        let path = c.path().to_owned();
        c.remove();
        lab.host().wait_until_gone("end-c1");
        // What an unmount leaves.
        std::fs::write(&path, "").unwrap();
        let del = call(lab, "DEL", &c, &both());
        del.clone().run().is_silent();
        del.clone().env("CNI_NETNS", "").run().is_silent();
        std::fs::remove_file(&path).unwrap();
        del.run().is_silent();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn del_without_a_limit_leaves_queues_of_others_alone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        lab.host()
            .run("tc qdisc add dev end-c1 root handle 1: tbf rate 1mbit burst 2000 limit 9000");
        let before = lab.snapshot();
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        call(lab, "DEL", &c, &json!({})).run().is_silent();
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_link_of_the_name_that_another_interface_has_stays() {
    lab_with_plugins(|lab| {
        only_ours(lab, "takes the link of the other interface away [E]");
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &both()).run().succeeded();
        lab.wire((lab.host(), "end-2"), (&c, "eth1"));
        let config = config(&c, &json!({}));
        let del = lab.plugin("bandwidth").container(&c).ifname("eth1").config(&config);
        del.verb("DEL").run().is_silent();
        assert_eq!(shapers(lab.host()).len(), 1);
        call(lab, "CHECK", &c, &both()).run().is_silent();
    });
}
