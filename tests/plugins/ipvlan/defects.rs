//! Defects of the reference that have no place of their own in the other files.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::master::stands_on;
use super::{driven_master, master, usual, with};
use crate::under_test::{BOOKKEEPING, leases, only_ours, unlike_reference};

/// Where it cannot find a master, the reference ends before it has told IPAM.
#[test]
fn del_of_ipvlan_frees_the_address_when_there_is_no_default_route_to_find_a_master_by() {
    lab_with_plugins(|lab| {
        let config = with(usual(), "master", Value::Null);
        let c = lab.container("c1");
        lab.add("host-local", &c, &config);
        let call = lab.plugin("ipvlan").container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "looks for a master at DEL, and keeps the address [E]", || {
            call.run().is_silent();
            assert_eq!(leases(), [""; 0]);
        });
    });
}

/// As after the ADD of a list whose second plugin failed.
#[test]
fn del_of_a_chained_ipvlan_does_not_mind_what_was_before_it() {
    lab_with_plugins(|lab| {
        let config = with(usual(), "master", Value::Null);
        let c = lab.container("c1");
        lab.add("host-local", &c, &config);
        let before = json!({ "cniVersion": "1.0.0", "interfaces": [] });
        let config = with(config, "prevResult", before);
        let call = lab.plugin("ipvlan").container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "wants a single interface of prevResult at DEL [E]", || {
            call.run().is_silent();
            assert_eq!(leases(), [""; 0]);
        });
    });
}

#[test]
fn a_default_route_of_several_paths_gives_ipvlan_the_link_of_its_first_as_master() {
    lab_with_plugins(|lab| {
        let host = master(lab);
        crate::plugins::sublinks::other_link(lab);
        host.run("ip addr add 10.8.0.1/24 dev lan0");
        host.run(
            "ip route add default nexthop via 10.8.0.254 dev lan0 \
             nexthop via 10.7.0.254 dev other0",
        );
        unlike_reference(lab, "fails on a default route of several paths [E]", || {
            assert_eq!(stands_on(lab, "c1", &with(usual(), "master", Value::Null)), "lan0");
        });
    });
}

#[test]
fn a_link_that_cannot_be_made_on_a_master_in_the_container_is_told_as_such() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know linkInContainer (1.1.1), later tells of a renaming [E]");
        let c = lab.container("c1");
        c.run("ip link add dev lan0 type veth peer name eth0");
        let before = lab.snapshot();
        let config = with(usual(), "linkInContainer", json!(true));
        let call = lab.plugin("ipvlan").container(&c).config(&config).verb("ADD");
        call.run().error().says(&["create ipvlan eth0 over lan0 in /run/netns/c1"]);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn check_of_ipvlan_needs_no_master_in_the_configuration() {
    lab_with_plugins(|lab| {
        let host = driven_master(lab);
        host.run("ip addr add 10.9.0.1/24 dev lan0");
        host.run("ip route add default via 10.9.0.250");
        let mut config = with(usual(), "master", Value::Null);
        let c = lab.container("c1");
        config["prevResult"] = lab.add("ipvlan", &c, &config);
        let call = lab.plugin("ipvlan").container(&c).config(&config).verb("CHECK");
        unlike_reference(lab, "fails at CHECK when master is omitted [E]", || {
            call.run().is_silent();
            host.run("ip route del default");
            call.run().is_silent();
        });
    });
}

#[test]
fn the_name_servers_that_ipam_gives_are_in_the_result_of_ipvlan() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let ipam = json!({
            "type": "static", "addresses": [{ "address": "10.1.0.5/24" }],
            "dns": { "nameservers": ["10.1.0.53"] },
        });
        let config = with(usual(), "ipam", ipam);
        let c = lab.container("c1");
        let result = lab.add("ipvlan", &c, &config);
        unlike_reference(lab, "drops what IPAM says of name servers [E]", || {
            assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        });
    });
}
