//! Who reaches whom. The whole matrix is that of `bridge`, whose code this is; here is that each key
//! arrives there.

use std::net::IpAddr;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{Resident, network};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::under_test::with_keys;
use crate::uplink::{HOST, LAN, lan};

/// A network with one subnet of each family: `10.<number>.0.0/24` and `fd00:<number>::/64`.
fn numbered(number: u8, keys: &Value) -> Value {
    let subnets = json!([
        { "subnet": format!("10.{number}.0.0/24") },
        { "subnet": format!("fd00:{number}::/64") },
    ]);
    network(&format!("net{number}"), &with_keys(json!({ "subnets": subnets }), keys))
}

#[track_caller]
fn assert_cannot_reach(from: &Resident<'_>, to: &Resident<'_>) {
    for address in to.addresses() {
        from.container.assert_cannot_reach_at(&to.container, address);
    }
}

#[test]
fn containers_of_a_network_reach_each_other_and_those_of_two_do_not() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", numbered(1, &json!({})));
        let b = Resident::new(lab, "b", numbered(1, &json!({})));
        let c = Resident::new(lab, "c", numbered(2, &json!({})));
        a.container.assert_reaches(&b.container);
        for resident in [&a, &b, &c] {
            resident.check();
        }
        assert_cannot_reach(&a, &c);
        assert_cannot_reach(&c, &b);
        lab.host().assert_reaches_at(&a.container, a.address());
    });
}

#[test]
fn open_networks_reach_each_other_and_no_strict_one() {
    lab_with_plugins(|lab| {
        let open = json!({ "isolate": false });
        let a = Resident::new(lab, "a", numbered(1, &open));
        let b = Resident::new(lab, "b", numbered(2, &open));
        let as_text = json!({ "options": { "isolate": "true" } });
        let isolated = Resident::new(lab, "c", numbered(3, &as_text));
        let strict = Resident::new(lab, "d", numbered(4, &json!({ "isolate": "strict" })));
        a.container.assert_reaches(&b.container);
        a.container.assert_reaches(&isolated.container);
        assert_cannot_reach(&a, &strict);
        assert_cannot_reach(&strict, &a);
    });
}

#[test]
fn containers_without_icc_reach_the_host_alone() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", numbered(1, &json!({ "icc": false })));
        let b = Resident::new(lab, "b", numbered(1, &json!({ "icc": false })));
        assert_cannot_reach(&a, &b);
        lab.host().assert_reaches(&a.container);
        a.check();
    });
}

#[test]
fn an_internal_network_has_no_way_in_or_out_and_the_host_is_reached() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        serve(&lan, "lan", 80);
        let internal = json!({ "internal": true });
        let (a, b) = (
            Resident::new(lab, "a", numbered(1, &internal)),
            Resident::new(lab, "b", numbered(1, &internal)),
        );
        a.container.assert_reaches(&b.container);
        lab.host().assert_reaches(&a.container);
        assert_eq!(a.result.get("routes"), None, "{}", a.result);
        a.check();
        // Nobody keeps it from having a route.
        a.container.run("ip route add default via 10.1.0.1");
        assert_silent(&a.container, (LAN[0], 80));
        let other = Resident::new(lab, "c", numbered(2, &json!({})));
        assert_answers(&other.container, (LAN[0], 80), "lan", HOST[0]);
        assert_cannot_reach(&other, &a);
    });
}

#[test]
fn the_bridge_of_an_isolated_network_has_no_address() {
    lab_with_plugins(|lab| {
        let isolated = json!({ "gatewayMode": "isolated", "internal": true });
        let a = Resident::new(lab, "a", numbered(1, &isolated));
        let b = Resident::new(lab, "b", numbered(1, &isolated));
        a.container.assert_reaches(&b.container);
        let addresses = lab.host().addresses(&a.bridge());
        assert!(
            !addresses.iter().any(|one| one.starts_with("10.") || one.starts_with("fd00")),
            "{addresses:?}"
        );
        assert_eq!(a.result["ips"][0].get("gateway"), None);
        a.check();
        a.del();
        b.del();
    });
}

/// What a neighbour on the LAN, who has a route, reaches; and what it sees of who comes out.
fn outside(lab: &Lab, keys: &Value, published_at_host: bool, direct: [bool; 2], seen: &str) {
    let lan = lan(lab);
    serve(&lan, "lan", 80);
    lan.run(&format!("ip route add 10.1.0.0/24 via {}", HOST[0]));
    let ports = json!([
        { "hostPort": 8080, "containerPort": 80, "protocol": "tcp" },
        { "hostPort": 8080, "containerPort": 80, "protocol": "udp" },
    ]);
    let keys = with_keys(keys.clone(), &json!({ "runtimeConfig": { "portMappings": ports } }));
    let a = Resident::new(lab, "a", numbered(1, &keys));
    serve(&a.container, "a", 80);
    serve(&a.container, "unpublished", 81);
    a.check();
    match published_at_host {
        true => assert_answers(&lan, (HOST[0], 8080), "a", LAN[0]),
        false => assert_silent(&lan, (HOST[0], 8080)),
    }
    let own = a.address().to_string();
    for (port, name, reached) in [(80, "a", direct[0]), (81, "unpublished", direct[1])] {
        match reached {
            true => assert_answers(&lan, (&own, port), name, LAN[0]),
            false => assert_silent(&lan, (&own, port)),
        }
    }
    let seen: IpAddr = if seen == "own" { a.address() } else { seen.parse().unwrap() };
    assert_answers(&a.container, (LAN[0], 80), "lan", &seen.to_string());
}

#[test]
fn mode_nat_has_published_ports_at_the_host_and_hides_who_goes_out() {
    lab_with_plugins(|lab| outside(lab, &json!({}), true, [false, false], HOST[0]));
}

#[test]
fn mode_nat_unprotected_lets_neighbours_come_directly_as_well() {
    let keys = json!({ "options": {
        "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected",
        "com.docker.network.bridge.gateway_mode_ipv6": "nat-unprotected",
    } });
    lab_with_plugins(|lab| outside(lab, &keys, true, [true, true], HOST[0]));
}

#[test]
fn mode_routed_has_published_ports_at_the_containers_address_and_hides_nobody() {
    let keys = json!({ "gatewayMode": "routed" });
    lab_with_plugins(|lab| outside(lab, &keys, false, [true, false], "own"));
}

#[test]
fn without_masquerade_the_container_is_seen_outside() {
    lab_with_plugins(|lab| outside(lab, &json!({ "ipMasq": false }), true, [false, false], "own"));
}

#[test]
fn a_host_that_drops_what_it_forwards_lets_the_network_through() {
    lab_with_plugins(|lab| {
        lab.host().run("iptables-nft -P FORWARD DROP");
        outside(lab, &json!({}), true, [false, false], HOST[0]);
    });
}

#[test]
fn keys_that_exclude_each_other_are_refused() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        let before = lab.snapshot();
        for (keys, says) in [
            (json!({ "internal": true, "gatewayMode": "routed" }), ["internal", "routed"]),
            (json!({ "internal": false, "gatewayMode": "isolated" }), ["internal", "isolated"]),
            (json!({ "internal": true, "ipMasq": true }), ["internal", "ipMasq"]),
            (json!({ "gatewayMode": "routed", "ipMasq": true }), ["routed", "ipMasq"]),
            (json!({ "gatewayMode": "routed", "isolate": true }), ["routed", "isolate true"]),
            (json!({ "internal": true, "isolate": "false" }), ["internal", "isolate false"]),
            (json!({ "ipv6": true, "gatewayMode6": "routed" }), ["gatewayMode6", "routed"]),
            (json!({ "metric": 7, "gwPriority": 7 }), ["metric", "gwPriority"]),
        ] {
            super::try_add(lab, &c, &network("web", &keys)).refused(7).says(&says);
        }
        lab.assert_unchanged_but(&before, super::OF_THE_NETWORK);
    });
}
