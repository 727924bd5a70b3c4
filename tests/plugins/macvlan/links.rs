//! The link itself: mode, address, queue.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, info, layer2, link, master, with};
use crate::under_test::{MASTER, only_ours, unlike_reference};

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
