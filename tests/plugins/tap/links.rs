//! The tap itself: queues, owner, MTU, address, bridge; and the result that tells of it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, info, lab_with_taps, layer2, link, with, with_pool};
use crate::battery::Family;
use crate::under_test::{NETWORK, are_ours, must_have, must_know, only_ours, unlike_reference};

every_version! {
    fn a_tap_is_told_in_the_shape_of_the_version(lab, version) {
        must_have(lab, "tap");
        lab.needs(netns_fixtures::Feature::Tun);
        let c = lab.container("c1");
        let config = with(with_pool(Family::Dual), "cniVersion", json!(version));
        let result = lab.add("tap", &c, &config);
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
        lab.del("tap", &c, &config);
        assert!(c.link("eth0").is_none());
    }
}

/// What `ip tuntap add` makes with the same options, but for what is random.
#[test]
fn a_tap_is_the_one_that_iproute2_makes() {
    lab_with_taps(|lab| {
        let keys = json!({ "multiQueue": true, "owner": 0, "group": 0, "mtu": 1400 });
        let c = attached(lab, "c1", &crate::under_test::with_keys(layer2(), &keys));
        c.run("ip tuntap add mode tap dev other multi_queue vnet_hdr user 0 group 0");
        c.run("ip link set dev other mtu 1400");
        c.run("ip link set dev other up");
        let told = |name: &str| {
            let mut link = c.link(name).unwrap();
            for random in ["ifname", "ifindex", "address", "ifalias"] {
                link.as_object_mut().unwrap().remove(random);
            }
            link
        };
        assert_eq!(told("eth0"), told("other"));
        assert_eq!(info(&c, "multi_queue"), true);
        assert_eq!(link(&c)["mtu"], 1400);
    });
}

#[test]
fn a_tap_has_one_queue_and_belongs_to_nobody_by_default() {
    lab_with_taps(|lab| {
        let c = attached(lab, "c1", &layer2());
        let data = &link(&c)["linkinfo"]["info_data"];
        assert_eq!((&data["type"], &data["persist"]), (&json!("tap"), &json!(true)));
        assert_eq!((&data["multi_queue"], &data["pi"]), (&json!(false), &json!(false)));
        assert_eq!((&data["user"], &data["group"]), (&Value::Null, &Value::Null));
        let flags = link(&c)["flags"].clone();
        assert!(flags.as_array().unwrap().contains(&json!("UP")), "{flags}");
    });
}

/// Who owns it does not matter to what else it is.
#[test]
fn a_tap_with_an_owner_alone_is_as_one_with_owner_and_group() {
    lab_with_taps(|lab| {
        let owned = attached(lab, "a", &with(layer2(), "owner", json!(0)));
        let both = with(with(layer2(), "owner", json!(0)), "group", json!(0));
        let both = attached(lab, "b", &both);
        assert_eq!(info(&owned, "user"), info(&both, "user"));
        assert!(info(&owned, "group").is_null() && !info(&both, "group").is_null());
        unlike_reference(lab, "makes it by another way, without vnet_hdr", || {
            assert_eq!(
                (info(&owned, "vnet_hdr"), info(&both, "vnet_hdr")),
                (true.into(), true.into())
            );
        });
    });
}

#[test]
fn each_place_of_a_mac_is_read_by_tap_and_the_runtime_wins() {
    lab_with_taps(|lab| {
        let mac = |name: &str, config: &Value, args: &str| {
            let c = lab.container(name);
            let call = lab.plugin("tap").container(&c).config(config).args(args).verb("ADD");
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
fn results_of_tap_carry_the_mtu() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        let config = with(layer2(), "mtu", json!(1400));
        unlike_reference(lab, "never fills mtu", || {
            assert_eq!(lab.add("tap", &c, &config)["interfaces"][0]["mtu"], 1400);
        });
    });
}

#[test]
fn a_tap_becomes_a_port_of_a_bridge_in_the_container() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev br0 type bridge");
        lab.add("tap", &c, &with(layer2(), "bridge", json!("br0")));
        assert_eq!(link(&c)["master"], "br0");
    });
}

#[test]
fn a_bridge_that_is_none_is_named() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        c.run("ip link add dev other type veth peer name peer0");
        for bridge in ["br0", "other"] {
            let config = with(layer2(), "bridge", json!(bridge));
            let outcome = lab.plugin("tap").container(&c).config(&config).verb("ADD").run();
            if are_ours(lab) {
                let text = format!("key \"bridge\": /run/netns/c1 has no bridge {bridge}");
                outcome.refused(7).says(&[&text, "has to make it there"]);
                assert!(c.link("eth0").is_none());
            }
        }
    });
}

#[test]
fn the_alias_of_a_tap_is_its_key() {
    lab_with_taps(|lab| {
        only_ours(lab, "gives no alias");
        let c = attached(lab, "c1", &layer2());
        assert_eq!(link(&c)["ifalias"], format!("cais:{NETWORK}/c1/eth0"));
    });
}

/// Without a program behind it a tap has no carrier, and there is nobody to ask for duplicates.
#[test]
fn add_of_tap_with_addresses_does_not_wait_for_a_program() {
    lab_with_taps(|lab| {
        only_ours(lab, "waits five seconds for IPv6 addresses with a gateway");
        let c = lab.container("c1");
        let call = lab.plugin("tap").container(&c).config(&with_pool(Family::Dual)).verb("ADD");
        call.patience(std::time::Duration::from_secs(3)).run().succeeded();
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
        assert_eq!(c.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("1"));
    });
}

#[test]
fn the_example_of_its_page_works() {
    fn case(lab: &Lab) {
        must_have(lab, "tap");
        lab.needs(netns_fixtures::Feature::Tun);
        must_know(lab, "1.1.0");
        let c = lab.container("c1");
        let call = lab.plugin("tap").container(&c);
        let list = include_str!("../../../docs/examples/tap.conflist");
        let page = include_str!("../../../docs/plugins/tap.md");
        crate::plugins::example::works(&call, list, page);
    }
    lab_with_plugins(case);
}
