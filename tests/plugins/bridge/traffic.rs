//! What it is all for.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{default_gateway, with, with_addresses, with_pool};
use crate::under_test::only_ours;

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("bridge", &container, config);
    container
}

every_family! {
    fn two_containers_on_one_bridge_reach_each_other(lab, family) {
        let config = with_pool(family);
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        a.assert_reaches(&b);
        b.assert_reaches(&a);
    }

    fn a_container_and_its_host_reach_each_other(lab, family) {
        let c = attached(lab, "c", &with(with_pool(family), "isGateway", json!(true)));
        c.assert_reaches(lab.host());
        lab.host().assert_reaches(&c);
    }

    fn containers_on_two_bridges_reach_each_other_through_the_host(lab, family) {
        let a = attached(lab, "a", &default_gateway(family));
        let mut config = default_gateway(family);
        config["name"] = json!("other");
        config["bridge"] = json!("cni1");
        let text = config["ipam"]["ranges"].to_string();
        let moved = text.replace("10.1.0.0", "10.2.0.0").replace("fd00:1::", "fd00:2::");
        config["ipam"]["ranges"] = serde_json::from_str(&moved).unwrap();
        let b = attached(lab, "b", &config);
        a.assert_reaches(&b);
        b.assert_reaches(&a);
    }

    /// A new owner of an address must not wait until its neighbours forget the one before.
    fn a_new_owner_of_an_address_is_reached_at_once(lab, family) {
        let addresses = |number: u8| -> Vec<String> {
            let hosts = family.subnets().iter().map(|subnet| subnet.replace("0/24", &format!("{number}/24")));
            hosts.map(|subnet| subnet.replace("::/64", &format!("::{number}/64"))).collect()
        };
        let config = |number| {
            let addresses = addresses(number);
            with_addresses(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let neighbour = attached(lab, "neighbour", &config(5));
        let first = attached(lab, "first", &config(6));
        neighbour.assert_reaches(&first);
        only_ours(lab, "announces too early for its port, and nothing for IPv6");
        lab.del("bridge", &first, &config(6));
        let second = attached(lab, "second", &config(6));
        neighbour.assert_reaches(&second);
    }

    fn a_container_can_use_its_addresses_when_add_returns(lab, family) {
        let c = attached(lab, "c", &with_pool(family));
        let shown = c.run("ip addr show dev eth0 scope global");
        assert!(!shown.contains("tentative"), "{shown}");
        assert_eq!(c.addresses("eth0"), family.first_addresses());
    }
}

#[test]
fn containers_on_two_bridges_without_gateway_do_not_reach_each_other() {
    lab_with_plugins(|lab| {
        let a = attached(lab, "a", &with_addresses(&["10.1.0.5/24"]));
        let config = with(with_addresses(&["10.1.0.6/24"]), "bridge", json!("cni1"));
        let b = attached(lab, "b", &config);
        a.assert_cannot_reach_at(&b, "10.1.0.6".parse().unwrap());
    });
}

#[test]
fn a_container_without_addresses_passes_frames() {
    lab_with_plugins(|lab| {
        let (a, b) = (attached(lab, "a", &super::layer2()), attached(lab, "b", &super::layer2()));
        a.run("ip addr add 10.5.0.1/24 dev eth0");
        b.run("ip addr add 10.5.0.2/24 dev eth0");
        a.assert_reaches(&b);
    });
}

#[test]
fn frames_of_the_largest_size_pass() {
    lab_with_plugins(|lab| {
        let config = with(with_pool(crate::battery::Family::V4), "mtu", json!(9000));
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        a.assert_reaches(&b);
        let ping = a.try_run("ping -M do -s 8972 -c 1 -W 2 10.1.0.3");
        if ping.status.code() == Some(127) {
            return;
        }
        assert!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    });
}
