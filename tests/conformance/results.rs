//! What ADD prints, in the shape of each version.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Map, Value, json};

use crate::battery::VERSIONS;
use crate::under_test::{BOOKKEEPING, are_ours, least_config, unlike_reference};

/// `bridge` with a pool of both families, a route and DNS: every field that a result can have.
fn full_config(version: &str) -> Value {
    json!({
        "cniVersion": version, "name": "net", "type": "bridge", "bridge": "cni0",
        "isGateway": true,
        "ipam": {
            "type": "static",
            "addresses": [
                { "address": "10.1.0.5/24", "gateway": "10.1.0.1" },
                { "address": "fd00:1::5/64" },
            ],
            "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "fd00:2::/64", "gw": "fd00:1::7" }],
            "dns": { "nameservers": ["10.1.0.53"], "search": ["a.test"] },
        },
    })
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().map(Map::keys).into_iter().flatten().map(String::as_str).collect()
}

/// The keys of all elements of a list must be these.
#[track_caller]
fn assert_keys(object: &Value, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let mut got = keys(object);
    got.sort_unstable();
    assert_eq!(got, expected, "{object}");
}

every_version! {
    fn a_result_has_the_fields_of_its_version_and_no_others(lab, version) {
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &full_config(version));
        assert_eq!(result["cniVersion"], version);
        unlike_reference(lab, "drops the DNS of its IPAM plugin (1.1.1)", || {
            let dns = json!({ "nameservers": ["10.1.0.53"], "search": ["a.test"] });
            assert_eq!(result["dns"], dns);
        });
        match version {
            "0.1.0" | "0.2.0" => assert_oldest(&result),
            "0.3.0" | "0.3.1" | "0.4.0" => assert_middle(&result, &c),
            _ => assert_newest(lab, &result, &c),
        }
    }

    fn what_is_empty_is_left_out(lab, version) {
        let c = lab.container("c1");
        let result = lab.add("host-local", &c, &least_config("host-local", version));
        match version {
            "0.1.0" | "0.2.0" => assert_keys(&result, &["cniVersion", "ip4", "dns"]),
            "0.3.0" | "0.3.1" | "0.4.0" => assert_keys(&result, &["cniVersion", "ips", "dns"]),
            _ => unlike_reference(lab, "prints an empty dns (1.1.1)", || {
                assert_keys(&result, &["cniVersion", "ips"]);
            }),
        }
    }

    /// Without addresses there is nothing that 0.1.0 and 0.2.0 could say.
    fn a_result_without_addresses_exists_since_0_3_0(lab, version) {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let outcome =
            lab.plugin("bridge").container(&c).config(&least_config("bridge", version)).verb("ADD")
                .run();
        if !["0.1.0", "0.2.0"].contains(&version) {
            let result = outcome.result();
            assert_eq!(result["interfaces"].as_array().map(Vec::len), Some(3), "{result}");
            assert!(result.get("ips").is_none(), "{result}");
            return;
        }
        outcome.error().says(&["cannot convert: no valid IP addresses"]);
        unlike_reference(lab, "has done the work by then and leaves it [E]", || {
            lab.assert_unchanged_but(&before, &[BRIDGE_STAYS, BOOKKEEPING].concat());
        });
    }

    fn the_order_of_keys_is_the_one_of_the_reference(lab, version) {
        let c = lab.container("c1");
        let call = lab.plugin("bridge").container(&c).config(&full_config(version));
        let printed = call.verb("ADD").run().succeeded().stdout.clone();
        let order = match version {
            "0.1.0" | "0.2.0" => ["cniVersion", "ip4", "ip6", "dns"].as_slice(),
            "0.3.0" | "0.3.1" | "0.4.0" => &["cniVersion", "interfaces", "ips", "routes", "dns"],
            _ => &["cniVersion", "dns", "interfaces", "ips", "routes"],
        };
        let top = |line: &&str| line.starts_with("    \"");
        let got: Vec<&str> =
            printed.lines().filter(top).filter_map(|line| line.split('"').nth(1)).collect();
        if version.starts_with('1') {
            unlike_reference(lab, "sorts the keys of 1.x only since it knows 1.1.0", || {
                assert_eq!(got, order);
            });
        } else {
            assert_eq!(got, order);
        }
        assert!(!printed.ends_with('\n'), "no line end behind it, as the reference");
    }
}

/// A bridge that ADD made is never taken away by `bridge` itself.
const BRIDGE_STAYS: &[&str] = &[
    "cni0",
    // What the kernel adds or sets for every link when the first bridge comes up.
    "/forwarding",
    "ip_forward",
];

#[track_caller]
fn assert_oldest(result: &Value) {
    assert_keys(result, &["cniVersion", "ip4", "ip6", "dns"]);
    let four = json!({
        "ip": "10.1.0.5/24", "gateway": "10.1.0.1", "routes": [{ "dst": "0.0.0.0/0" }],
    });
    assert_eq!(result["ip4"], four);
    let six = json!({
        "ip": "fd00:1::5/64", "gateway": "fd00:1::1",
        "routes": [{ "dst": "fd00:2::/64", "gw": "fd00:1::7" }],
    });
    assert_eq!(result["ip6"], six);
}

#[track_caller]
fn assert_middle(result: &Value, c: &Container) {
    assert_keys(result, &["cniVersion", "interfaces", "ips", "routes", "dns"]);
    assert_interfaces(result, c);
    for (at, version) in [(0, "4"), (1, "6")] {
        let ip = &result["ips"][at];
        assert_eq!((&ip["version"], &ip["interface"]), (&json!(version), &json!(2)), "{ip}");
    }
    assert_addresses_and_routes(result);
}

#[track_caller]
fn assert_newest(lab: &Lab, result: &Value, c: &Container) {
    assert_keys(result, &["cniVersion", "interfaces", "ips", "routes", "dns"]);
    assert_interfaces(result, c);
    for ip in result["ips"].as_array().into_iter().flatten() {
        assert!(ip.get("version").is_none(), "{ip}");
        assert_eq!(ip["interface"], 2);
    }
    assert_addresses_and_routes(result);
    let mtu = &result["interfaces"][2]["mtu"];
    if result["cniVersion"] == "1.1.0" && are_ours(lab) {
        assert_eq!(mtu, 1500, "1.1.0 has room for it");
    }
}

#[track_caller]
fn assert_interfaces(result: &Value, c: &Container) {
    let interfaces = &result["interfaces"];
    assert_eq!(interfaces.as_array().map(Vec::len), Some(3), "{interfaces}");
    assert_eq!(interfaces[0]["name"], "cni0");
    let host_end = interfaces[1]["name"].as_str().unwrap_or_default();
    assert!(host_end.starts_with("veth"), "{interfaces}");
    assert_eq!(interfaces[2]["name"], "eth0");
    assert_eq!(interfaces[2]["sandbox"], c.path().to_str().unwrap());
    for host_side in [0, 1] {
        assert!(interfaces[host_side].get("sandbox").is_none(), "{interfaces}");
    }
    let mac = c.link("eth0").expect("ADD made it")["address"].clone();
    assert_eq!(interfaces[2]["mac"], mac);
}

#[track_caller]
fn assert_addresses_and_routes(result: &Value) {
    assert_eq!(result["ips"][0]["address"], "10.1.0.5/24");
    assert_eq!(result["ips"][0]["gateway"], "10.1.0.1");
    assert_eq!(result["ips"][1]["address"], "fd00:1::5/64");
    assert_eq!(result["ips"][1]["gateway"], "fd00:1::1", "isGateway: the first of the subnet");
    let routes = json!([{ "dst": "0.0.0.0/0" }, { "dst": "fd00:2::/64", "gw": "fd00:1::7" }]);
    assert_eq!(result["routes"], routes);
}

#[test]
fn only_the_first_address_of_each_family_fits_into_the_oldest_shape() {
    lab_with_plugins(|lab| {
        // What is asked for by `args` is not counted against the version by static, so two of one
        // family get as far as the conversion only through a chain.
        let c = lab.container("c1");
        let previous = json!({
            "cniVersion": "0.2.0", "ip4": { "ip": "10.1.0.5/24" }, "ip6": { "ip": "fd00::5/64" },
        });
        let mut config = least_config("loopback", "0.2.0");
        config["prevResult"] = previous;
        let result = lab.add("loopback", &c, &config);
        assert!(result.to_string().contains("10.1.0.5/24"), "{result}");
    });
}

#[test]
fn more_addresses_of_one_family_need_0_3_0() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for version in VERSIONS {
            let mut config = least_config("static", version);
            config["ipam"]["addresses"] =
                json!([{ "address": "10.1.0.5/24" }, { "address": "10.1.0.6/24" }]);
            let outcome = lab.plugin("static").container(&c).config(&config).verb("ADD").run();
            match version {
                "0.1.0" | "0.2.0" => {
                    outcome.error().says(&["address per family"]);
                }
                "1.1.0" if !are_ours(lab) => {}
                _ => {
                    let result = outcome.result();
                    assert_eq!(result["ips"].as_array().map(Vec::len), Some(2), "{result}");
                }
            }
        }
    });
}
