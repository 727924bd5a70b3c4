//! Defects of the reference that have no place of their own in the other files.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{attached, layer2, link, master, with, with_pool};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::unlike_reference;

#[test]
fn a_default_route_of_several_paths_gives_the_link_of_its_first_as_master() {
    lab_with_plugins(|lab| {
        let host = master(lab);
        host.run("ip link add dev other0 type veth peer name other1");
        for command in [
            "ip link set dev other0 up",
            "ip addr add 10.7.0.1/24 dev other0",
            "ip addr add 10.8.0.1/24 dev lan0",
            "ip route add default nexthop via 10.8.0.254 dev lan0 nexthop via 10.7.0.254 dev other0",
        ] {
            host.run(command);
        }
        unlike_reference(lab, "fails on a default route of several paths [E]", || {
            let c = attached(lab, "c1", &with(layer2(), "master", Value::Null));
            assert_eq!(link(&c)["link_index"], host.link("lan0").unwrap()["ifindex"]);
        });
    });
}

#[test]
fn the_name_servers_that_ipam_gives_are_in_the_result_of_macvlan() {
    lab_with_plugins(|lab| {
        master(lab);
        let ipam = json!({
            "type": "static", "addresses": [{ "address": "10.1.0.5/24" }],
            "dns": { "nameservers": ["10.1.0.53"] },
        });
        let config = with(layer2(), "ipam", ipam);
        let c = lab.container("c1");
        let result = lab.add("macvlan", &c, &config);
        unlike_reference(lab, "drops what IPAM says of name servers [E]", || {
            assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        });
        lab.del("macvlan", &c, &config);
        let own = with(config, "dns", json!({ "nameservers": ["10.1.0.54"] }));
        let result = lab.add("macvlan", &c, &own);
        assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.54"]));
    });
}

#[test]
fn mtu_and_advmss_of_routes_of_macvlan_are_made() {
    lab_with_plugins(|lab| {
        master(lab);
        let routes =
            json!([{ "dst": "10.8.0.0/16", "gw": "10.1.0.7", "mtu": 1300, "advmss": 1200 }]);
        Fake::answering(
            "fake",
            &json!({ "cniVersion": USUAL, "routes": routes,
                "ips": [{ "address": "10.1.0.5/24" }] }),
        );
        let config = with(layer2(), "ipam", json!({ "type": "fake" }));
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c).config(&config).verb("ADD");
        call.env("CNI_PATH", Fake::path(&lab.plugins())).run().succeeded();
        unlike_reference(lab, "makes the route without them [E]", || {
            let route = c.run("ip route show 10.8.0.0/16");
            assert!(route.contains("mtu 1300") && route.contains("advmss 1200"), "{route}");
        });
    });
}

#[test]
fn an_ipv6_address_without_gateway_can_be_used_when_add_of_macvlan_returns() {
    lab_with_plugins(|lab| {
        master(lab);
        let mut config = with_pool(Family::V6);
        config["ipam"] = json!({ "type": "static", "addresses": [{ "address": "fd00:1::5/64" }] });
        let c = attached(lab, "c1", &config);
        let shown = c.run("ip addr show dev eth0 scope global");
        unlike_reference(lab, "waits for addresses with a gateway alone [E]", || {
            assert!(!shown.contains("tentative"), "{shown}");
        });
    });
}
