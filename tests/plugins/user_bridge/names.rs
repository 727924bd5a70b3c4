//! Containers of a network find each other; all else about answers is in `tests/dns`.

use std::net::Ipv4Addr;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{Resident, network};
use crate::plugins::dnsname::smoke::resolved;
use crate::under_test::with_keys;

/// Where `a` asks: what its result says, and 127.0.0.11.
fn servers(a: &Resident<'_>) -> Vec<String> {
    let listed = a.result["dns"]["nameservers"].as_array().unwrap();
    let listed = listed.iter().map(|server| server.as_str().unwrap().to_owned());
    let mut all: Vec<String> = listed.collect();
    all.push("127.0.0.11".to_owned());
    all
}

fn address(of: &Resident<'_>) -> Option<Ipv4Addr> {
    Some(of.address().to_string().parse().unwrap())
}

fn with_aliases(keys: Value) -> Value {
    with_keys(keys, &json!({ "runtimeConfig": { "aliases": { "web": ["front"] } } }))
}

#[test]
fn containers_find_each_other_by_name_and_alias_until_one_leaves() {
    lab_with_plugins(|lab| {
        let modes = [json!({}), json!({ "internal": true }), json!({ "resolver": "netns" })];
        for (number, mode) in modes.into_iter().enumerate() {
            let [a, b] = ["a", "b"].map(|name| format!("{name}{number}"));
            let a = Resident::new(lab, &a, network("web", &mode));
            a.container.run("ip link set dev lo up");
            let b = Resident::new(lab, &b, network("web", &with_aliases(mode.clone())));
            for server in servers(&a) {
                for name in [b.container.id(), "front", "FRONT.web"] {
                    let found = resolved(&a.container, &server, name);
                    assert_eq!(found, address(&b), "{mode}: {name} at {server}");
                }
            }
            b.del();
            assert_eq!(resolved(&a.container, "127.0.0.11", "front"), None, "{mode}");
            a.del();
            assert_eq!(a.container.run("nft list ruleset").trim(), "", "{mode}");
        }
    });
}

#[test]
fn a_network_without_a_gateway_answers_within_its_containers() {
    lab_with_plugins(|lab| {
        let keys = json!({ "internal": true, "gatewayMode": "isolated" });
        let a = lab.container("a");
        a.run("ip link set dev lo up");
        let a = Resident::on(lab, a, "eth0", network("web", &keys));
        let b = Resident::new(lab, "b", network("web", &keys));
        assert_eq!(a.result["dns"]["nameservers"], json!(["127.0.0.11"]));
        assert_eq!(resolved(&a.container, "127.0.0.11", "b"), address(&b));
        a.check();
    });
}

#[test]
fn names_of_another_network_are_not_found() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", network("web", &json!({ "internal": true })));
        a.container.run("ip link set dev lo up");
        let _b = Resident::new(lab, "b", network("shop-1", &json!({})));
        assert_eq!(resolved(&a.container, "127.0.0.11", "b"), None);
        assert_eq!(resolved(&a.container, "127.0.0.11", "b.shop-1"), None);
    });
}
