//! The link and the result that tells of it.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, lab_with_dummies, with_ipam, with_pool};
use crate::battery::Family;
use crate::under_test::{NETWORK, must_have, must_know, needs_driver, only_ours, unlike_reference};

every_version! {
    fn a_dummy_is_told_in_the_shape_of_the_version(lab, version) {
        must_have(lab, "dummy");
        needs_driver(lab, "dummy");
        let c = lab.container("c1");
        let mut config = with_pool(Family::Dual);
        config["cniVersion"] = json!(version);
        let result = lab.add("dummy", &c, &config);
        assert_eq!(result["cniVersion"], version);
        if version < "0.3.0" {
            assert_eq!(result["ip4"]["ip"], "10.1.0.2/24");
            assert_eq!(result["ip6"]["ip"], "fd00:1::2/64");
        } else {
            let interface = &result["interfaces"][0];
            assert_eq!(interface["name"], "eth0");
            assert_eq!(interface["mac"], c.link("eth0").unwrap()["address"]);
            assert_eq!(interface["sandbox"], "/run/netns/c1");
            assert_eq!(result["ips"][0]["interface"], 0);
        }
        lab.del("dummy", &c, &config);
        assert!(c.link("eth0").is_none());
    }
}

#[test]
fn a_dummy_is_up_with_its_addresses_when_add_returns() {
    lab_with_dummies(|lab| {
        let c = attached(lab, "c1", &with_pool(Family::Dual));
        let link = c.link("eth0").unwrap();
        assert_eq!(link["linkinfo"]["info_kind"], "dummy");
        assert!(link["flags"].as_array().unwrap().contains(&json!("UP")), "{link}");
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
        assert!(!c.run("ip addr show dev eth0 scope global").contains("tentative"));
        only_ours(lab, "gives no alias");
        assert_eq!(link["ifalias"], format!("cais:{NETWORK}/c1/eth0"));
    });
}

#[test]
fn an_address_of_a_dummy_is_answered_for_within_the_container() {
    lab_with_dummies(|lab| {
        let addresses = json!([{ "address": "192.0.2.10/32" }]);
        let c =
            attached(lab, "c1", &with_ipam(json!({ "type": "static", "addresses": addresses })));
        c.run("ip link set dev lo up");
        c.assert_reaches_at(&c, "192.0.2.10".parse().unwrap());
    });
}

#[test]
fn results_of_dummy_carry_the_mtu() {
    lab_with_dummies(|lab| {
        let c = lab.container("c1");
        unlike_reference(lab, "never fills mtu", || {
            let result = lab.add("dummy", &c, &with_pool(Family::V4));
            assert_eq!(result["interfaces"][0]["mtu"], 1500);
        });
    });
}

#[test]
fn dns_of_the_configuration_comes_before_that_of_ipam_on_dummy() {
    lab_with_dummies(|lab| {
        let mut config = with_ipam(json!({
            "type": "static", "addresses": [{ "address": "10.1.0.5/24" }],
            "dns": { "nameservers": ["10.1.0.53"] },
        }));
        let c = lab.container("c1");
        let result = lab.add("dummy", &c, &config);
        assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.53"]));
        lab.del("dummy", &c, &config);
        config["dns"] = json!({ "nameservers": ["10.1.0.54"] });
        unlike_reference(lab, "ignores dns of the configuration", || {
            let result = lab.add("dummy", &c, &config);
            assert_eq!(result["dns"]["nameservers"], json!(["10.1.0.54"]));
        });
    });
}

/// Runs everywhere, as far as the kernel lets it.
#[test]
fn a_dummy_without_ipam_is_refused_by_add_and_status() {
    lab_with_plugins(|lab| {
        must_have(lab, "dummy");
        let config = json!({ "cniVersion": "1.1.0", "name": NETWORK, "type": "dummy" });
        let c = lab.container("c1");
        let call = lab.plugin("dummy").container(&c).config(&config);
        for verb in ["ADD", "STATUS"] {
            let outcome = call.clone().verb(verb).run();
            unlike_reference(lab, "does not name the key [E]", || {
                outcome.refused(7).says(&["key \"ipam.type\" is required by dummy"]);
            });
        }
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_dummies(|lab| {
        must_know(lab, "1.1.0");
        let c = lab.container("c1");
        let call = lab.plugin("dummy").container(&c);
        let list = include_str!("../../../docs/examples/dummy.conflist");
        let page = include_str!("../../../docs/plugins/dummy.md");
        crate::plugins::example::works(&call, list, page);
    });
}
