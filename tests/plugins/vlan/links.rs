//! The link itself: id, tag, MTU, name; the result that tells of it; and who is reached by it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{attached, driven_master, info, lan, link, usual, with, with_addresses, with_pool};
use crate::battery::Family;
use crate::under_test::{
    BOOKKEEPING, MASTER, NETWORK, must_know, needs_driver, only_ours, unlike_reference,
};

every_version! {
    fn a_vlan_is_told_in_the_shape_of_the_version(lab, version) {
        driven_master(lab);
        let c = lab.container("c1");
        let config = with(with_pool(Family::Dual), "cniVersion", json!(version));
        let result = lab.add("vlan", &c, &config);
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
        lab.del("vlan", &c, &config);
        assert!(c.link("eth0").is_none());
    }
}

/// Ids at both ends.
mod a_vlan_has_the_id_asked_for {
    use super::*;

    fn case(lab: &Lab, id: u16) {
        driven_master(lab);
        let c = attached(lab, "c1", &with(usual(), "vlanId", json!(id)));
        assert_eq!((info(&c, "id"), info(&c, "protocol")), (json!(id), json!("802.1Q")));
    }

    stamp!(lab_with_plugins, case, least: 1, usual_one: 50, most: 4094, none: 0);
}

#[test]
fn a_vlan_has_the_tag_asked_for() {
    lab_with_plugins(|lab| {
        only_ours(lab, "knows no other tag than 802.1Q [E]");
        driven_master(lab);
        let c = attached(lab, "c1", &with(usual(), "protocol", json!("802.1ad")));
        assert_eq!((info(&c, "id"), info(&c, "protocol")), (json!(7), json!("802.1ad")));
    });
}

#[test]
fn a_vlan_has_the_mtu_asked_for_or_its_masters() {
    lab_with_plugins(|lab| {
        driven_master(lab).run("ip link set dev lan0 mtu 1450");
        let c = attached(lab, "c1", &usual());
        assert_eq!(link(&c)["mtu"], 1450);
        let c = lab.container("c2");
        let result =
            lab.add("vlan", &c, &with(with(usual(), "mtu", json!(1300)), "vlanId", json!(8)));
        assert_eq!(link(&c)["mtu"], 1300);
        unlike_reference(lab, "never fills mtu", || {
            assert_eq!(result["interfaces"][0]["mtu"], 1300);
        });
    });
}

#[test]
fn the_alias_of_a_vlan_is_its_key() {
    lab_with_plugins(|lab| {
        only_ours(lab, "gives no alias");
        driven_master(lab);
        let c = attached(lab, "c1", &usual());
        assert_eq!(link(&c)["ifalias"], format!("cais:{NETWORK}/c1/eth0"));
    });
}

#[test]
fn a_container_on_a_vlan_reaches_those_on_it_and_nobody_else() {
    lab_with_plugins(|lab| {
        needs_driver(lab, "vlan");
        let lan = lan(lab);
        lan.run("ip addr flush dev eth0");
        lan.run("ip link add link eth0 name eth0.7 type vlan id 7");
        lan.run("ip link set dev eth0.7 up");
        lan.run("ip addr add 10.1.0.250/24 dev eth0.7");
        let on_it = attached(lab, "a", &with_addresses(&["10.1.0.5/24"]));
        let on_another = with(with_addresses(&["10.1.0.6/24"]), "vlanId", json!(8));
        let on_another = attached(lab, "b", &on_another);
        on_it.assert_reaches(&lan);
        on_another.assert_cannot_reach_at(&lan, "10.1.0.250".parse().unwrap());
    });
}

#[test]
fn a_vlan_stands_on_a_master_within_the_container_when_asked_for() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know linkInContainer (1.1.1)");
        needs_driver(lab, "vlan");
        let neighbour = lab.another_host("neighbour");
        let c = lab.container("c1");
        lab.wire((&c, MASTER), (&neighbour, "eth0"));
        let before = lab.snapshot();
        let config = with(with_addresses(&["10.1.0.5/24"]), "linkInContainer", json!(true));
        let mut checked = config.clone();
        checked["prevResult"] = lab.add("vlan", &c, &config);
        assert_eq!(link(&c)["link"], MASTER);
        let call = lab.plugin("vlan").container(&c).config(&checked);
        call.clone().verb("CHECK").run().is_silent();
        call.verb("DEL").run().is_silent();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        needs_driver(lab, "vlan");
        lab.host().run("ip link add dev eth0 type veth peer name other");
        lab.host().run("ip link set dev eth0 up");
        lab.host().run("ip link set dev other up");
        let c = lab.container("c1");
        let call = lab.plugin("vlan").container(&c);
        let list = include_str!("../../../docs/examples/vlan.conflist");
        let page = include_str!("../../../docs/plugins/vlan.md");
        crate::plugins::example::works(&call, list, page);
    });
}
