//! `ipMasq`: what leaves the container's subnet bears the host's address.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use netns_fixtures::{Container, Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::{default_gateway, with, with_addresses};
use crate::battery::Family;
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::{delete, elements, elements_of};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{HOST, LAN, lan};

/// Where the other host serves.
const PORT: u16 = 7000;

fn masqueraded(family: Family) -> Value {
    with(default_gateway(family), "ipMasq", json!(true))
}

/// A neighbour of the host that serves at [`PORT`].
fn server(lab: &Lab) -> Namespace {
    let lan = lan(lab);
    serve(&lan, "lan", PORT);
    lan
}

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("bridge", &container, config);
    container.settle();
    lab.host().settle();
    container
}

/// Claims that the neighbour of the host sees the host instead of `c`.
#[track_caller]
fn is_masqueraded(c: &Namespace, family: Family) {
    if family != Family::V6 {
        assert_answers(c, (LAN[0], PORT), "lan", HOST[0]);
    }
    if family != Family::V4 {
        assert_answers(c, (LAN[1], PORT), "lan", HOST[1]);
    }
}

every_family! {
    fn a_neighbour_of_the_host_sees_the_hosts_address(lab, family) {
        let _lan = server(lab);
        let c = attached(lab, "c1", &masqueraded(family));
        is_masqueraded(&c, family);
        let plain = attached(lab, "plain", &default_gateway(family));
        // The neighbour knows no way back to those that are not.
        if family != Family::V6 {
            assert_silent(&plain, (LAN[0], PORT));
        }
        lab.del("bridge", &c, &masqueraded(family));
        only_ours(lab, "keeps its chains");
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    }

    fn siblings_see_each_others_own_address(lab, family) {
        for shown in ["0", "1"] {
            for switch in ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"] {
                if lab.host().sysctl(switch).is_some() {
                    lab.host().set_sysctl(switch, shown);
                }
            }
            let config = masqueraded(family);
            let (a, b) = (lab.container(&format!("a{shown}")), lab.container(&format!("b{shown}")));
            for c in [&a, &b] {
                lab.add("bridge", c, &config);
                c.settle();
            }
            serve(&b, "b", PORT);
            for (own, other) in a.addresses("eth0").iter().zip(b.addresses("eth0")) {
                let bare = |cidr: &str| cidr.split('/').next().unwrap().to_owned();
                assert_answers(&a, (&bare(&other), PORT), "b", &bare(own));
            }
        }
    }
}

/// The host plays the container, since a host forwards no multicast by itself: it sends from the
/// container's address, which is what the rule looks at.
#[test]
fn multicast_keeps_its_source() {
    lab_with_plugins(|lab| {
        only_ours(lab, "looks at the link as well");
        let lan = server(lab);
        let c = attached(lab, "c1", &masqueraded(Family::Dual));
        let host = lab.host();
        host.run("ip addr add 10.1.0.2/32 dev up0");
        host.run("ip addr add fd00:1::2/128 dev up0 nodad");
        host.run("ip route add 239.0.0.0/8 dev up0");
        let index = |place: &Namespace, link: &str| -> u32 {
            u32::try_from(place.link(link).unwrap()["ifindex"].as_u64().unwrap()).unwrap()
        };
        let group4: Ipv4Addr = "239.1.1.1".parse().unwrap();
        let group6 = "ff02::1:7".parse().unwrap();
        let (at_lan, at_host) = (index(&lan, "eth0"), index(host, "up0"));
        let hearing4 = lan.within(|| UdpSocket::bind("0.0.0.0:7001").unwrap());
        let hearing6 = lan.within(|| UdpSocket::bind("[::]:7002").unwrap());
        lan.within(|| hearing4.join_multicast_v4(&group4, &LAN[0].parse().unwrap()).unwrap());
        lan.within(|| hearing6.join_multicast_v6(&group6, at_lan).unwrap());
        let to6 = SocketAddr::V6(SocketAddrV6::new(group6, 7002, 0, at_host));
        for (from, to, hearing, seen) in [
            ("10.1.0.2:0", (group4, 7001).into(), &hearing4, "10.1.0.2"),
            ("[fd00:1::2]:0", to6, &hearing6, "fd00:1::2"),
            // Anything else from there is masqueraded.
            ("10.1.0.2:0", format!("{}:7001", LAN[0]).parse().unwrap(), &hearing4, HOST[0]),
            ("[fd00:1::2]:0", format!("[{}]:7002", LAN[1]).parse().unwrap(), &hearing6, HOST[1]),
        ] {
            host.within(|| UdpSocket::bind(from).unwrap().send_to(b"?", to).unwrap());
            hearing.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let (_, client) = hearing.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(client.ip().to_canonical().to_string(), seen, "to {to}");
        }
        drop(c);
    });
}

#[test]
fn of_two_interfaces_on_one_network_the_other_keeps_its_masquerade() {
    lab_with_plugins(|lab| {
        let _lan = server(lab);
        let mut config = masqueraded(Family::V4);
        config["isDefaultGateway"] = json!(false);
        config["isGateway"] = json!(true);
        let c = lab.container("c1");
        let call = |verb, ifname| {
            lab.plugin("bridge").verb(verb).container(&c).ifname(ifname).config(&config).run()
        };
        for ifname in ["eth0", "eth1"] {
            call("ADD", ifname).succeeded();
        }
        unlike_reference(lab, "has one chain for both and empties it [E]", || {
            call("DEL", "eth0").is_silent();
            c.run("ip route add default via 10.1.0.1 dev eth1");
            assert_answers(&c, (LAN[0], PORT), "lan", HOST[0]);
        });
    });
}

#[test]
fn a_new_owner_of_an_address_keeps_its_masquerade_when_the_old_one_is_deleted_late() {
    lab_with_plugins(|lab| {
        let _lan = server(lab);
        let mut config = with_addresses(&["10.1.0.5/24", "fd00:1::5/64"]);
        config["ipMasq"] = json!(true);
        config["isDefaultGateway"] = json!(true);
        config["ipam"]["addresses"][0]["gateway"] = json!("10.1.0.1");
        config["ipam"]["addresses"][1]["gateway"] = json!("fd00:1::1");
        let old = attached(lab, "old", &config);
        is_masqueraded(&old, Family::Dual);
        old.remove();
        for link in lab.host().link_names().iter().filter(|name| name.starts_with("veth")) {
            lab.host().wait_until_gone(link);
        }
        let new = attached(lab, "new", &config);
        is_masqueraded(&new, Family::Dual);
        lab.del("bridge", &old, &config);
        is_masqueraded(&new, Family::Dual);
        only_ours(lab, "has no sets");
        for set in ["masq4", "masq6"] {
            let owners: Vec<String> =
                elements_of(lab, set).into_iter().map(|element| element.comment).collect();
            assert_eq!(owners, ["net/new/eth0"], "{set}");
        }
    });
}

#[test]
fn check_finds_each_element_that_is_missing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no sets");
        let mut config = with(masqueraded(Family::Dual), "macspoofchk", json!(true));
        let c = lab.container("c1");
        config["prevResult"] = lab.add("bridge", &c, &config);
        let check = || lab.plugin("bridge").verb("CHECK").container(&c).config(&config).run();
        check().is_silent();
        let all: Vec<_> = elements(lab).into_iter().filter(|e| e.set != "layout_2").collect();
        assert_eq!(all.len(), 6, "{all:?}");
        let ruleset = lab.host().run("nft list ruleset");
        for element in &all {
            delete(lab, element);
            check().refused(101).says(&[&element.set, "is missing or differs"]);
            crate::filter::carry_out(lab, &format!("flush ruleset\n{ruleset}"));
            check().is_silent();
        }
    });
}

#[test]
fn del_and_gc_take_back_what_was_wanted_whatever_has_become_of_the_rules() {
    lab_with_plugins(|lab| {
        only_ours(lab, "keeps its chains");
        let config = with(masqueraded(Family::Dual), "macspoofchk", json!(true));
        let mut gc = with(config.clone(), "cniVersion", json!("1.1.0"));
        gc["cni.dev/valid-attachments"] = json!([]);
        for (number, flushed) in [false, true].into_iter().enumerate() {
            let c = lab.container(&format!("c{number}"));
            for by_gc in [false, true] {
                lab.add("bridge", &c, &config);
                if flushed {
                    lab.host().run("nft flush ruleset");
                }
                match by_gc {
                    true => lab.plugin("bridge").verb("GC").config(&gc).run().is_silent(),
                    // Nor does DEL need the key.
                    false => lab.del("bridge", &c, &default_gateway(Family::Dual)),
                }
                assert!(!lab.host().run("nft list ruleset").contains("cais"));
                assert!(std::fs::read_dir("/run/cais/netfilter").unwrap().next().is_none());
            }
        }
    });
}
