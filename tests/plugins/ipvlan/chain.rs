//! `ipvlan` after another plugin, which made the master and gave the addresses.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{driven_master, lan, usual, with};
use crate::under_test::{BOOKKEEPING, leases, needs_driver, only_ours, unlike_reference};

/// After a plugin that has `result`, with neither master nor IPAM of its own.
fn after(result: Value) -> Value {
    let bare = with(with(usual(), "master", Value::Null), "ipam", Value::Null);
    with(bare, "prevResult", result)
}

/// An interface of the host with addresses, routes and name servers.
fn result() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": [{ "name": "lan0", "mac": "02:00:00:00:00:01" }],
        "ips": [
            { "address": "10.1.0.5/24", "gateway": "10.1.0.250", "interface": 0 },
            { "address": "fd00:1::5/64" },
        ],
        "routes": [{ "dst": "10.8.0.0/16", "gw": "10.1.0.250" }, { "dst": "0.0.0.0/0" }],
        "dns": { "nameservers": ["10.1.0.53"] },
    })
}

#[test]
fn addresses_and_routes_of_the_plugin_before_are_the_ipvlans() {
    lab_with_plugins(|lab| {
        needs_driver(lab, "ipvlan");
        let lan = lan(lab);
        let c = lab.container("c1");
        let told = lab.add("ipvlan", &c, &after(result()));
        assert_eq!(c.addresses("eth0"), ["10.1.0.5/24", "fd00:1::5/64"]);
        assert!(c.run("ip route show 10.8.0.0/16").contains("via 10.1.0.250"));
        assert!(c.run("ip route show default").contains("via 10.1.0.250"));
        let interfaces = told["interfaces"].as_array().unwrap();
        assert_eq!((interfaces.len(), &interfaces[0]["name"]), (1, &json!("eth0")));
        assert_eq!(interfaces[0]["sandbox"], "/run/netns/c1");
        let ips = told["ips"].as_array().unwrap();
        assert!(ips.len() == 2 && ips.iter().all(|ip| ip["interface"] == 0), "{told}");
        assert_eq!(told["routes"], result()["routes"]);
        lan.assert_reaches(&c);
        unlike_reference(lab, "drops the name servers of the plugin before [E]", || {
            assert_eq!(told["dns"]["nameservers"], json!(["10.1.0.53"]));
        });
    });
}

#[test]
fn what_a_chained_ipvlan_made_is_checked_and_goes_with_del() {
    lab_with_plugins(|lab| {
        only_ours(lab, "needs the master's name at CHECK [E]");
        driven_master(lab);
        let c = lab.container("c1");
        let before = lab.snapshot();
        let told = lab.add("ipvlan", &c, &after(result()));
        let call = lab.plugin("ipvlan").container(&c).config(&after(told));
        call.clone().verb("CHECK").run().is_silent();
        c.run("ip addr del 10.1.0.5/24 dev eth0");
        call.clone().verb("CHECK").run().refused(101).says(&["10.1.0.5/24"]);
        call.verb("DEL").run().is_silent();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

/// The list's own, which has an address of its own.
#[test]
fn an_ipam_plugin_of_its_own_comes_before_the_addresses_of_the_plugin_before() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let c = lab.container("c1");
        let config = with(after(result()), "ipam", usual()["ipam"].clone());
        lab.add("ipvlan", &c, &config);
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
        lab.del("ipvlan", &c, &config);
        assert_eq!(leases(), [""; 0]);
    });
}

/// Each result that gives no address, or cannot be read.
mod a_chain_without_addresses_is_refused_before_anything_is_made {
    use super::*;

    fn case(lab: &Lab, (result, named): (Value, &str)) {
        only_ours(lab, "makes the link first");
        super::super::master(lab);
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("ipvlan").container(&c).config(&after(result)).verb("ADD");
        call.run().error().says(&[named]);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    }

    stamp!(lab_with_plugins, case,
        no_ips: (
            json!({ "cniVersion": "1.0.0", "interfaces": [{ "name": "lan0" }] }),
            "no prevResult with addresses",
        ),
        no_result: (json!({ "cniVersion": "1.0.0", "interfaces": 1 }), "could not parse prevResult"),
    );
}
