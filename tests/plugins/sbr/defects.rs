//! Defects of the reference that have no place of their own in the other files.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{call, config, container, routes, rules};
use crate::under_test::unlike_reference;

#[test]
fn link_local_routes_stay_where_they_are() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.settle_link_local();
        let link_local = || c.run("ip -6 route show fe80::/64 dev eth0 table main");
        assert!(!link_local().is_empty());
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        unlike_reference(lab, "takes the interface's fe80::/64 away [E]", || {
            assert!(!link_local().is_empty());
        });
    });
}

#[test]
fn tables_hold_routes_of_their_own_family_alone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.settle_link_local();
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        unlike_reference(lab, "copies IPv6 routes on the link into tables of IPv4 [E]", || {
            let seen = routes(&c, "100");
            assert!(!seen.iter().any(|route| route.contains("fd00:")), "{seen:?}");
        });
    });
}

#[test]
fn a_route_by_a_next_hop_outside_of_the_subnet_is_kept() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip route add 10.66.0.0/16 via 192.0.2.1 dev eth0 onlink");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        unlike_reference(lab, "drops it [E]", || {
            let seen = routes(&c, "100");
            let kept = "10.66.0.0/16 via 192.0.2.1 dev eth0 onlink";
            assert!(seen.iter().any(|route| route == kept), "{seen:?}");
        });
    });
}

#[test]
fn a_table_that_has_routes_of_others_is_not_taken() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip route add 10.55.0.0/16 dev peer0 table 100");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        unlike_reference(lab, "looks for tables that no rule names [E]", || {
            assert_eq!(rules(&c), ["from 10.1.0.2 lookup 101", "from fd00:1::2 lookup 102"]);
        });
    });
}

#[test]
fn a_second_add_makes_nothing_twice() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        let first = [routes(&c, "100"), routes(&c, "101")];
        let again = call(lab, "ADD", &c, &json!({})).run();
        unlike_reference(lab, "fails, or adds a second rule [E]", || {
            again.succeeded();
            // The old tables serve until the new ones do.
            assert_eq!(rules(&c), ["from 10.1.0.2 lookup 102", "from fd00:1::2 lookup 103"]);
            assert_eq!([routes(&c, "102"), routes(&c, "103")], first);
            assert_eq!([routes(&c, "100"), routes(&c, "101")].concat(), [""; 0]);
            call(lab, "CHECK", &c, &json!({})).run().is_silent();
        });
    });
}

#[test]
fn a_gateway_that_only_a_route_of_the_result_names_is_used() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        c.run("ip route flush default");
        let mut config = config(&c, &json!({}));
        let ips = config["prevResult"]["ips"].as_array_mut().unwrap();
        ips.truncate(1);
        ips[0].as_object_mut().unwrap().remove("gateway");
        config["prevResult"]["routes"] = json!([{ "dst": "0.0.0.0/0", "gw": "10.1.0.1" }]);
        lab.plugin("sbr").container(&c).config(&config).verb("ADD").run().succeeded();
        unlike_reference(lab, "looks at the address's own gateway alone", || {
            assert!(routes(&c, "100").contains(&"default via 10.1.0.1 dev eth0".to_owned()));
        });
    });
}
