//! What it is all for.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, lan, layer2, master, with, with_addresses, with_pool};
use crate::battery::Family;
use crate::under_test::only_ours;

every_family! {
    fn containers_on_one_master_reach_each_other_and_the_lan_in_mode_bridge(lab, family) {
        let lan = lan(lab);
        let config = with_pool(family);
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        a.assert_reaches(&b);
        b.assert_reaches(&a);
        lan.assert_reaches(&a);
    }

    fn containers_on_one_master_reach_the_lan_alone_in_mode_private(lab, family) {
        let lan = lan(lab);
        let config = with(with_pool(family), "mode", json!("private"));
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        for address in b.all_addresses() {
            a.assert_cannot_reach_at(&b, address);
        }
        lan.assert_reaches(&a);
        lan.assert_reaches(&b);
    }

    /// A new owner of an address must not wait until its neighbours forget the one before.
    fn a_new_owner_of_an_address_on_the_lan_is_reached_at_once(lab, family) {
        let lan = lan(lab);
        let config = with_addresses(&match family {
            Family::V4 => vec!["10.1.0.6/24"],
            Family::V6 => vec!["fd00:1::6/64"],
            Family::Dual => vec!["10.1.0.6/24", "fd00:1::6/64"],
        });
        let first = attached(lab, "first", &config);
        lan.assert_reaches(&first);
        only_ours(lab, "announces nothing for IPv6 (1.1.1)");
        lab.del("macvlan", &first, &config);
        let second = attached(lab, "second", &config);
        lan.assert_reaches(&second);
    }

    fn a_macvlan_can_use_its_addresses_when_add_returns(lab, family) {
        let _lan = lan(lab);
        let c = attached(lab, "c", &with_pool(family));
        let shown = c.run("ip addr show dev eth0 scope global");
        only_ours(lab, "waits for IPv6 addresses with a gateway alone");
        assert!(!shown.contains("tentative"), "{shown}");
        assert_eq!(c.addresses("eth0"), family.first_addresses());
    }
}

#[test]
fn containers_reach_each_other_in_mode_vepa_if_the_switch_sends_frames_back() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let config = |address: &str| with(with_addresses(&[address]), "mode", json!("vepa"));
        let a = attached(lab, "a", &config("10.1.0.5/24"));
        let b = attached(lab, "b", &config("10.1.0.6/24"));
        a.assert_cannot_reach_at(&b, "10.1.0.6".parse().unwrap());
        lan.run("ip addr flush dev eth0");
        lan.run("ip link add dev switch type bridge");
        lan.run("ip link set dev switch up");
        lan.run("ip link set dev eth0 master switch");
        lan.run("bridge link set dev eth0 hairpin on");
        a.assert_reaches(&b);
    });
}

#[test]
fn a_container_in_mode_passthru_reaches_the_lan() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let config = with(with_addresses(&["10.1.0.5/24"]), "mode", json!("passthru"));
        let c = attached(lab, "c1", &config);
        lan.assert_reaches(&c);
        c.assert_reaches_at(&lan, "10.1.0.250".parse().unwrap());
    });
}

#[test]
fn mode_source_lets_in_those_who_are_listed_and_nobody_else() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no mode source");
        let lan = lan(lab);
        lan.run("ip link set dev eth0 address 02:00:00:00:00:fa");
        let config = |source: &str, address: &str| {
            let config = with(with_addresses(&[address]), "mode", json!("source"));
            with(config, "sources", json!([source]))
        };
        let a = attached(lab, "a", &config("02:00:00:00:00:fa", "10.1.0.5/24"));
        let b = attached(lab, "b", &config("02:00:00:00:00:fb", "10.1.0.6/24"));
        lan.assert_reaches(&a);
        lan.assert_cannot_reach_at(&b, "10.1.0.6".parse().unwrap());
    });
}

#[test]
fn a_macvlan_without_addresses_passes_frames() {
    lab_with_plugins(|lab| {
        master(lab);
        let (a, b) = (attached(lab, "a", &layer2()), attached(lab, "b", &layer2()));
        a.run("ip addr add 10.5.0.1/24 dev eth0");
        b.run("ip addr add 10.5.0.2/24 dev eth0");
        a.assert_reaches(&b);
    });
}

/// IPv6 probes its addresses only when there is somebody to ask.
#[test]
fn without_a_carrier_add_does_not_wait_for_one() {
    lab_with_plugins(|lab| {
        only_ours(lab, "waits five seconds");
        master(lab).run("ip link set dev lan0-peer down");
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c).config(&with_pool(Family::Dual));
        let outcome = call.verb("ADD").patience(std::time::Duration::from_secs(3)).run();
        outcome.succeeded();
    });
}
