//! The ways by which a published port is reached, and those by which nothing must be.

use std::net::SocketAddr;

use netns_fixtures::{Container, Lab, Namespace};
use serde_json::{Value, json};

use super::{INSIDE, OUTSIDE, attached, both, other, web, web_with};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, assert_silent, serve, serve_at};
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::{HOST, HOST_TOO, LAN, bridge, lan, portmap};

/// Stamps a case over a kernel that shows bridged frames to the packet filter, and one that does
/// not: `fn sentence(lab) { … }`.
macro_rules! with_and_without_br_netfilter {
    ($($(#[$doc:meta])* fn $name:ident($lab:ident, $shown:ident) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every body needs all that its file does")]
            use super::*;
            fn case($lab: &Lab, $shown: bool) {
                show_bridged_frames($lab, $shown);
                $body
            }
            stamp!(netns_fixtures::lab_with_plugins, case,
                with_br_netfilter: true, without_br_netfilter: false);
        }
    )*};
}

/// Sets whether bridged frames are shown to the packet filter, where the kernel can.
fn show_bridged_frames(lab: &Lab, shown: bool) {
    if shown {
        lab.needs(netns_fixtures::Feature::BrNetfilter);
    }
    for switch in ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"] {
        if lab.host().sysctl(switch).is_some() {
            lab.host().set_sysctl(switch, if shown { "1" } else { "0" });
        }
    }
}

/// The bridge's own addresses, which containers see of what is masqueraded towards them.
const GATEWAY: [&str; 2] = ["10.1.0.1", "fd00:1::1"];

with_and_without_br_netfilter! {
    /// Path 1.
    fn a_neighbour_of_the_host_is_seen_with_its_own_address(lab, _shown) {
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        for (at, client) in HOST.iter().chain(&HOST_TOO).zip(LAN.iter().cycle()) {
            assert_answers(&lan, (at, OUTSIDE), "c1", client);
            assert_silent(&lan, (at, INSIDE));
        }
    }

    /// Path 2.
    fn the_host_reaches_a_port_at_its_own_addresses(lab, _shown) {
        let _lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        for at in HOST {
            assert_answers(lab.host(), (at, OUTSIDE), "c1", at);
        }
    }

    /// Path 3.
    fn the_host_reaches_a_port_at_127_0_0_1(lab, _shown) {
        let chain = web(lab, Family::Dual);
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        assert_answers(lab.host(), ("127.0.0.1", OUTSIDE), "c1", GATEWAY[0]);
    }

    /// Path 5.
    fn a_container_of_another_network_reaches_a_port_at_the_hosts_addresses(lab, _shown) {
        let _lan = lan(lab);
        let _c = attached(lab, &web(lab, Family::Dual), "c1", &both(OUTSIDE, INSIDE));
        let from = attached(lab, &other(lab, Family::Dual), "c2", &json!([]));
        // Its own network masquerades what leaves it.
        let seen = GATEWAY.iter().cycle();
        for (at, seen) in HOST.iter().chain(&HOST_TOO).chain(&GATEWAY).zip(seen) {
            assert_answers(&from, (at, OUTSIDE), "c1", seen);
        }
    }

    /// Path 6.
    fn a_sibling_reaches_a_port_at_the_hosts_addresses(lab, _shown) {
        let _lan = lan(lab);
        for hairpin in [false, true] {
            let chain = hairpin_web(lab, hairpin);
            let ports = both(OUTSIDE, INSIDE);
            let c = attached(lab, &chain, &format!("c{hairpin}"), &ports);
            let sibling = attached(lab, &chain, &format!("sibling{hairpin}"), &json!([]));
            for (at, gateway) in HOST.iter().chain(&GATEWAY).zip(GATEWAY.iter().cycle()) {
                assert_answers(&sibling, (at, OUTSIDE), c.id(), gateway);
            }
            chain.del(Attach::new(&c, &ports));
        }
    }

    /// Path 6 again.
    fn a_container_reaches_its_own_port_at_the_hosts_addresses(lab, shown) {
        let _lan = lan(lab);
        for hairpin in [false, true] {
            if shown && !hairpin {
                // The kernel sends what is translated while it is bridged back to its port only
                // in hairpin mode; runtimes write that key.
                continue;
            }
            let chain = hairpin_web(lab, hairpin);
            let ports = both(OUTSIDE, INSIDE);
            let c = attached(lab, &chain, &format!("c{hairpin}"), &ports);
            for (at, gateway) in HOST.iter().chain(&GATEWAY).zip(GATEWAY.iter().cycle()) {
                assert_answers(&c, (at, OUTSIDE), c.id(), gateway);
            }
            chain.del(Attach::new(&c, &ports));
        }
    }

    /// Path 8: what is sent to 127.0.0.1 from outside is not for the container, even where the
    /// host takes it.
    fn a_neighbour_that_sends_to_127_0_0_1_reaches_no_port(lab, _shown) {
        let lan = lan(lab);
        let _c = attached(lab, &web(lab, Family::Dual), "c1", &both(OUTSIDE, INSIDE));
        lab.host().set_sysctl("ipv4/conf/up0/route_localnet", "1");
        send_loopback_by(&lan, "eth0", HOST[0]);
        serve_at(lab.host(), "host", "127.0.0.1:9090".parse().unwrap());
        assert_answers(&lan, ("127.0.0.1", 9090), "host", LAN[0]);
        unlike_reference(lab, "leads it to the container [E]", || {
            assert_silent(&lan, ("127.0.0.1", OUTSIDE));
        });
    }

    /// Case 11: the switch that path 3 needs must not open the host's own services.
    fn a_container_that_sends_to_127_0_0_1_reaches_no_service_of_the_host(lab, _shown) {
        let chain = web(lab, Family::Dual);
        serve_at(lab.host(), "host", "127.0.0.1:9090".parse().unwrap());
        let ports = json!([]);
        let c = attached(lab, &chain, "c1", &ports);
        send_loopback_by(&c, "eth0", GATEWAY[0]);
        lab.host().set_sysctl("ipv4/conf/cni1/route_localnet", "1");
        assert_answers(&c, ("127.0.0.1", 9090), "host", "10.1.0.2");
        lab.host().set_sysctl("ipv4/conf/cni1/route_localnet", "0");
        let publisher = attached(lab, &chain, "c2", &both(OUTSIDE, INSIDE));
        assert_eq!(lab.host().sysctl("ipv4/conf/cni1/route_localnet").as_deref(), Some("1"));
        unlike_reference(lab, "opens 127.0.0.1 of the host", || {
            assert_silent(&c, ("127.0.0.1", 9090));
        });
        drop(publisher);
    }
}

/// Makes `from` a place that sends packets to 127.0.0.1 to its neighbour `gateway`, as only a
/// crafted one does.
fn send_loopback_by(from: &Namespace, link: &str, gateway: &str) {
    from.run("ip addr flush dev lo");
    from.set_sysctl(&format!("ipv4/conf/{link}/route_localnet"), "1");
    from.run(&format!("ip route add 127.0.0.1/32 via {gateway} dev {link}"));
}

fn hairpin_web(lab: &Lab, hairpin: bool) -> Chain<'_> {
    let mut bridge = bridge(Family::Dual, 1);
    bridge["hairpinMode"] = json!(hairpin);
    Chain::new(lab, &[bridge, portmap()])
}

every_family! {
    fn a_network_of_any_family_publishes_at_what_it_has(lab, family) {
        let lan = lan(lab);
        let _c = attached(lab, &web(lab, family), "c1", &both(OUTSIDE, INSIDE));
        match family {
            Family::V6 => assert_silent(&lan, (HOST[0], OUTSIDE)),
            _ => assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]),
        }
        match family {
            // Path 7: by the proxy, so that the container sees the host.
            Family::V4 => unlike_reference(lab, "has no proxy", || {
                assert_answers(&lan, (HOST[1], OUTSIDE), "c1", "10.1.0.1");
            }),
            _ => assert_answers(&lan, (HOST[1], OUTSIDE), "c1", LAN[1]),
        }
    }
}

fn started(lab: &Lab, keys: &Value) -> (Namespace, Container, Container) {
    let lan = lan(lab);
    let chain = web_with(lab, keys);
    let c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
    let sibling = attached(lab, &chain, "sibling", &json!([]));
    (lan, c, sibling)
}

#[test]
fn without_snat_neighbours_and_the_hosts_127_0_0_1_are_not_served() {
    netns_fixtures::lab_with_plugins(|lab| {
        show_bridged_frames(lab, false);
        let (lan, _c, sibling) = started(lab, &json!({ "snat": false }));
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
        assert_answers(&lan, (HOST[1], OUTSIDE), "c1", LAN[1]);
        // Its answer goes straight to the sibling, who asked somebody else.
        assert_silent(&sibling, (HOST[0], OUTSIDE));
        assert_silent(lab.host(), ("127.0.0.1", OUTSIDE));
        assert_eq!(lab.host().sysctl("ipv4/conf/cni1/route_localnet").as_deref(), Some("0"));
    });
}

#[test]
fn with_masq_all_every_client_is_seen_as_the_gateway() {
    netns_fixtures::lab_with_plugins(|lab| {
        only_ours(lab, "of Debian does not know the key");
        let (lan, _c, sibling) = started(lab, &json!({ "masqAll": true }));
        for place in [&lan, lab.host(), &*sibling] {
            for (at, gateway) in HOST.iter().zip(GATEWAY) {
                assert_answers(place, (at, OUTSIDE), "c1", gateway);
            }
        }
        assert_answers(lab.host(), ("127.0.0.1", OUTSIDE), "c1", GATEWAY[0]);
    });
}

#[test]
fn a_local_service_at_another_port_and_traffic_to_others_stay_untouched() {
    netns_fixtures::lab_with_plugins(|lab| {
        let lan = lan(lab);
        let c = attached(lab, &web(lab, Family::Dual), "c1", &both(OUTSIDE, INSIDE));
        for own in HOST {
            serve_at(lab.host(), "host", SocketAddr::new(own.parse().unwrap(), 9090));
        }
        // What is for somebody else is not for the port, whatever its number.
        serve(&lan, "lan", OUTSIDE);
        for (own, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (own, 9090), "host", of_lan);
            assert_answers(lab.host(), (of_lan, OUTSIDE), "lan", own);
            assert_answers(&c, (of_lan, OUTSIDE), "lan", own);
        }
    });
}
