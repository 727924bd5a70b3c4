//! What is asked at a gateway's port 53.

use netfilter::claim::Ports;
use netfilter::{HostAddress, Mapping, Masquerade, Protocol, Publication, kind};
use netns_fixtures::{Lab, lab};

use crate::ground::{
    GATEWAYS, PORT, assert_answers, assert_silent, bridge, claim, container, filter, key, lan,
    of_kind, serve, sh, show_bridged_frames,
};

/// Resolvers at both gateways.
fn resolve(lab: &Lab) {
    for gateway in GATEWAYS {
        serve(lab.host(), "resolver", (gateway, PORT));
    }
}

fn containers_are_led(lab: &Lab, shown: bool) {
    show_bridged_frames(lab, shown);
    bridge(lab);
    let c = container(lab, 2);
    resolve(lab);
    for gateway in GATEWAYS {
        assert_silent(&c, (gateway, 53));
    }
    filter().add(&claim("web", &c, PORT)).unwrap();
    assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
    assert_answers(&c, (GATEWAYS[1], 53), "resolver", "fd00:1::2");
    let removed = filter().remove(&key("web", &c), &[]).unwrap();
    assert!(removed.was_last);
    for gateway in GATEWAYS {
        assert_silent(&c, (gateway, 53));
    }
    assert_eq!(lab.host().run("nft list ruleset"), "");
}

#[test]
fn a_container_asks_at_its_gateways_and_the_resolver_sees_its_address() {
    lab(|lab| containers_are_led(lab, false));
}

#[test]
fn so_it_does_where_bridged_frames_are_shown_to_the_packet_filter() {
    lab(|lab| containers_are_led(lab, true));
}

#[test]
fn a_wildcard_server_of_the_host_and_a_container_that_publishes_53_are_in_nobodys_way() {
    lab(|lab| {
        bridge(lab);
        let (c, server, lan) = (container(lab, 2), container(lab, 3), lan(lab));
        serve(lab.host(), "wildcard", ("::", 53));
        serve(&server, "published", ("0.0.0.0", 53));
        assert_answers(&c, (GATEWAYS[0], 53), "wildcard", "10.1.0.2");
        resolve(lab);
        publish_53(&server);
        // Now the published port takes what is asked at any address of the host.
        assert_answers(&lan, ("192.0.2.1", 53), "published", "192.0.2.7");
        filter().add(&claim("web", &c, PORT)).unwrap();
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        assert_answers(&c, (GATEWAYS[1], 53), "resolver", "fd00:1::2");
        assert_answers(&lan, ("192.0.2.1", 53), "published", "192.0.2.7");
        assert_answers(&c, ("192.0.2.1", 53), "published", GATEWAYS[0]);
    });
}

fn publish_53(server: &netns_fixtures::Container) {
    let mut publication = Publication::of(key("web", server), Masquerade::Neighbours);
    publication.v4 = Some("10.1.0.3/24".parse().unwrap());
    let mapping = |protocol| Mapping {
        protocol,
        host: HostAddress::Any,
        host_port: 53,
        container_port: 53,
        count: 1,
    };
    publication.mappings = vec![mapping(Protocol::Udp), mapping(Protocol::Tcp)];
    let mut published = claim("web", server, PORT);
    published.resolvers.clear();
    published.claimant = netfilter::Claimant::Portmap;
    published.ports = Some(Ports::of(publication));
    of_kind(&kind::Portmap).add(&published).unwrap();
}

#[test]
fn nobody_but_the_containers_of_the_bridge_is_led() {
    lab(|lab| {
        bridge(lab);
        let (c, lan) = (container(lab, 2), lan(lab));
        resolve(lab);
        filter().add(&claim("web", &c, PORT)).unwrap();
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        // The gateway's address can be reached from there, at other ports.
        serve(lab.host(), "other", (GATEWAYS[0], 7));
        assert_answers(&lan, (GATEWAYS[0], 7), "other", "192.0.2.7");
        assert_silent(&lan, (GATEWAYS[0], 53));
        assert_silent(lab.host(), (GATEWAYS[0], 53));
        // Nor what containers ask elsewhere.
        serve(&lan, "internet", ("192.0.2.7", 53));
        lan.run("ip route add 10.1.0.0/24 via 192.0.2.1");
        assert_answers(&c, ("192.0.2.7", 53), "internet", "10.1.0.2");
    });
}

#[test]
fn nft_reads_again_what_it_printed_of_the_rules() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        resolve(lab);
        filter().add(&claim("web", &c, PORT)).unwrap();
        let printed = lab.host().run("nft list ruleset");
        for line in [
            "udp dport 53 dnat ip to iifname . ip daddr map @dns4",
            "tcp dport 53 dnat ip6 to iifname . ip6 daddr map @dns6",
            "\"cni0\" . 10.1.0.1 comment \"network web\" : 10.1.0.1 . 1021",
        ] {
            assert!(printed.contains(line), "no `{line}` in\n{printed}");
        }
        sh(lab, "nft list ruleset >/run/saved; nft flush ruleset; nft -f /run/saved");
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        assert_answers(&c, (GATEWAYS[1], 53), "resolver", "fd00:1::2");
        filter().check(&claim("web", &c, PORT)).unwrap();
    });
}
