//! The link itself: mode, MTU, address, queue, name; and the result that tells of it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, info, layer2, link, master, with, with_pool};
use crate::battery::Family;
use crate::under_test::{MASTER, NETWORK, must_know, only_ours, unlike_reference};

every_version! {
    fn a_macvlan_is_told_in_the_shape_of_the_version(lab, version) {
        master(lab);
        let c = lab.container("c1");
        let config = with(with_pool(Family::Dual), "cniVersion", json!(version));
        let result = lab.add("macvlan", &c, &config);
        assert_eq!(result["cniVersion"], version);
        if version < "0.3.0" {
            assert_eq!(result["ip4"]["ip"], "10.1.0.2/24");
            assert_eq!(result["ip6"]["ip"], "fd00:1::2/64");
        } else {
            let interface = &result["interfaces"][0];
            assert_eq!(interface["name"], "eth0");
            assert_eq!(interface["mac"], link(&c)["address"]);
            assert_eq!(interface["sandbox"], "/run/netns/c1");
            for (i, address) in [(0, "10.1.0.2/24"), (1, "fd00:1::2/64")] {
                let ip = &result["ips"][i];
                assert_eq!((&ip["address"], &ip["interface"]), (&json!(address), &json!(0)));
            }
        }
        lab.del("macvlan", &c, &config);
        assert!(c.link("eth0").is_none());
    }
}

/// The five modes, as iproute2 calls them.
mod a_macvlan_is_in_the_mode_asked_for {
    use super::*;

    fn case(lab: &Lab, mode: &str) {
        master(lab);
        let c = attached(lab, "c1", &with(layer2(), "mode", json!(mode)));
        assert_eq!(info(&c, "mode"), if mode.is_empty() { "bridge" } else { mode });
    }

    stamp!(lab_with_plugins, case,
        bridge: "bridge", private: "private", vepa: "vepa", passthru: "passthru",
        bridge_by_default: "");
}

#[test]
fn an_unknown_mode_of_macvlan_is_refused() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let call =
            lab.plugin("macvlan").container(&c).config(&with(layer2(), "mode", json!("hub")));
        call.verb("ADD").run().error().says(&["mode", "hub"]);
        assert!(c.link("eth0").is_none());
    });
}

#[test]
fn mode_source_has_its_list_of_addresses() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no mode source");
        master(lab);
        let sources = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
        let config = with(with(layer2(), "mode", json!("source")), "sources", json!(sources));
        let c = attached(lab, "c1", &config);
        let listed = info(&c, "macaddr_data").to_string();
        assert!(sources.iter().all(|source| listed.contains(source)), "{listed}");
    });
}

#[test]
fn a_macvlan_has_the_mtu_asked_for_or_its_masters() {
    lab_with_plugins(|lab| {
        master(lab).run("ip link set dev lan0 mtu 1450");
        let c = attached(lab, "c1", &layer2());
        assert_eq!(link(&c)["mtu"], 1450);
        let c = attached(lab, "c2", &with(layer2(), "mtu", json!(1300)));
        assert_eq!(link(&c)["mtu"], 1300);
    });
}

#[test]
fn a_mtu_above_the_masters_is_refused_by_macvlan() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c).config(&with(layer2(), "mtu", json!(1501)));
        let error = call.verb("ADD").run().error();
        error.says(&["invalid MTU 1501", "master MTU(1500)"]);
    });
}

#[test]
fn results_of_macvlan_carry_the_mtu() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let config = with(layer2(), "mtu", json!(1400));
        unlike_reference(lab, "never fills mtu", || {
            assert_eq!(lab.add("macvlan", &c, &config)["interfaces"][0]["mtu"], 1400);
        });
    });
}

#[test]
fn a_macvlan_has_the_queue_of_broadcasts_asked_for() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know bcqueuelen (1.1.1)");
        master(lab);
        let c = attached(lab, "c1", &with(layer2(), "bcqueuelen", json!(2000)));
        assert_eq!(info(&c, "bcqueuelen"), 2000);
    });
}

#[test]
fn each_place_of_a_mac_is_read_by_macvlan_and_the_runtime_wins() {
    lab_with_plugins(|lab| {
        master(lab);
        let mac = |name: &str, config: &Value, args: &str| {
            let c = lab.container(name);
            let call = lab.plugin("macvlan").container(&c).config(config).args(args).verb("ADD");
            let result = call.run().result();
            assert_eq!(result["interfaces"][0]["mac"], link(&c)["address"]);
            link(&c)["address"].clone()
        };
        let key = with(layer2(), "mac", json!("02:00:00:00:00:01"));
        assert_eq!(mac("a", &key, ""), "02:00:00:00:00:01");
        assert_eq!(mac("b", &key, "MAC=02:00:00:00:00:02"), "02:00:00:00:00:02");
        let by_runtime = with(key, "runtimeConfig", json!({ "mac": "02:00:00:00:00:03" }));
        assert_eq!(mac("c", &by_runtime, "MAC=02:00:00:00:00:02"), "02:00:00:00:00:03");
        let args = with(layer2(), "args", json!({ "cni": { "mac": "02:00:00:00:00:04" } }));
        unlike_reference(lab, "reads args.cni of bridge alone", || {
            assert_eq!(mac("d", &args, "MAC=02:00:00:00:00:05"), "02:00:00:00:00:04");
        });
    });
}

#[test]
fn a_mac_that_a_sibling_has_is_refused() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with(layer2(), "mac", json!("02:00:00:00:00:01"));
        attached(lab, "a", &config);
        let b = lab.container("b");
        let error = lab.plugin("macvlan").container(&b).config(&config).verb("ADD").run().error();
        only_ours(lab, "says no more than the kernel");
        error.says(&["set link eth0 up in /run/netns/b: EADDRINUSE", "has its Ethernet address"]);
    });
}

#[test]
fn passthru_is_for_one_container_and_the_others_are_told_so() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with(layer2(), "mode", json!("passthru"));
        attached(lab, "a", &config);
        let b = lab.container("b");
        for config in [&config, &layer2()] {
            let call = lab.plugin("macvlan").container(&b).config(config).verb("ADD");
            let error = call.run().error();
            if crate::under_test::are_ours(lab) {
                error.says(&["create macvlan eth0 over lan0 in /run/netns/b", "passthru"]);
            }
        }
    });
}

/// The kernel ignores an address that a link in this mode is made with.
#[test]
fn a_mac_in_mode_passthru_is_the_masters_until_del() {
    lab_with_plugins(|lab| {
        let host = master(lab);
        let before = host.link(MASTER).unwrap()["address"].clone();
        let config = with(layer2(), "mode", json!("passthru"));
        let config = with(config, "mac", json!("02:00:00:00:00:01"));
        let c = attached(lab, "c1", &config);
        unlike_reference(lab, "loses the address in this mode", || {
            assert_eq!(link(&c)["address"], "02:00:00:00:00:01");
            assert_eq!(host.link(MASTER).unwrap()["address"], "02:00:00:00:00:01");
        });
        lab.del("macvlan", &c, &config);
        assert_eq!(host.link(MASTER).unwrap()["address"], before);
    });
}

#[test]
fn the_alias_of_a_macvlan_is_its_key() {
    lab_with_plugins(|lab| {
        only_ours(lab, "gives no alias");
        master(lab);
        let c = attached(lab, "c1", &layer2());
        assert_eq!(link(&c)["ifalias"], format!("cais:{NETWORK}/c1/eth0"));
    });
}

#[test]
fn a_macvlan_without_addresses_is_up() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = attached(lab, "c1", &layer2());
        let flags = link(&c)["flags"].clone();
        assert!(flags.as_array().unwrap().contains(&json!("UP")), "{flags}");
        // Left to the kernel, as with the reference.
        assert_eq!(c.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("0"));
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        lab.host().run("ip link add dev eth0 type veth peer name other");
        lab.host().run("ip link set dev eth0 up");
        lab.host().run("ip link set dev other up");
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c);
        let list = include_str!("../../../docs/examples/macvlan.conflist");
        let page = include_str!("../../../docs/plugins/macvlan.md");
        crate::plugins::example::works(&call, list, page);
    });
}
