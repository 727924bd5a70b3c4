//! Switches of the kernel that ADD turns.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{default_gateway, host_end, layer2, with, with_addresses, with_pool};
use crate::battery::Family;
use crate::under_test::unlike_reference;

#[test]
fn the_host_takes_no_router_advertisements_from_containers() {
    lab_with_plugins(|lab| {
        lab.add("bridge", &lab.container("c1"), &layer2());
        let veth = host_end(lab.host())["ifname"].as_str().unwrap_or_default().to_owned();
        for link in ["cni0", &veth] {
            let key = format!("ipv6/conf/{link}/accept_ra");
            assert_eq!(lab.host().sysctl(&key).as_deref(), Some("0"), "{key}");
        }
    });
}

#[test]
fn a_containers_addresses_are_announced_and_outlive_the_links_going_down() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with_pool(Family::Dual));
        assert_eq!(c.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("1"));
        unlike_reference(lab, "loses IPv6 addresses when the link goes down (1.1.1)", || {
            assert_eq!(c.sysctl("ipv6/conf/eth0/keep_addr_on_down").as_deref(), Some("1"));
            c.run("ip link set dev eth0 down");
            assert_eq!(c.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
        });
    });
}

#[test]
fn ipv6_is_turned_on_where_an_address_needs_it() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for key in ["ipv6/conf/all/disable_ipv6", "ipv6/conf/default/disable_ipv6"] {
            c.set_sysctl(key, "1");
        }
        lab.add("bridge", &c, &with_addresses(&["fd00:1::5/64"]));
        assert_eq!(c.addresses("eth0"), ["fd00:1::5/64"]);
        for link in ["eth0", "lo"] {
            let value = c.sysctl(&format!("ipv6/conf/{link}/disable_ipv6"));
            assert_eq!(value.as_deref(), Some("0"), "{link}");
        }
    });
}

#[test]
fn ipv6_stays_off_where_no_address_needs_it() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for key in ["ipv6/conf/all/disable_ipv6", "ipv6/conf/default/disable_ipv6"] {
            c.set_sysctl(key, "1");
        }
        lab.add("bridge", &c, &with_addresses(&["10.1.0.5/24"]));
        assert_eq!(c.sysctl("ipv6/conf/eth0/disable_ipv6").as_deref(), Some("1"));
        assert_eq!(c.sysctl("ipv6/conf/lo/disable_ipv6").as_deref(), Some("1"));
    });
}

#[test]
fn duplicates_are_looked_for_on_request_and_add_waits_for_the_answer() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with(default_gateway(Family::V6), "enabledad", json!(true)));
        for key in ["enhanced_dad", "accept_dad"] {
            let value = c.sysctl(&format!("ipv6/conf/eth0/{key}"));
            assert_eq!(value.as_deref(), Some("1"), "{key}");
        }
        let shown = c.run("ip addr show dev eth0 scope global");
        assert!(!shown.contains("tentative"), "{shown}");
    });
}

#[test]
fn a_duplicate_that_was_found_is_an_error() {
    lab_with_plugins(|lab| {
        let config = |dad: bool| {
            let mut config = with_addresses(&["fd00:1::5/64"]);
            config["ipam"]["addresses"][0]["gateway"] = json!("fd00:1::1");
            with(config, "enabledad", json!(dad))
        };
        lab.add("bridge", &lab.container("first"), &config(false));
        let second = lab.container("second");
        let call = lab.plugin("bridge").container(&second).config(&config(true)).verb("ADD");
        unlike_reference(lab, "waits 10 s for the duplicate, and goes on (1.1.1)", || {
            call.run().error().says(&["fd00:1::5"]);
        });
    });
}

#[test]
fn forwarding_that_is_on_is_left_alone() {
    lab_with_plugins(|lab| {
        lab.host().set_sysctl("ipv4/ip_forward", "1");
        // Turning `all` on again would turn this one on with it.
        lab.host().set_sysctl("ipv4/conf/lo/forwarding", "0");
        lab.add("bridge", &lab.container("c1"), &default_gateway(Family::V4));
        assert_eq!(lab.host().sysctl("ipv4/conf/lo/forwarding").as_deref(), Some("0"));
    });
}
