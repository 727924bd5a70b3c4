//! A host that begins to forward IPv6 packets.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{default_gateway, with};
use crate::battery::Family;
use crate::under_test::only_ours;

#[test]
fn turning_on_forwarding_warns_where_the_uplink_loses_its_advertised_route() {
    lab_with_plugins(|lab| {
        only_ours(lab, "says nothing");
        let lan = lab.another_host("lan");
        lab.wire((lab.host(), "up0"), (&lan, "eth0"));
        let host = lab.host();
        host.run("ip -6 route add default via fe80::1 dev up0 proto ra");
        let config = with(default_gateway(Family::Dual), "bridge", json!("cni0"));
        let add = |name: &str| {
            lab.plugin("bridge").verb("ADD").container(&lab.container(name)).config(&config).run()
        };

        let outcome = add("a");
        let told = outcome.stderr.clone();
        outcome.succeeded();
        assert!(told.contains("up0 loses its advertised default route"), "{told}");
        assert!(told.contains("net.ipv6.conf.up0.accept_ra=2"), "{told}");

        // It forwards already: nothing more is lost.
        let outcome = add("b");
        assert_eq!(outcome.stderr, "");
        outcome.succeeded();
    });
}

#[test]
fn turning_on_forwarding_is_silent_where_nothing_is_lost() {
    lab_with_plugins(|lab| {
        let lan = lab.another_host("lan");
        lab.wire((lab.host(), "up0"), (&lan, "eth0"));
        lab.host().set_sysctl("ipv6/conf/up0/accept_ra", "2");
        lab.host().run("ip -6 route add default via fe80::1 dev up0 proto ra");
        let config = default_gateway(Family::Dual);
        let call = lab.plugin("bridge").verb("ADD").container(&lab.container("a")).config(&config);
        let outcome = call.run();
        assert_eq!(outcome.stderr, "");
        outcome.succeeded();
    });
}
