//! Defects of the reference that have no place of their own in the other files.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{both, call, config, container, filters, queues, shapers};
use crate::under_test::{only_ours, unlike_reference, with_keys};

#[test]
fn a_second_add_sets_the_limits_anew() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &both()).run().succeeded();
        unlike_reference(lab, "fails with \"file exists\" [E]", || {
            call(lab, "ADD", &c, &both()).run().succeeded();
            let faster = with_keys(both(), &json!({ "ingressRate": 16_000_000 }));
            call(lab, "ADD", &c, &faster).run().succeeded();
            call(lab, "CHECK", &c, &faster).run().is_silent();
            let one_way = json!({ "ingressRate": 8_000_000, "ingressBurst": 80_000 });
            call(lab, "ADD", &c, &one_way).run().succeeded();
            assert_eq!(shapers(lab.host()), [""; 0]);
            assert_eq!(filters(lab.host(), "end-c1"), "");
        });
    });
}

/// Of tools that look at what arrives.
mod filters_of_others_stay_and_see_packets_first {
    use super::*;

    fn case(lab: &netns_fixtures::Lab, kind: &str) {
        let c = container(lab, "c1");
        let host = lab.host();
        host.run(&format!("tc qdisc add dev end-c1 {kind}"));
        let theirs = "prio 5 protocol ip u32 match ip dst 10.66.0.0/16 flowid 9:9";
        host.run(&format!("tc filter add dev end-c1 ingress {theirs}"));
        let before = lab.snapshot();
        unlike_reference(lab, "fails, since it makes its own [E]", || {
            call(lab, "ADD", &c, &both()).run().succeeded();
            let seen = filters(host, "end-c1");
            let (of_others, ours) = (seen.find("flowid 9:9"), seen.find("Redirect to"));
            assert!(of_others.is_some() && of_others < ours, "{seen}");
            call(lab, "CHECK", &c, &both()).run().is_silent();
            call(lab, "ADD", &c, &both()).run().succeeded();
            call(lab, "DEL", &c, &both()).run().is_silent();
            lab.assert_unchanged_but(&before, crate::under_test::BOOKKEEPING);
        });
    }

    stamp!(lab_with_plugins, case, of_ingress: "ingress", of_clsact: "clsact");
}

#[test]
fn two_interfaces_of_a_container_on_one_network_are_limited_each() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        lab.wire((lab.host(), "end-2"), (&c, "eth1"));
        let mut second = config(&c, &both());
        second["prevResult"]["interfaces"][0]["name"] = json!("eth1");
        second["prevResult"]["interfaces"][1]["name"] = json!("end-2");
        let second = lab.plugin("bandwidth").container(&c).ifname("eth1").config(&second);
        call(lab, "ADD", &c, &both()).run().succeeded();
        unlike_reference(lab, "gives both one name, and fails [E]", || {
            second.clone().verb("ADD").run().succeeded();
            assert_eq!(shapers(lab.host()).len(), 2);
            second.clone().verb("CHECK").run().is_silent();
            call(lab, "DEL", &c, &both()).run().is_silent();
            assert_eq!(shapers(lab.host()).len(), 1);
            second.clone().verb("CHECK").run().is_silent();
            second.verb("DEL").run().is_silent();
            assert_eq!(shapers(lab.host()), [""; 0]);
        });
    });
}

#[test]
fn after_a_large_burst_packets_wait_for_milliseconds_and_not_for_minutes() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        // What containerd asks for where a pod is annotated: 10 Mbit/s, and 512 MiB at once.
        let members = json!({ "ingressRate": 10_000_000, "ingressBurst": 4_294_967_295_u64 });
        call(lab, "ADD", &c, &members).run().succeeded();
        unlike_reference(lab, "lets the whole burst wait, for seven minutes [E]", || {
            let seen = queues(lab.host(), "end-c1").join("\n");
            assert!(seen.contains("bfifo 2: parent 1:1 limit 101250b"), "{seen}");
            call(lab, "CHECK", &c, &members).run().is_silent();
        });
    });
}

#[test]
fn a_burst_of_more_than_275_seconds_is_kept() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        // 2^32 ticks of 64 ns, and a few.
        let members = json!({ "ingressRate": 1_000_000, "ingressBurst": 274_877_912 });
        unlike_reference(
            lab,
            "keeps the last 32 bits of its length, which let nothing pass",
            || {
                call(lab, "ADD", &c, &members).run().succeeded();
                call(lab, "CHECK", &c, &members).run().is_silent();
                c.run("ip addr add 10.7.0.2/24 dev eth0");
                lab.host().run("ip addr add 10.7.0.1/24 dev end-c1");
                lab.host().assert_reaches(&c);
            },
        );
    });
}

#[test]
fn a_list_in_which_it_comes_first_is_an_error_with_words() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        for members in
            [json!({ "prevResult": null }), with_keys(both(), &json!({ "prevResult": null }))]
        {
            let add = call(lab, "ADD", &c, &members).run();
            if members.as_object().unwrap().len() == 1 {
                unlike_reference(lab, "crashes where nothing is to be limited [E]", || {
                    add.refused(7).says(&["prevResult", "hint"]);
                });
            } else {
                add.error();
            }
        }
        only_ours(lab, "has other words");
        call(lab, "CHECK", &c, &json!({ "prevResult": null })).run().refused(7);
    });
}
