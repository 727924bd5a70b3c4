//! `ipMasq`: what leaves the container's subnet bears the host's address.

use netns_fixtures::{Container, Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, host_end_name, with, with_pool};
use crate::battery::Family;
use crate::echo::{assert_answers, assert_silent, serve};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{HOST, LAN, lan};

/// Where the other host serves.
const PORT: u16 = 7000;

fn masqueraded(family: Family) -> Value {
    with(with_pool(family), "ipMasq", json!(true))
}

/// A neighbour of the host that serves at [`PORT`].
fn server(lab: &Lab) -> Namespace {
    let lan = lan(lab);
    serve(&lan, "lan", PORT);
    lan
}

/// Claims that the neighbour of the host sees the host instead of `c`.
#[track_caller]
fn is_masqueraded(c: &Container, family: Family) {
    if family != Family::V6 {
        assert_answers(c, (LAN[0], PORT), "lan", HOST[0]);
    }
    if family != Family::V4 {
        assert_answers(c, (LAN[1], PORT), "lan", HOST[1]);
    }
}

/// Everything of the packet filter, of either backend.
fn rules(lab: &Lab) -> String {
    lab.host().run("nft list ruleset")
}

every_family! {
    fn a_neighbour_of_the_host_sees_the_hosts_address_behind_ptp(lab, family) {
        let _lan = server(lab);
        let c = attached(lab, "c1", &masqueraded(family));
        c.settle();
        lab.host().settle();
        is_masqueraded(&c, family);
        let plain = attached(lab, "plain", &with_pool(family));
        // The neighbour knows no way back to those that are not.
        if family != Family::V6 {
            assert_silent(&plain, (LAN[0], PORT));
        }
        lab.del("ptp", &c, &masqueraded(family));
        only_ours(lab, "keeps its chains");
        assert_eq!(rules(lab), "");
    }
}

#[test]
fn both_backends_of_ptp_are_taken_and_no_other() {
    lab_with_plugins(|lab| {
        only_ours(lab, "of 1.1.1 knows no backends");
        let _lan = server(lab);
        for backend in ["iptables", "nftables", ""] {
            let config = with(masqueraded(Family::V4), "ipMasqBackend", json!(backend));
            let c = attached(lab, &format!("c{backend}"), &config);
            is_masqueraded(&c, Family::V4);
            lab.del("ptp", &c, &config);
        }
        let c = lab.container("c1");
        let config = with(masqueraded(Family::V4), "ipMasqBackend", json!("pf"));
        let call = lab.plugin("ptp").container(&c).config(&config).verb("ADD");
        call.run().refused(7).says(&["ipMasqBackend", "pf", "nftables"]);
    });
}

/// A runtime may tear the namespace down first.
#[test]
fn masquerade_of_ptp_goes_when_the_link_has_gone_before() {
    lab_with_plugins(|lab| {
        let config = masqueraded(Family::V4);
        let c = attached(lab, "c1", &config);
        c.run("ip link del dev eth0");
        lab.del("ptp", &c, &config);
        unlike_reference(lab, "leaves the rules when the link has gone [E]", || {
            assert!(!rules(lab).contains("10.1.0.2"), "{}", rules(lab));
        });
    });
}

#[test]
fn masquerade_of_ptp_goes_when_the_namespace_has_gone_before() {
    lab_with_plugins(|lab| {
        let config = masqueraded(Family::V4);
        let c = attached(lab, "c1", &config);
        let end = host_end_name(lab.host());
        c.remove();
        lab.plugin("ptp").container(&c).config(&config).verb("DEL").run().succeeded();
        unlike_reference(lab, "leaves the rules when the namespace has gone [E]", || {
            assert!(!rules(lab).contains("10.1.0.2"), "{}", rules(lab));
        });
        assert!(lab.host().link(&end).is_none());
    });
}

/// A container may be on one network twice.
#[test]
fn masquerade_of_one_interface_of_ptp_outlives_the_other() {
    lab_with_plugins(|lab| {
        let _lan = server(lab);
        let config = masqueraded(Family::V4);
        let c = attached(lab, "c1", &config);
        unlike_reference(lab, "refuses the second, whose chain would be the first's [E]", || {
            let call = lab.plugin("ptp").container(&c).config(&config).ifname("eth1");
            call.clone().verb("ADD").run().succeeded();
            call.verb("DEL").run().succeeded();
            is_masqueraded(&c, Family::V4);
        });
    });
}
