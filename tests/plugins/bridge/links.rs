//! The bridge and the veth pair: names, state, MTU.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{host_end, is_up, layer2, with, with_addresses, with_pool};
use crate::battery::Family;
use crate::under_test::{only_ours, unlike_reference};

#[test]
fn a_bridge_is_made_and_the_container_plugged_in() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &layer2());
        let bridge = lab.host().link("cni0").expect("a bridge");
        assert_eq!(bridge["linkinfo"]["info_kind"], "bridge");
        let port = host_end(lab.host());
        assert_eq!(port["linkinfo"]["info_kind"], "veth");
        assert_eq!(port["master"], "cni0");
        let inside = c.link("eth0").expect("the container's end");
        assert_eq!(inside["linkinfo"]["info_kind"], "veth");
        for link in [&bridge, &port, &inside] {
            assert!(is_up(link), "{link}");
        }
        assert_eq!(lab.host().link_names().len(), 2, "nothing else is made");
        assert_eq!(c.link_names(), ["eth0"]);
    });
}

#[test]
fn the_bridge_has_the_name_of_the_config_or_cni0() {
    lab_with_plugins(|lab| {
        for (number, (name, config)) in [
            ("br-of-config", with(layer2(), "bridge", json!("br-of-config"))),
            ("cni0", with(layer2(), "bridge", Value::Null)),
        ]
        .into_iter()
        .enumerate()
        {
            let c = lab.container(&format!("c{number}"));
            let result = lab.add("bridge", &c, &config);
            assert_eq!(result["interfaces"][0]["name"], name);
            assert!(lab.host().link(name).is_some());
        }
    });
}

#[test]
fn a_bridge_that_is_there_is_used_as_it_is() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run("ip link add dev cni0 mtu 1300 type bridge forward_delay 300");
        let before = lab.host().link("cni0").expect("just made");
        lab.add("bridge", &c, &with(layer2(), "mtu", json!(1400)));
        let after = lab.host().link("cni0").expect("still there");
        assert_eq!(after["ifindex"], before["ifindex"]);
        assert_eq!(after["linkinfo"]["info_data"]["forward_delay"], 300);
        // A bridge whose MTU nobody has set by `ip link set` follows its ports.
        assert_eq!(c.link("eth0").expect("ADD made it")["mtu"], 1400);
        assert!(is_up(&after));
    });
}

#[test]
fn another_link_with_the_name_of_the_bridge_is_an_error() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.host().run("ip link add dev cni0 type veth peer name other");
        let before = lab.snapshot();
        let call = lab.plugin("bridge").container(&c).config(&layer2()).verb("ADD");
        call.run().error().says(&["cni0", "bridge"]);
        lab.assert_unchanged(&before);
    });
}

#[test]
fn the_mtu_is_that_of_both_ends_and_of_a_new_bridge() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with(layer2(), "mtu", json!(1400)));
        let links = [lab.host().link("cni0"), Some(host_end(lab.host())), c.link("eth0")];
        for link in links.into_iter().flatten() {
            assert_eq!(link["mtu"], 1400, "{link}");
        }
    });
}

#[test]
fn without_an_mtu_it_is_the_kernels() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with(layer2(), "mtu", json!(0)));
        assert_eq!(c.link("eth0").expect("ADD made it")["mtu"], 1500);
    });
}

#[test]
fn an_mtu_that_no_link_can_have_is_refused_and_nothing_is_made() {
    lab_with_plugins(|lab| {
        for mtu in [-1_i64, 1, 67, 65536, 1 << 40] {
            let c = lab.container(&format!("c{mtu}"));
            let before = lab.snapshot();
            let config = with(layer2(), "mtu", json!(mtu));
            let call = lab.plugin("bridge").container(&c).config(&config).verb("ADD");
            unlike_reference(lab, "takes what it gets, or leaves the bridge behind [E]", || {
                call.run().error().says(&["mtu"]);
                lab.assert_unchanged(&before);
            });
        }
    });
}

#[test]
fn a_container_can_have_several_interfaces_on_one_bridge() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let call = lab.plugin("bridge").container(&c).config(&with_pool(Family::V4)).verb("ADD");
        for (ifname, address) in [("eth0", "10.1.0.2/24"), ("net1", "10.1.0.3/24")] {
            let result = call.clone().ifname(ifname).run().result();
            assert_eq!(result["ips"][0]["address"], address);
            assert_eq!(c.addresses(ifname), [address]);
        }
    });
}

#[test]
fn a_container_can_be_on_several_bridges() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let call = lab.plugin("bridge").container(&c).verb("ADD");
        for number in [0, 1] {
            let mut config = with_addresses(&[&format!("10.{number}.0.5/24")]);
            config["bridge"] = json!(format!("br{number}"));
            config["name"] = json!(format!("net{number}"));
            call.clone().config(&config).ifname(&format!("eth{number}")).run().succeeded();
        }
        assert_eq!(c.addresses("eth0"), ["10.0.0.5/24"]);
        assert_eq!(c.addresses("eth1"), ["10.1.0.5/24"]);
    });
}

#[test]
fn a_container_without_addresses_is_up() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &layer2());
        assert!(result.get("ips").is_none() && result.get("routes").is_none(), "{result}");
        assert!(is_up(&c.link("eth0").expect("ADD made it")));
    });
}

#[test]
fn the_containers_end_stays_down_on_request() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &with(layer2(), "disableContainerInterface", json!(true)));
        unlike_reference(lab, "has disableContainerInterface since 1.4", || {
            assert!(!is_up(&c.link("eth0").expect("ADD made it")));
        });
    });
}

#[test]
fn a_container_that_stays_down_has_no_addresses() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let config = with(with_pool(Family::V4), "disableContainerInterface", json!(true));
        let call = lab.plugin("bridge").container(&c).config(&config).verb("ADD");
        unlike_reference(lab, "has disableContainerInterface since 1.4", || {
            call.run().error().says(&["isableContainerInterface"]);
            lab.assert_unchanged(&before);
        });
    });
}

/// NetworkManager leaves links alone whose name begins so.
#[test]
fn the_hosts_end_is_called_veth_and_eight_hexadecimal_digits() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &layer2());
        let name = host_end(lab.host())["ifname"].as_str().unwrap_or_default().to_owned();
        let digits = name.strip_prefix("veth").unwrap_or_default();
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(digits.len() == 8 && digits.chars().all(is_hex), "{name}");
        assert_eq!(result["interfaces"][1]["name"], name);
    });
}

#[test]
fn the_hosts_end_says_whose_it_is() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not mark the host's end");
        let c = lab.container("c1");
        lab.add("bridge", &c, &layer2());
        let alias = host_end(lab.host())["ifalias"].as_str().unwrap_or_default().to_owned();
        for part in ["net", "c1", "eth0"] {
            assert!(alias.contains(part), "{alias}");
        }
    });
}

/// Else each container that comes or goes may change it, and neighbours lose the host for a while.
#[test]
fn the_mac_of_a_bridge_does_not_follow_its_ports() {
    lab_with_plugins(|lab| {
        let mac = || lab.host().link("cni0").expect("ADD made it")["address"].clone();
        let config = |mac: &str| with(layer2(), "runtimeConfig", json!({ "mac": mac }));
        lab.add("bridge", &lab.container("c0"), &layer2());
        let first = mac();
        unlike_reference(
            lab,
            "lets a bridge without addresses take the lowest MAC of its ports [E]",
            || {
                // Of some ports with random addresses one is almost surely lower than the first.
                for number in 1..8 {
                    let c = lab.container(&format!("c{number}"));
                    lab.add("bridge", &c, &config(&format!("02:00:00:00:00:0{number}")));
                }
                lab.host().run("ip link add dev low address 02:00:00:00:00:01 type bridge");
                lab.host()
                    .run("ip link add dev plug address 02:00:00:00:00:01 type veth peer name p");
                lab.host().run("ip link set dev plug master cni0");
                assert_eq!(mac(), first);
            },
        );
    });
}

#[test]
fn the_macs_of_the_result_are_those_of_the_links() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let result = lab.add("bridge", &c, &with_pool(Family::Dual));
        let links = [
            lab.host().link("cni0").expect("a bridge"),
            host_end(lab.host()),
            c.link("eth0").expect("the container's end"),
        ];
        for (interface, link) in result["interfaces"].as_array().into_iter().flatten().zip(links) {
            assert_eq!(interface["mac"], link["address"]);
        }
    });
}

#[test]
fn the_mtu_is_in_a_result_of_1_1_0() {
    lab_with_plugins(|lab| {
        only_ours(lab, "never fills it");
        let c = lab.container("c1");
        let mut config = with(layer2(), "mtu", json!(1400));
        config["cniVersion"] = json!("1.1.0");
        let result = lab.add("bridge", &c, &config);
        for at in 0..3 {
            assert_eq!(result["interfaces"][at]["mtu"], 1400, "{result}");
        }
    });
}

/// Case 34: the kernel has room for 1023.
#[test]
fn a_bridge_without_room_for_another_port_is_named_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        lab.add("bridge", &c, &layer2());
        lab.del("bridge", &c, &layer2());
        let mut links = String::new();
        // Both ends of a pair are ports, but for one end of the last.
        for number in 0..512 {
            links += &format!("link add a{number} type veth peer name b{number}\n");
            links += &format!("link set a{number} master cni0\n");
            if number < 511 {
                links += &format!("link set b{number} master cni0\n");
            }
        }
        std::fs::write("/run/lab/links", links).unwrap();
        lab.host().run("ip -batch /run/lab/links");
        let before = lab.snapshot();
        let error = lab.plugin("bridge").verb("ADD").container(&c).config(&layer2()).run().error();
        assert_eq!(error.code, 5, "{}", error.text());
        error.says(&["cni0", "1023 ports"]);
        lab.assert_unchanged(&before);
        lab.host().run("ip link delete a0");
        lab.add("bridge", &c, &layer2());
    });
}
