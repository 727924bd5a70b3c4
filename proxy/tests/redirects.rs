use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};

use netns_fixtures::{Lab, lab};
use proxy::Protocol;

use crate::stage::{Stage, asked, assert_udp_echoes, udp_client};

/// The port that people publish, which no socket is bound to.
const PUBLISHED: u16 = 8080;

/// Leads the published port to the proxy's own, for the host itself and for the LAN.
fn redirect(lab: &Lab, protocol: Protocol, port: u16) {
    let chain = |hook: &str, priority: &str, condition: &str| {
        format!(
            "chain {hook} {{ type nat hook {hook} priority {priority};
             {condition} {protocol} dport {PUBLISHED} redirect to :{port}\n}}\n"
        )
    };
    let rules = format!(
        "table ip6 published {{\n{}{}}}\n",
        chain("output", "-100", "ip6 daddr ::1"),
        chain("prerouting", "dstnat", "iifname lan0"),
    );
    fs::write("/run/rules.nft", rules).unwrap();
    lab.host().run("nft -f /run/rules.nft");
}

fn with_lan(lab: &Lab) -> netns_fixtures::Namespace {
    let lan = lab.another_host("lan");
    lab.wire((lab.host(), "lan0"), (&lan, "eth0"));
    for address in ["fd99::1", "fd99::11"] {
        lab.host().run(&format!("ip addr add {address}/64 dev lan0 nodad"));
    }
    lan.run("ip addr add fd99::2/64 dev eth0 nodad");
    lan
}

fn published_at(address: &str) -> SocketAddrV6 {
    SocketAddrV6::new(address.parse().unwrap(), PUBLISHED, 0, 0)
}

#[test]
fn a_redirected_stream_arrives() {
    lab(|lab| {
        let (stage, lan) = (Stage::new(lab), with_lan(lab));
        let echo = stage.echo();
        let address = stage.publish_at("c1", Protocol::Tcp, Ipv6Addr::UNSPECIFIED, echo);
        redirect(lab, Protocol::Tcp, address.port());
        assert_eq!(asked(published_at("::1"), b"from the host"), b"from the host");
        for address in ["fd99::1", "fd99::11"] {
            let back = lan.within(|| asked(published_at(address), b"from the lan"));
            assert_eq!(back, b"from the lan");
        }
    });
}

#[test]
fn replies_to_redirected_datagrams_come_from_the_published_port() {
    lab(|lab| {
        let (stage, lan) = (Stage::new(lab), with_lan(lab));
        let echo = stage.udp_echo();
        let address = stage.publish_at("c1", Protocol::Udp, Ipv6Addr::UNSPECIFIED, echo);
        redirect(lab, Protocol::Udp, address.port());
        assert_udp_echoes(&udp_client(published_at("::1")), b"from the host");
        for address in ["fd99::1", "fd99::11"] {
            lan.within(|| assert_udp_echoes(&udp_client(published_at(address)), b"from the lan"));
        }
    });
}
