//! The link itself: mode, flag, MTU, name; and the result that tells of it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{attached, driven_master, info, link, usual, with, with_pool};
use crate::battery::Family;
use crate::under_test::{MASTER, NETWORK, must_know, only_ours, unlike_reference};

every_version! {
    fn an_ipvlan_is_told_in_the_shape_of_the_version(lab, version) {
        driven_master(lab);
        let c = lab.container("c1");
        let config = with(with_pool(Family::Dual), "cniVersion", json!(version));
        let result = lab.add("ipvlan", &c, &config);
        assert_eq!(result["cniVersion"], version);
        if version < "0.3.0" {
            assert_eq!(result["ip4"]["ip"], "10.1.0.2/24");
            assert_eq!(result["ip6"]["ip"], "fd00:1::2/64");
        } else {
            let interface = &result["interfaces"][0];
            assert_eq!(interface["name"], "eth0");
            assert_eq!(interface["mac"], lab.host().link(MASTER).unwrap()["address"]);
            assert_eq!(interface["sandbox"], "/run/netns/c1");
            for (i, address) in [(0, "10.1.0.2/24"), (1, "fd00:1::2/64")] {
                let ip = &result["ips"][i];
                assert_eq!((&ip["address"], &ip["interface"]), (&json!(address), &json!(0)));
            }
        }
        lab.del("ipvlan", &c, &config);
        assert!(c.link("eth0").is_none());
    }
}

/// The three modes, as iproute2 calls them.
mod an_ipvlan_is_in_the_mode_asked_for {
    use super::*;

    fn case(lab: &Lab, mode: &str) {
        driven_master(lab);
        let c = attached(lab, "c1", &with(usual(), "mode", json!(mode)));
        assert_eq!(info(&c, "mode"), if mode.is_empty() { "l2" } else { mode });
        assert_eq!(info(&c, "bridge"), true);
    }

    stamp!(lab_with_plugins, case, l2: "l2", l3: "l3", l3s: "l3s", l2_by_default: "");
}

/// The three flags, each in every mode.
mod an_ipvlan_has_the_flag_asked_for {
    use super::*;

    fn case(lab: &Lab, flag: &str) {
        only_ours(lab, "does not know the kernel's flags [E]");
        driven_master(lab);
        for mode in ["l2", "l3", "l3s"] {
            let config = with(with(usual(), "mode", json!(mode)), "flag", json!(flag));
            let c = attached(lab, mode, &config);
            assert_eq!((info(&c, "mode"), info(&c, flag)), (json!(mode), json!(true)));
            lab.del("ipvlan", &c, &config);
        }
    }

    stamp!(lab_with_plugins, case, bridge: "bridge", private: "private", vepa: "vepa");
}

#[test]
fn an_ipvlan_has_the_mtu_asked_for_or_its_masters() {
    lab_with_plugins(|lab| {
        driven_master(lab).run("ip link set dev lan0 mtu 1450");
        let c = attached(lab, "c1", &usual());
        assert_eq!(link(&c)["mtu"], 1450);
        let c = lab.container("c2");
        let result = lab.add("ipvlan", &c, &with(usual(), "mtu", json!(1300)));
        assert_eq!(link(&c)["mtu"], 1300);
        unlike_reference(lab, "never fills mtu", || {
            assert_eq!(result["interfaces"][0]["mtu"], 1300);
        });
    });
}

#[test]
fn the_alias_of_an_ipvlan_is_its_key() {
    lab_with_plugins(|lab| {
        only_ours(lab, "gives no alias");
        driven_master(lab);
        let c = attached(lab, "c1", &usual());
        assert_eq!(link(&c)["ifalias"], format!("cais:{NETWORK}/c1/eth0"));
    });
}

#[test]
fn a_link_that_is_no_master_of_ipvlan_is_refused_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let host = driven_master(lab);
        host.run("ip link add dev br0 type bridge");
        host.run("ip link set dev lan0 master br0");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("ipvlan").container(&c);
        let error = call.clone().config(&usual()).verb("ADD").run().error();
        call.config(&with(usual(), "master", json!("lo"))).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, crate::under_test::BOOKKEEPING);
        only_ours(lab, "says no more than the kernel");
        error.says(&["create ipvlan eth0 over lan0 in /run/netns/c1: ", "a bridge"]);
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        crate::under_test::needs_driver(lab, "ipvlan");
        lab.host().run("ip link add dev eth0 type veth peer name other");
        lab.host().run("ip link set dev eth0 up");
        lab.host().run("ip link set dev other up");
        let c = lab.container("c1");
        let call = lab.plugin("ipvlan").container(&c);
        let list = include_str!("../../../docs/examples/ipvlan.conflist");
        let page = include_str!("../../../docs/plugins/ipvlan.md");
        crate::plugins::example::works(&call, list, page);
    });
}
