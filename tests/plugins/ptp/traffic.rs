//! What it is all for.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, with, with_addresses, with_pool};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::lan;

every_family! {
    fn a_container_on_a_wire_and_its_host_reach_each_other(lab, family) {
        let c = attached(lab, "c1", &with_pool(family));
        c.assert_reaches(lab.host());
        lab.host().assert_reaches(&c);
    }

    fn containers_of_one_subnet_reach_each_other_by_way_of_the_host(lab, family) {
        let config = with_pool(family);
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        // Go's host ends probe their addresses while ADD returns.
        lab.host().settle();
        a.assert_reaches(&b);
        b.assert_reaches(&a);
        let hops = b.addresses("eth0");
        let other = hops[0].split('/').next().unwrap();
        let way = a.run(&format!("ip route get {other}"));
        assert!(way.contains(family.gateways()[0]), "{way}");
    }

    fn a_container_on_a_wire_can_use_its_addresses_when_add_returns(lab, family) {
        let c = attached(lab, "c1", &with_pool(family));
        let shown = c.run("ip addr show dev eth0 scope global");
        assert!(!shown.contains("tentative"), "{shown}");
        assert_eq!(c.addresses("eth0"), family.first_addresses());
    }
}

#[test]
fn no_link_of_a_pair_probes_addresses_that_nobody_else_can_have() {
    lab_with_plugins(|lab| {
        let c = attached(lab, "c1", &with_pool(crate::battery::Family::V6));
        unlike_reference(lab, "probes on both ends for a second or two [E]", || {
            for place in [lab.host(), &c] {
                let shown = place.run("ip -6 addr show");
                assert!(!shown.contains("tentative"), "{shown}");
            }
        });
    });
}

#[test]
fn a_gateway_outside_of_the_subnet_serves() {
    lab_with_plugins(|lab| {
        only_ours(lab, "cannot route by way of what is on no subnet");
        // Gives the host an address that is not link-local.
        let _lan = lan(lab);
        let addresses = [("10.1.0.5/32", "169.254.1.1"), ("fd00:1::5/128", "fe80::1")];
        let mut config = with_addresses(&addresses);
        config["ipam"]["routes"] = json!([{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }]);
        let c = attached(lab, "c1", &config);
        lab.host().assert_reaches(&c);
        assert!(c.run("ip route get 192.0.2.9").contains("via 169.254.1.1"));
        assert!(c.run("ip route get 2001:db8::9").contains("via fe80::1"));
        lab.del("ptp", &c, &with(config, "mtu", json!(0)));
    });
}
