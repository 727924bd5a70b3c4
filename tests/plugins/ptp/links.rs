//! The pair, its addresses and routes on both sides, and the result that tells of them.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{attached, bare, host_end, host_end_name, with, with_addresses, with_pool};
use crate::battery::Family;
use crate::under_test::{are_ours, must_know, only_ours};

every_version! {
    fn a_pair_is_told_in_the_shape_of_the_version(lab, version) {
        let c = lab.container("c1");
        let config = with(with_pool(Family::Dual), "cniVersion", json!(version));
        let result = lab.add("ptp", &c, &config);
        assert_eq!(result["cniVersion"], version);
        if version < "0.3.0" {
            assert_eq!(result["ip4"]["ip"], "10.1.0.2/24");
            assert_eq!(result["ip6"]["ip"], "fd00:1::2/64");
        } else {
            let [host, inside] = [0, 1].map(|index| &result["interfaces"][index]);
            assert_eq!(host["name"], host_end(lab.host())["ifname"]);
            assert_eq!(host["mac"], host_end(lab.host())["address"]);
            assert_eq!((&inside["name"], &inside["sandbox"]), (&json!("eth0"), &json!("/run/netns/c1")));
            assert_eq!(inside["mac"], c.link("eth0").unwrap()["address"]);
            for (i, address) in [(0, "10.1.0.2/24"), (1, "fd00:1::2/64")] {
                let ip = &result["ips"][i];
                assert_eq!((&ip["address"], &ip["interface"]), (&json!(address), &json!(1)));
            }
        }
        lab.del("ptp", &c, &config);
        assert!(c.link("eth0").is_none());
    }
}

#[test]
fn the_host_has_each_gateway_alone_and_a_route_to_each_address() {
    lab_with_plugins(|lab| {
        let c = attached(lab, "c1", &with_pool(Family::Dual));
        let end = host_end_name(lab.host());
        assert_eq!(lab.host().addresses(&end), ["10.1.0.1/32", "fd00:1::1/128"]);
        let routes = lab.host().routes().join("\n");
        for route in ["10.1.0.2 ", "fd00:1::2 "] {
            assert!(routes.contains(&format!("{route}dev {end}")), "{route}:\n{routes}");
        }
        let routes = c.routes().join("\n");
        for route in [
            "default via 10.1.0.1 dev eth0",
            "10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.2",
            "10.1.0.1 dev eth0 scope link src 10.1.0.2",
            "fd00:1::/64 via fd00:1::1 dev eth0",
            "default via fd00:1::1 dev eth0",
        ] {
            assert!(routes.contains(route), "{route}:\n{routes}");
        }
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            let key = key.trim_start_matches("net/");
            assert_eq!(lab.host().sysctl(key).as_deref(), Some("1"), "{key}");
        }
    });
}

/// Not even when the link goes down and comes back, when the kernel makes such routes anew.
#[test]
fn the_subnet_is_never_on_the_wire() {
    lab_with_plugins(|lab| {
        only_ours(lab, "deletes the kernel's route once");
        let c = attached(lab, "c1", &with_pool(Family::V6));
        c.run("ip link set dev eth0 down");
        c.run("ip link set dev eth0 up");
        let routes = c.run("ip -6 route show fd00:1::/64");
        assert!(!routes.contains("proto kernel"), "{routes}");
    });
}

#[test]
fn the_mtu_is_that_of_both_ends_of_a_pair() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let result = lab.add("ptp", &c, &with(with_pool(Family::V4), "mtu", json!(1400)));
        assert_eq!(c.link("eth0").unwrap()["mtu"], 1400);
        assert_eq!(host_end(lab.host())["mtu"], 1400);
        if are_ours(lab) {
            assert_eq!(result["interfaces"][1]["mtu"], 1400);
        }
    });
}

#[test]
fn dns_of_the_config_of_ptp_replaces_that_of_ipam_even_by_an_empty_list() {
    lab_with_plugins(|lab| {
        let mut config = with_addresses(&[("10.1.0.5/24", "10.1.0.1")]);
        config["ipam"]["dns"] = json!({ "nameservers": ["10.1.0.53"] });
        let c = lab.container("c1");
        let nameservers = |config: &Value| {
            let dns = lab.add("ptp", &c, config)["dns"].clone();
            lab.del("ptp", &c, config);
            dns["nameservers"].as_array().cloned().unwrap_or_default()
        };
        assert_eq!(nameservers(&config), [json!("10.1.0.53")]);
        let own = with(config.clone(), "dns", json!({ "nameservers": ["10.1.0.54"] }));
        assert_eq!(nameservers(&own), [json!("10.1.0.54")]);
        assert_eq!(nameservers(&with(config, "dns", json!({ "search": [] }))), [""; 0]);
    });
}

#[test]
fn the_mac_of_the_containers_end_can_be_asked_for_in_three_places() {
    lab_with_plugins(|lab| {
        only_ours(lab, "looks at none of them");
        let c = lab.container("c1");
        let mut config = with_addresses(&[("10.1.0.5/24", "10.1.0.1")]);
        let mac = |config: &Value| {
            // The IPAM plugin is given the same.
            let call = lab.plugin("ptp").container(&c).config(config);
            let call = call.args("IgnoreUnknown=1;MAC=c2:00:00:00:00:01");
            let result = call.clone().verb("ADD").run().result();
            let address = c.link("eth0").unwrap()["address"].clone();
            assert_eq!(result["interfaces"][1]["mac"], address);
            call.verb("DEL").run().is_silent();
            address
        };
        assert_eq!(mac(&config), "c2:00:00:00:00:01");
        config["args"] = json!({ "cni": { "mac": "c2:00:00:00:00:02" } });
        assert_eq!(mac(&config), "c2:00:00:00:00:02");
        config["runtimeConfig"] = json!({ "mac": "c2:00:00:00:00:03" });
        assert_eq!(mac(&config), "c2:00:00:00:00:03");
    });
}

/// As the reference, which looks at none of it.
#[test]
fn nothing_in_cni_args_is_refused_by_ptp() {
    lab_with_plugins(|lab| {
        for (name, args) in [("a", "nonsense"), ("b", "A=B"), ("c", "A=B=C;;")] {
            let c = lab.container(name);
            crate::fake::Fake::answering(
                "fake",
                &json!({ "cniVersion": crate::battery::USUAL,
                    "ips": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }] }),
            );
            let config = with(bare(), "ipam", json!({ "type": "fake" }));
            let call = lab.plugin("ptp").container(&c).config(&config).args(args);
            let path = crate::fake::Fake::path(&lab.plugins());
            call.clone().env("CNI_PATH", &path).verb("ADD").run().succeeded();
            call.env("CNI_PATH", &path).verb("DEL").run().succeeded();
        }
    });
}

#[test]
fn ptp_without_ipam_is_refused() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let error = lab.plugin("ptp").container(&c).config(&bare()).verb("ADD").run().error();
        if are_ours(lab) {
            error.says(&["ipam.type", "host-local"]);
        }
        assert!(c.link("eth0").is_none());
    });
}

#[test]
fn the_example_of_ptp_works() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        let c = lab.container("c1");
        let list = include_str!("../../../docs/examples/ptp.conflist");
        let page = include_str!("../../../docs/plugins/ptp.md");
        crate::plugins::example::works(&lab.plugin("ptp").container(&c), list, page);
    });
}

#[test]
fn status_of_ptp_fails_without_ipam_and_with_a_missing_plugin() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know STATUS");
        let status = |config: Value| {
            let config = with(config, "cniVersion", json!("1.1.0"));
            lab.plugin("ptp").config(&config).verb("STATUS").run()
        };
        status(with_pool(Family::V4)).is_silent();
        status(bare()).error().says(&["ipam.type"]);
        status(with(bare(), "ipam", json!({ "type": "nowhere" }))).error().says(&["nowhere"]);
    });
}
