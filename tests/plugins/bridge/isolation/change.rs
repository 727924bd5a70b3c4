//! Networks that change, share a bridge, and go.

use netns_fixtures::{Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::probe::{Kind, Seen, control, send, watch};
use super::town::{Frames, PUBLISHED, Resident, Town};
use crate::battery::Family;

/// The sets of `inet cais` that hold `bridge`, maps with where they lead.
fn places(host: &Namespace, bridge: &str) -> Vec<String> {
    let listed = host.json("nft -j list table inet cais");
    let mut places = Vec::new();
    for object in listed["nftables"].as_array().into_iter().flatten() {
        let set = if object["set"].is_object() { &object["set"] } else { &object["map"] };
        for element in set["elem"].as_array().into_iter().flatten() {
            let text = element.to_string();
            if text.contains(&format!("\"{bridge}\"")) {
                let chain = text.split("\"target\":\"").nth(1).and_then(|t| t.split('"').next());
                let name = set["name"].as_str().unwrap_or_default();
                places.push(format!("{name} {}", chain.unwrap_or_default()).trim().to_owned());
            }
        }
    }
    places.sort();
    places
}

mod the_newest_configuration_of_a_network_holds_for_all_its_containers {
    use super::*;
    stamp!(lab_with_plugins, case,
        ipv4: Family::V4, ipv6: Family::V6);

    fn case(lab: &Lab, family: Family) {
        let town = Town::new(lab, family, Frames::Hidden);
        let to = town.attach(1, 2, &json!({ "isolate": "strict" }));
        let from = town.attach(2, 2, &json!({ "isolate": false }));
        watch(&to.container, town.is_v4());
        let arrives = |port: u16| {
            send(&from.container, to.address, Kind::Udp(port), false);
            control(&from.container, lab.host(), town.address(2, 1));
            control(lab.host(), &to.container, to.address);
            Seen::by(&to.container).has(from.address, to.address, Kind::Udp(port))
        };
        assert!(!arrives(PUBLISHED), "from an open network to a strict one");
        let changes = [
            json!({ "internal": true }),
            json!({ "isolate": true, "icc": false }),
            json!({ "gatewayMode": "routed" }),
            json!({ "icc": false }),
            json!({ "isolate": false }),
        ];
        for (number, keys) in (3..).zip(&changes) {
            town.attach(1, number, keys);
            let like_new = town.attach(10 + number, 2, keys);
            let bridge = like_new.config["bridge"].as_str().unwrap();
            assert_eq!(places(lab.host(), "br1"), places(lab.host(), bridge), "{keys}");
        }
        assert!(arrives(PUBLISHED + 10), "from an open network to one that has become open");
    }
}

/// A network on the bridge of network 1.
fn on_bridge_1(town: &Town<'_>, network: u16, keys: &Value) -> Resident {
    let mut keys = keys.clone();
    keys["bridge"] = json!("br1");
    // One bridge has one gateway.
    keys["forceAddress"] = json!(true);
    town.attach(network, 2, &keys)
}

#[test]
fn a_bridge_of_two_networks_is_kept_apart_until_both_are_gone() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, Family::V4, Frames::Hidden);
        let keys = json!({ "isolate": true, "icc": false });
        let first = on_bridge_1(&town, 1, &keys);
        let alone = places(lab.host(), "br1");
        assert!(alone.contains(&"to in_isolated".to_owned()), "{alone:?}");
        // With ports, so that there are claims of several plugins to choose from.
        let second = on_bridge_1(&town, 2, &keys);
        town.publish(&second, &[(8002, PUBLISHED)]);
        let without_ports = || {
            let mut places = places(lab.host(), "br1");
            places.retain(|place| place != "guarded" && place != "opened");
            places
        };
        assert_eq!(without_ports(), alone);
        town.detach(&first);
        assert_eq!(without_ports(), alone);
        town.detach(&second);
        let tables = lab.host().run("nft list tables");
        assert!(!tables.contains("cais"), "{tables}");
    });
}

#[test]
fn two_networks_cannot_have_one_bridge_kept_apart_in_two_ways() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, Family::V4, Frames::Hidden);
        let first = on_bridge_1(&town, 1, &json!({ "isolate": "strict" }));
        let c = lab.container("other");
        for keys in [json!({ "isolate": false }), json!({ "isolate": "strict", "icc": false })] {
            let mut config = town.config(2, 5, &keys);
            config["bridge"] = json!("br1");
            config["forceAddress"] = json!(true);
            let before = lab.snapshot();
            let call = lab.plugin("bridge").verb("ADD").container(&c).config(&config);
            call.run().refused(7).says(&["br1", "net1", "net2"]);
            lab.assert_unchanged_but(&before, crate::under_test::BOOKKEEPING);
        }
        // The dead have no say.
        first.container.remove();
        on_bridge_1(&town, 2, &json!({ "isolate": false }));
        let now = places(lab.host(), "br1");
        assert!(now.contains(&"to in_open".to_owned()), "{now:?}");
    });
}

#[test]
fn a_network_takes_all_its_elements_with_its_last_container() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, Family::V4, Frames::Hidden);
        town.attach(9, 2, &json!({ "isolate": "strict" }));
        let residents = [
            town.attach(1, 2, &json!({ "isolate": false, "icc": false, "ipMasq": true })),
            town.attach(1, 3, &json!({ "isolate": false, "icc": false, "ipMasq": true })),
        ];
        town.publish(&residents[0], &[(8001, PUBLISHED)]);
        let table = || lab.host().run("nft list table inet cais");
        assert!(table().contains("network net1") && table().contains("net1/c1-2/eth0"));
        town.detach(&residents[0]);
        assert!(table().contains("network net1") && !table().contains("net1/c1-2/eth0"));
        assert!(places(lab.host(), "br1").contains(&"to in_open".to_owned()));
        town.detach(&residents[1]);
        let left = table();
        assert!(!left.contains("net1") && !left.contains("br1"), "{left}");
        assert!(left.contains("network net9"), "{left}");
    });
}

#[test]
fn rules_of_the_administrator_come_first_and_keep_the_table() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, Family::V4, Frames::Hidden);
        let host = lab.host();
        // As at boot, before there is any container.
        host.run("nft add table inet cais");
        host.run("nft add chain inet cais user_fwd");
        host.run("nft add rule inet cais user_fwd ip saddr 192.0.2.1 drop");
        let strict = town.attach(1, 2, &json!({ "isolate": "strict" }));
        let at_boot = host.run("nft list chain inet cais user_fwd");
        assert!(at_boot.contains("192.0.2.1"), "{at_boot}");
        let plain = town.attach(2, 2, &json!({}));
        let lan_reaches_plain = |patient| send(&town.lan, plain.address, Kind::Ping, patient);
        assert!(lan_reaches_plain(true));
        host.run("nft add rule inet cais user_fwd ip saddr 10.99.0.2 counter drop");
        watch(&plain.container, true);
        lan_reaches_plain(false);
        control(host, &plain.container, plain.address);
        assert!(!Seen::by(&plain.container).has(town.lan_address(), plain.address, Kind::Ping));
        let rules = || host.run("nft -s list chain inet cais user_fwd");
        let dropped = host.run("nft list chain inet cais user_fwd");
        assert!(!dropped.contains("packets 0"), "{dropped}");
        let before = rules();
        town.detach(&strict);
        assert_eq!(rules(), before);
        let again = town.attach(3, 2, &json!({ "isolate": "strict" }));
        assert_eq!(rules(), before);
        host.run("nft flush chain inet cais user_fwd");
        town.detach(&again);
        let tables = host.run("nft list tables");
        assert!(!tables.contains("cais"), "{tables}");
    });
}
