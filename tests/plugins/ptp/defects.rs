//! Defects of the reference that have no place of their own in the other files.

use std::net::SocketAddr;

use netns_fixtures::{Container, Namespace, lab_with_plugins};
use serde_json::json;

use super::{attached, bare, host_end, host_end_name, with, with_addresses, with_pool};
use crate::battery::{Family, USUAL};
use crate::echo::{Protocol, ask, serve};
use crate::fake::Fake;
use crate::under_test::{only_ours, unlike_reference};
use crate::uplink::INSIDE;

/// Claims that the host reaches each address of `c`. A server of datagrams would answer from the first.
#[track_caller]
fn all_are_reached(host: &Namespace, c: &Container, addresses: &[&str]) {
    serve(c, "c", INSIDE);
    for address in addresses {
        let answer = ask(host, Protocol::Tcp, SocketAddr::new(address.parse().unwrap(), INSIDE));
        assert!(answer.as_ref().is_ok_and(|answer| answer.starts_with("c ")), "{answer:?}");
    }
}

#[test]
fn two_addresses_of_one_subnet_and_gateway_are_both_reached() {
    lab_with_plugins(|lab| {
        let config = with_addresses(&[
            ("10.1.0.5/24", "10.1.0.1"),
            ("10.1.0.6/24", "10.1.0.1"),
            ("fd00:1::5/64", "fd00:1::1"),
            ("fd00:1::6/64", "fd00:1::1"),
        ]);
        unlike_reference(lab, "fails on the second address of a subnet and gateway [E]", || {
            let c = attached(lab, "c1", &config);
            let addresses = ["10.1.0.5", "10.1.0.6", "fd00:1::5", "fd00:1::6"];
            all_are_reached(lab.host(), &c, &addresses);
            c.assert_reaches(lab.host());
            let end = host_end_name(lab.host());
            assert_eq!(lab.host().addresses(&end), ["10.1.0.1/32", "fd00:1::1/128"]);
            lab.del("ptp", &c, &config);
        });
    });
}

#[test]
fn two_gateways_of_one_subnet_are_both_the_hosts() {
    lab_with_plugins(|lab| {
        let config = with_addresses(&[("10.1.0.5/24", "10.1.0.1"), ("10.1.0.6/24", "10.1.0.2")]);
        let c = attached(lab, "c1", &config);
        all_are_reached(lab.host(), &c, &["10.1.0.5", "10.1.0.6"]);
        let end = host_end_name(lab.host());
        assert_eq!(lab.host().addresses(&end), ["10.1.0.1/32", "10.1.0.2/32"]);
    });
}

#[test]
fn a_container_may_be_on_one_network_of_ptp_twice() {
    lab_with_plugins(|lab| {
        let config = with_pool(Family::Dual);
        let c = attached(lab, "c1", &config);
        unlike_reference(lab, "fails since the gateway's route is there", || {
            let call = lab.plugin("ptp").container(&c).config(&config).ifname("eth1");
            let mut second = config.clone();
            second["prevResult"] = call.clone().verb("ADD").run().result();
            call.clone().config(&second).verb("CHECK").run().is_silent();
            let addresses = ["10.1.0.2", "10.1.0.3", "fd00:1::2", "fd00:1::3"];
            all_are_reached(lab.host(), &c, &addresses);
            call.verb("DEL").run().is_silent();
            lab.host().assert_reaches(&c);
        });
    });
}

#[test]
fn mtu_and_advmss_of_routes_of_ptp_are_made() {
    lab_with_plugins(|lab| {
        let routes = json!([{ "dst": "10.8.0.0/16", "mtu": 1300, "advmss": 1200 }]);
        Fake::answering(
            "fake",
            &json!({ "cniVersion": USUAL, "routes": routes,
                "ips": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }] }),
        );
        let config = with(bare(), "ipam", json!({ "type": "fake" }));
        let c = lab.container("c1");
        let call = lab.plugin("ptp").container(&c).config(&config).verb("ADD");
        call.env("CNI_PATH", Fake::path(&lab.plugins())).run().succeeded();
        unlike_reference(lab, "makes the route without them [E]", || {
            let route = c.run("ip route show 10.8.0.0/16");
            assert!(route.contains("mtu 1300") && route.contains("advmss 1200"), "{route}");
        });
    });
}

#[test]
fn a_name_of_the_hosts_end_that_others_have_is_passed_over() {
    lab_with_plugins(|lab| {
        only_ours(lab, "takes a random name, and gives up where others have it [E]");
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let usual = host_end_name(lab.host());
        lab.del("ptp", &c, &config);
        lab.host().run(&format!("ip link add dev {usual} type bridge"));
        lab.add("ptp", &c, &config);
        lab.host().assert_reaches(&c);
        lab.del("ptp", &c, &config);
        assert_eq!(host_end(lab.host())["linkinfo"]["info_kind"], "bridge");
    });
}

#[test]
fn ipv6_forwarding_of_ptp_warns_where_the_uplink_loses_its_advertised_route() {
    lab_with_plugins(|lab| {
        only_ours(lab, "says nothing of it [E]");
        let host = lab.host();
        host.run("ip link add dev up0 type veth peer name up1");
        host.set_sysctl("ipv6/conf/up0/accept_ra", "1");
        host.run("ip link set dev up0 up");
        host.run("ip link set dev up1 up");
        host.run("ip -6 route add default via fe80::9 dev up0 proto ra");
        let c = lab.container("c1");
        let call = lab.plugin("ptp").container(&c).config(&with_pool(Family::V6)).verb("ADD");
        let outcome = call.run();
        outcome.succeeded();
        assert!(outcome.stderr.contains("up0 loses its advertised"), "{}", outcome.stderr);
    });
}
