//! `vlan`, `vlanTrunk`, `preserveDefaultVlan`. What is refused needs no kernel support; the rest
//! runs where the kernel has bridge VLAN filtering.

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{host_end, layer2, with, with_addresses};
use crate::under_test::{are_ours, only_ours, unlike_reference};

const SINCE: &str = "has vlanTrunk since 1.3";

fn refused(lab: &Lab, c: &Container, config: &Value, words: &[&str]) {
    let before = lab.snapshot();
    let call = lab.plugin("bridge").container(c).config(config).verb("ADD");
    call.run().error().says(words);
    lab.assert_unchanged(&before);
}

#[test]
fn a_vlan_outside_of_the_standard_is_refused() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for vlan in [-1, 4095, 4096, 65536] {
            refused(lab, &c, &with(layer2(), "vlan", json!(vlan)), &[&vlan.to_string()]);
        }
    });
}

#[test]
fn a_trunk_that_makes_no_sense_is_refused() {
    lab_with_plugins(|lab| {
        for (number, trunk) in [
            json!([{ "minID": 5 }]),
            json!([{ "maxID": 5 }]),
            json!([{ "minID": 9, "maxID": 5 }]),
            json!([{ "id": 0 }]),
            json!([{ "id": 4095 }]),
            json!([{ "id": -3 }]),
            json!([{ "minID": 0, "maxID": 5 }]),
            json!([{ "minID": 5, "maxID": 4095 }]),
        ]
        .into_iter()
        .enumerate()
        {
            let c = lab.container(&format!("c{number}"));
            unlike_reference(lab, SINCE, || {
                refused(lab, &c, &with(layer2(), "vlanTrunk", trunk.clone()), &[]);
            });
        }
    });
}

#[test]
fn vlan_zero_is_no_vlan() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with(layer2(), "vlan", json!(0)));
        let bridge = lab.host().link("cni0").expect("ADD made it");
        assert_ne!(bridge["linkinfo"]["info_data"]["vlan_filtering"], 1, "{bridge}");
    });
}

#[test]
fn a_kernel_without_vlan_filtering_is_named_and_nothing_is_made() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        only_ours(lab, "leaves the bridge behind [E]");
        let tried = lab.scratch(|scratch| {
            scratch.run("ip link add dev b type bridge");
            scratch.try_run("ip link set dev b type bridge vlan_filtering 1").status.success()
        });
        if tried {
            netns_fixtures::skip("this kernel has bridge VLAN filtering");
        }
        refused(lab, &c, &with(layer2(), "vlan", json!(5)), &["VLAN"]);
    });
}

/// The VLANs of a port, as words: `5 PVID Egress Untagged`.
fn vlans(lab: &Lab, port: &str) -> Vec<String> {
    let all = lab.host().json(&format!("bridge -j vlan show dev {port}"));
    let entries = all[0]["vlans"].as_array().cloned().unwrap_or_default();
    let words = entries.iter().map(|entry| {
        let flags = entry["flags"].as_array().cloned().unwrap_or_default();
        let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
        let end = entry.get("vlanEnd").map(|end| format!("-{end}")).unwrap_or_default();
        format!("{}{end} {}", entry["vlan"], flags.join(" ")).trim_end().to_owned()
    });
    words.collect()
}

fn port_name(lab: &Lab) -> String {
    host_end(lab.host())["ifname"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_vlan_is_the_ports_only_one_and_its_untagged_one() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        lab.add("bridge", &lab.container("c1"), &with(layer2(), "vlan", json!(100)));
        let bridge = lab.host().link("cni0").expect("ADD made it");
        assert_eq!(bridge["linkinfo"]["info_data"]["vlan_filtering"], 1);
        unlike_reference(lab, "keeps the default VLAN before 1.8", || {
            assert_eq!(vlans(lab, &port_name(lab)), ["100 PVID Egress Untagged"]);
        });
    });
}

#[test]
fn the_default_vlan_is_kept_on_request() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        let config = with(layer2(), "vlan", json!(100));
        let config = with(config, "preserveDefaultVlan", json!(true));
        lab.add("bridge", &lab.container("c1"), &config);
        let expected = ["1 Egress Untagged", "100 PVID Egress Untagged"];
        assert_eq!(vlans(lab, &port_name(lab)), expected);
    });
}

#[test]
fn a_trunk_passes_its_vlans_tagged_and_the_first_untagged() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        only_ours(lab, SINCE);
        let trunk =
            json!([{ "id": 7 }, { "minID": 20, "maxID": 22 }, { "minID": 21, "maxID": 23 }]);
        lab.add("bridge", &lab.container("c1"), &with(layer2(), "vlanTrunk", trunk));
        assert_eq!(
            vlans(lab, &port_name(lab)),
            ["1 PVID Egress Untagged", "7", "20", "21", "22", "23"]
        );
    });
}

#[test]
fn a_trunk_with_a_vlan_has_that_untagged() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        only_ours(lab, SINCE);
        let config = with(layer2(), "vlanTrunk", json!([{ "id": 7 }]));
        lab.add("bridge", &lab.container("c1"), &with(config, "vlan", json!(5)));
        assert_eq!(vlans(lab, &port_name(lab)), ["5 PVID Egress Untagged", "7"]);
    });
}

#[test]
fn an_empty_trunk_turns_filtering_on() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        only_ours(lab, SINCE);
        lab.add("bridge", &lab.container("c1"), &with(layer2(), "vlanTrunk", json!([])));
        let bridge = lab.host().link("cni0").expect("ADD made it");
        assert_eq!(bridge["linkinfo"]["info_data"]["vlan_filtering"], 1);
    });
}

#[test]
fn containers_of_one_vlan_reach_each_other_and_no_others() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        let attach = |number: u8, vlan: u16| {
            let container = lab.container(&format!("c{number}"));
            let config = with_addresses(&[&format!("10.1.0.{number}/24")]);
            lab.add("bridge", &container, &with(config, "vlan", json!(vlan)));
            container
        };
        let (a, b, other) = (attach(5, 100), attach(6, 100), attach(7, 200));
        a.assert_reaches(&b);
        a.assert_cannot_reach_at(&other, "10.1.0.7".parse().unwrap());
        other.assert_cannot_reach_at(&b, "10.1.0.6".parse().unwrap());
    });
}

#[test]
fn the_gateway_of_a_vlan_is_a_link_of_its_own() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        let config = with(with_addresses(&["10.1.0.5/24"]), "isDefaultGateway", json!(true));
        let config = with(config, "vlan", json!(100));
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &config);
        assert_eq!(lab.host().addresses("cni0.100"), ["10.1.0.1/24"]);
        assert!(lab.host().addresses("cni0").is_empty());
        if are_ours(lab) {
            assert_eq!(result["interfaces"][3]["name"], "cni0.100", "{result}");
        }
        c.assert_reaches_at(lab.host(), "10.1.0.1".parse().unwrap());
        lab.host().assert_reaches(&c);
        // A second container of the VLAN finds it there.
        let mut second = config.clone();
        second["ipam"]["addresses"][0]["address"] = json!("10.1.0.6/24");
        let d = lab.container("d");
        lab.add("bridge", &d, &second);
        d.assert_reaches(&c);
        lab.del("bridge", &c, &config);
        lab.del("bridge", &d, &second);
        assert!(lab.host().link("cni0.100").is_some(), "it stays, as the bridge does");
    });
}

#[test]
fn a_bridge_without_filtering_is_no_place_for_a_vlan() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::BridgeVlanFiltering);
        only_ours(lab, "plugs the container in, where the VLAN has no meaning [E]");
        lab.host().run("ip link add dev cni0 type bridge");
        let c = lab.container("c1");
        let call = lab.plugin("bridge").container(&c).config(&with(layer2(), "vlan", json!(5)));
        let outcome = call.verb("ADD").run();
        // Turning it on is as good as saying why not; pretending is not.
        if outcome.status.success() {
            let bridge = lab.host().link("cni0").expect("still there");
            assert_eq!(bridge["linkinfo"]["info_data"]["vlan_filtering"], 1);
        } else {
            outcome.error().says(&["cni0"]);
        }
    });
}
