//! What the link stands on: named, found, given by the plugin before, or missing.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{link, master, usual, with, with_addresses};
use crate::plugins::sublinks::other_link;
use crate::under_test::{MASTER, are_ours, lacks_driver, needs_driver, only_ours};

const UNKNOWN: &str = "does not know STATUS (1.1.1)";

/// Without the name of a master.
fn unnamed() -> Value {
    with(usual(), "master", Value::Null)
}

/// The name of the link that the container's stands on; where the kernel can make none, of the one
/// that it was asked to make it on.
#[track_caller]
pub(super) fn stands_on(lab: &Lab, name: &str, config: &Value) -> String {
    if !are_ours(lab) {
        needs_driver(lab, "ipvlan");
    }
    let c = lab.container(name);
    let outcome = lab.plugin("ipvlan").container(&c).config(config).verb("ADD").run();
    if outcome.status.success() {
        let index = link(&c)["link_index"].clone();
        let found = lab.host().links().into_iter().find(|link| link["ifindex"] == index);
        return found.expect("it is on the host")["ifname"].as_str().unwrap().to_owned();
    }
    let error = outcome.error();
    assert!(lacks_driver("ipvlan", &error.text()), "{}", error.text());
    let tried = error.msg.strip_prefix("create ipvlan eth0 over ").expect("it says what it tried");
    tried.split(' ').next().unwrap().to_owned()
}

#[test]
fn without_a_master_ipvlan_stands_on_the_link_of_the_default_route() {
    lab_with_plugins(|lab| {
        master(lab);
        other_link(lab);
        lab.host().run("ip route add default via 10.7.0.254");
        assert_eq!(stands_on(lab, "a", &unnamed()), "other0");
        assert_eq!(stands_on(lab, "b", &with(unnamed(), "master", json!(""))), "other0");
        assert_eq!(stands_on(lab, "c", &usual()), MASTER);
    });
}

#[test]
fn without_ipv4_the_default_route_of_ipv6_counts_for_ipvlan() {
    lab_with_plugins(|lab| {
        master(lab);
        other_link(lab);
        lab.host().run("ip -6 route add default via fd00:7::254");
        assert_eq!(stands_on(lab, "a", &unnamed()), "other0");
    });
}

#[test]
fn without_master_and_default_route_ipvlan_says_what_to_write() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let call = lab.plugin("ipvlan").container(&c).config(&unnamed());
        let error = call.clone().verb("ADD").run().error();
        only_ours(lab, UNKNOWN);
        error.says(&["key \"master\" is missing", "no default route", "name a link"]);
        let config = with(unnamed(), "cniVersion", json!("1.1.0"));
        let call = lab.plugin("ipvlan").config(&config).verb("STATUS");
        call.run().refused(50).says(&["no default route"]);
    });
}

/// It is not told what the plugin before makes.
#[test]
fn status_of_an_ipvlan_that_needs_a_plugin_before_it_is_success() {
    lab_with_plugins(|lab| {
        only_ours(lab, UNKNOWN);
        let config = with(with(unnamed(), "ipam", Value::Null), "cniVersion", json!("1.1.0"));
        lab.plugin("ipvlan").config(&config).verb("STATUS").run().is_silent();
    });
}

#[test]
fn the_interface_of_the_plugin_before_is_the_master_unless_one_is_named() {
    lab_with_plugins(|lab| {
        master(lab);
        other_link(lab);
        lab.host().run("ip addr add 10.8.0.1/24 dev lan0");
        lab.host().run("ip route add default via 10.8.0.254");
        let before = json!({ "cniVersion": "1.0.0", "interfaces": [{ "name": "other0" }] });
        let chained = with(unnamed(), "prevResult", before.clone());
        assert_eq!(stands_on(lab, "a", &chained), "other0");
        assert_eq!(stands_on(lab, "b", &with(usual(), "prevResult", before)), MASTER);
    });
}

#[test]
fn several_interfaces_before_leave_the_master_open_and_are_refused() {
    lab_with_plugins(|lab| {
        master(lab);
        other_link(lab);
        lab.host().run("ip route add default via 10.7.0.254");
        let c = lab.container("c1");
        let before = lab.snapshot();
        for interfaces in [json!([]), json!([{ "name": "lan0" }, { "name": "other0" }])] {
            let result = json!({ "cniVersion": "1.0.0", "interfaces": interfaces });
            let call = lab.plugin("ipvlan").container(&c);
            let call = call.config(&with(unnamed(), "prevResult", result)).verb("ADD");
            call.run().error().says(&["lacks a single named interface"]);
        }
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_vlan_is_made_for_ipvlan_and_goes_with_its_last_user() {
    lab_with_plugins(|lab| {
        only_ours(lab, "makes no master");
        lab.needs(netns_fixtures::Feature::Vlan);
        needs_driver(lab, "ipvlan");
        master(lab);
        let before = lab.snapshot();
        let config = with(with_addresses(&["10.2.0.5/24"]), "master", json!("lan0.50"));
        let c = lab.container("c1");
        lab.add("ipvlan", &c, &config);
        assert_eq!(lab.host().link("lan0.50").unwrap()["ifalias"], "cais:master");
        lab.del("ipvlan", &c, &config);
        c.remove();
        lab.assert_unchanged_but(&before, crate::under_test::BOOKKEEPING);
    });
}
