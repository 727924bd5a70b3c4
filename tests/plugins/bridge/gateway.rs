//! `isGateway`, `isDefaultGateway`, `forceAddress`: what the bridge is to its containers.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{default_gateway, layer2, with, with_addresses, with_pool};
use crate::battery::Family;
use crate::under_test::unlike_reference;

fn forwarding(lab: &Lab) -> (bool, bool) {
    let is_on = |key: &str| lab.host().sysctl(key).is_some_and(|value| value == "1");
    (is_on("ipv4/ip_forward"), is_on("ipv6/conf/all/forwarding"))
}

/// Default routes of a container, as words: destination and next hop.
fn defaults(container: &netns_fixtures::Container) -> Vec<String> {
    let routes = container.routes();
    let defaults = routes.iter().filter_map(|route| route.strip_prefix("default via "));
    defaults.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

every_family! {
    fn a_bridge_that_is_no_gateway_has_no_address(lab, family) {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with_pool(family));
        assert!(lab.host().addresses("cni0").is_empty());
        assert_eq!(forwarding(lab), (false, false));
        assert!(defaults(&c).is_empty());
        assert_eq!(c.addresses("eth0"), family.first_addresses());
    }

    fn a_gateway_has_the_first_address_of_each_subnet(lab, family) {
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &with(with_pool(family), "isGateway", json!(true)));
        let with_length = |(gateway, subnet): (&&str, &&str)| {
            format!("{gateway}/{}", subnet.split('/').nth(1).unwrap_or_default())
        };
        let expected: Vec<String> =
            family.gateways().iter().zip(family.subnets()).map(with_length).collect();
        assert_eq!(lab.host().addresses("cni0"), expected);
        for (ip, gateway) in result["ips"].as_array().into_iter().flatten().zip(family.gateways()) {
            assert_eq!(ip["gateway"], *gateway);
        }
        assert!(defaults(&c).is_empty(), "isGateway alone is no route");
    }

    fn a_gateway_forwards_the_families_that_it_has(lab, family) {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with(with_pool(family), "isGateway", json!(true)));
        assert_eq!(forwarding(lab), (family != Family::V6, family != Family::V4));
    }

    fn a_default_gateway_is_the_way_out(lab, family) {
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &default_gateway(family));
        assert_eq!(defaults(&c), family.gateways());
        let routes = result["routes"].as_array().cloned().unwrap_or_default();
        let told: Vec<&str> = routes.iter().filter_map(|route| route["dst"].as_str()).collect();
        assert_eq!(told, family.default_routes());
        assert_eq!(lab.host().addresses("cni0").len(), family.subnets().len(), "isGateway as well");
    }

    fn a_default_route_from_ipam_is_not_doubled(lab, family) {
        let c = lab.container("c1");
        let mut config = default_gateway(family);
        let routes: Vec<Value> =
            family.default_routes().iter().map(|dst| json!({ "dst": dst })).collect();
        config["ipam"]["routes"] = json!(routes);
        let call = lab.plugin("bridge").container(&c).config(&config).verb("ADD");
        unlike_reference(lab, "adds the same route twice and fails [E]", || {
            call.run().succeeded();
            assert_eq!(defaults(&c), family.gateways());
        });
    }

    fn a_second_container_finds_the_gateway_there(lab, family) {
        let config = default_gateway(family);
        lab.add("bridge", &lab.container("a"), &config);
        let before = lab.host().addresses("cni0");
        lab.add("bridge", &lab.container("b"), &config);
        assert_eq!(lab.host().addresses("cni0"), before);
    }

    fn the_gateway_stays_when_the_last_container_goes(lab, family) {
        let c = lab.container("c1");
        let config = default_gateway(family);
        lab.add("bridge", &c, &config);
        let before = lab.host().addresses("cni0");
        lab.del("bridge", &c, &config);
        assert_eq!(lab.host().addresses("cni0"), before, "other containers may come at any time");
    }
}

#[test]
fn a_default_route_with_another_next_hop_is_kept() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = default_gateway(Family::V4);
        config["ipam"]["routes"] = json!([{ "dst": "0.0.0.0/0", "gw": "10.1.0.9" }]);
        lab.add("bridge", &c, &config);
        assert_eq!(defaults(&c), ["10.1.0.9"]);
    });
}

#[test]
fn a_gateway_that_ipam_names_is_taken() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = default_gateway(Family::V4);
        config["ipam"]["ranges"][0][0]["gateway"] = json!("10.1.0.254");
        let result = lab.add("bridge", &c, &config);
        assert_eq!(lab.host().addresses("cni0"), ["10.1.0.254/24"]);
        assert_eq!(defaults(&c), ["10.1.0.254"]);
        assert_eq!(result["ips"][0]["gateway"], "10.1.0.254");
    });
}

#[test]
fn another_ipv4_address_on_the_bridge_is_a_conflict() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run("ip link add dev cni0 type bridge");
        lab.host().run("ip addr add 10.9.0.1/24 dev cni0");
        let config = with(with_pool(Family::V4), "isGateway", json!(true));
        let call = lab.plugin("bridge").container(&c).config(&config).verb("ADD");
        let error = call.run().error();
        error.says(&["cni0"]);
        unlike_reference(lab, "does not say which address it means", || {
            error.says(&["10.9.0.1/24"]);
        });
        assert_eq!(lab.host().addresses("cni0"), ["10.9.0.1/24"]);
    });
}

#[test]
fn a_conflicting_address_is_replaced_by_force() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run("ip link add dev cni0 type bridge");
        lab.host().run("ip addr add 10.9.0.1/24 dev cni0");
        let mut config = with(with_pool(Family::V4), "isGateway", json!(true));
        config["forceAddress"] = json!(true);
        lab.add("bridge", &c, &config);
        assert_eq!(lab.host().addresses("cni0"), ["10.1.0.1/24"]);
    });
}

#[test]
fn of_ipv6_only_an_address_of_the_same_subnet_is_a_conflict() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run("ip link add dev cni0 type bridge");
        lab.host().run("ip addr add fd00:9::1/64 dev cni0 nodad");
        let config = with(with_pool(Family::V6), "isGateway", json!(true));
        lab.add("bridge", &c, &config);
        let mut addresses = lab.host().addresses("cni0");
        addresses.sort();
        assert_eq!(addresses, ["fd00:1::1/64", "fd00:9::1/64"]);

        lab.host().run("ip link add dev cni1 type bridge");
        lab.host().run("ip addr add fd00:1::9/64 dev cni1 nodad");
        let config = with(config, "bridge", json!("cni1"));
        let refused = lab.container("refused");
        let call = lab.plugin("bridge").container(&refused).config(&config).verb("ADD");
        call.run().error().says(&["cni1"]);
        let forced = with(config, "forceAddress", json!(true));
        lab.add("bridge", &lab.container("forced"), &forced);
        assert_eq!(lab.host().addresses("cni1"), ["fd00:1::1/64"]);
    });
}

#[test]
fn the_gateways_own_address_with_another_length_is_a_conflict() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run("ip link add dev cni0 type bridge");
        lab.host().run("ip addr add 10.1.0.1/16 dev cni0");
        let config = with(with_pool(Family::V4), "isGateway", json!(true));
        lab.plugin("bridge").container(&c).config(&config).verb("ADD").run().error();
    });
}

#[test]
fn routes_of_ipam_are_made_and_told() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = with_addresses(&["10.1.0.5/24", "fd00:1::5/64"]);
        config["isGateway"] = json!(true);
        config["ipam"]["routes"] = json!([
            { "dst": "10.8.0.0/16" },
            { "dst": "10.9.0.0/16", "gw": "10.1.0.7" },
            { "dst": "fd00:8::/64" },
            { "dst": "fd00:9::/64", "gw": "fd00:1::7" },
        ]);
        let result = lab.add("bridge", &c, &config);
        let made = c.routes().join("\n");
        for route in [
            "10.8.0.0/16 via 10.1.0.1 dev eth0",
            "10.9.0.0/16 via 10.1.0.7 dev eth0",
            "fd00:8::/64 via fd00:1::1 dev eth0",
            "fd00:9::/64 via fd00:1::7 dev eth0",
        ] {
            assert!(made.contains(route), "{route} is not in\n{made}");
        }
        assert_eq!(result["routes"], config["ipam"]["routes"]);
    });
}

/// What a route can say since 1.1.0.
#[test]
fn the_fields_of_a_route_are_made() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = with_addresses(&["10.1.0.5/24"]);
        config["cniVersion"] = json!("1.1.0");
        config["ipam"]["routes"] = json!([
            { "dst": "10.8.0.0/16", "gw": "10.1.0.1", "priority": 50, "mtu": 1400, "advmss": 1360 },
            { "dst": "10.9.0.0/16", "gw": "10.1.0.1", "table": 100 },
            { "dst": "10.7.0.0/16", "scope": 253 },
        ]);
        crate::under_test::must_know(lab, "1.1.0");
        let result = lab.add("bridge", &c, &config);
        assert_eq!(result["routes"], config["ipam"]["routes"]);
        let made = c.run("ip route show table all");
        for words in [
            "10.8.0.0/16 via 10.1.0.1 dev eth0 metric 50",
            "10.9.0.0/16 via 10.1.0.1 dev eth0 table 100",
            "10.7.0.0/16 dev eth0 scope link",
        ] {
            assert!(made.contains(words), "{words} is not in\n{made}");
        }
        unlike_reference(lab, "never programs mtu and advmss [E]", || {
            assert!(made.contains("mtu 1400 advmss 1360"), "{made}");
        });
    });
}

#[test]
fn dns_of_the_config_replaces_that_of_ipam() {
    lab_with_plugins(|lab| {
        let mut config = with_addresses(&["10.1.0.5/24"]);
        config["ipam"]["dns"] = json!({ "nameservers": ["10.1.0.53"], "search": ["ipam.test"] });
        let add = |name: &str, config: &Value| lab.add("bridge", &lab.container(name), config);
        config["dns"] = json!({ "nameservers": ["10.2.0.53"] });
        assert_eq!(add("c1", &config)["dns"], json!({ "nameservers": ["10.2.0.53"] }));
        config["ipam"]["addresses"][0]["address"] = json!("10.1.0.6/24");
        config["dns"] = Value::Null;
        unlike_reference(lab, "drops the DNS of its IPAM plugin (1.1.1)", || {
            let dns = json!({ "nameservers": ["10.1.0.53"], "search": ["ipam.test"] });
            assert_eq!(add("c2", &config)["dns"], dns);
        });
        config["ipam"]["addresses"][0]["address"] = json!("10.1.0.7/24");
        config["dns"] = json!({ "nameservers": [] });
        let dns = add("c3", &config)["dns"].clone();
        assert!(dns.is_null() || dns == json!({}), "even an empty list replaces: {dns}");
    });
}

#[test]
fn dns_of_the_config_is_told_without_addresses_as_well() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let dns = json!({
            "nameservers": ["10.2.0.53"], "domain": "d.test", "search": ["s.test"],
            "options": ["ndots:5"],
        });
        let result = lab.add("bridge", &c, &with(layer2(), "dns", dns.clone()));
        assert_eq!(result["dns"], dns);
    });
}
