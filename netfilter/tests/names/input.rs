//! Hosts that drop what comes to them.

use netns_fixtures::{Feature, Lab, lab};

use crate::ground::{
    GATEWAYS, PORT, assert_answers, assert_silent, bridge, claim, container, filter, key, serve, sh,
};

const VARIANTS: [&str; 2] = ["iptables", "iptables-legacy"];

fn dropping(lab: &Lab, iptables: &str) {
    // Neighbours have to find each other in any case.
    let ip6tables = iptables.replace("ip", "ip6");
    sh(
        lab,
        &format!(
            "{iptables} -P INPUT DROP
             {ip6tables} -P INPUT DROP
             {ip6tables} -A INPUT -p icmpv6 -j ACCEPT"
        ),
    );
}

fn rules(lab: &Lab, iptables: &str) -> String {
    sh(lab, &format!("{iptables} -S INPUT; {} -S INPUT", iptables.replace("ip", "ip6")))
}

fn clients_pass(lab: &Lab, iptables: &str) {
    bridge(lab);
    dropping(lab, iptables);
    let before = rules(lab, iptables);
    let (a, b) = (container(lab, 2), container(lab, 3));
    for gateway in GATEWAYS {
        serve(lab.host(), "resolver", (gateway, PORT));
        serve(lab.host(), "closed", (gateway, 7));
        assert_silent(&a, (gateway, PORT));
    }
    filter().add(&claim("web", &a, PORT)).unwrap();
    let one = rules(lab, iptables);
    filter().add(&claim("shop", &b, PORT)).unwrap();
    assert_eq!(rules(lab, iptables), one, "one rule does for all");
    assert_eq!(one.matches("cais-names").count(), 2, "{one}");
    for (c, addresses) in [(&a, ["10.1.0.2", "fd00:1::2"]), (&b, ["10.1.0.3", "fd00:1::3"])] {
        for (gateway, address) in GATEWAYS.iter().zip(addresses) {
            assert_answers(c, (gateway, 53), "resolver", address);
            // As what is led here from 127.0.0.11.
            assert_answers(c, (gateway, PORT), "resolver", address);
            assert_silent(c, (gateway, 7));
        }
    }
    filter().remove(&key("web", &a), &[]).unwrap();
    assert_answers(&b, (GATEWAYS[0], 53), "resolver", "10.1.0.3");
    filter().remove(&key("shop", &b), &[]).unwrap();
    assert_eq!(rules(lab, iptables), before);
}

#[test]
fn clients_pass_an_input_of_iptables_that_drops() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        clients_pass(lab, VARIANTS[0]);
    });
}

#[test]
fn clients_pass_a_legacy_input_that_drops() {
    lab(|lab| {
        lab.needs(Feature::LegacyIptables);
        if std::fs::read("/proc/thread-self/net/ip_tables_names").is_err() {
            netns_fixtures::skip(
                "only root of the machine may read which legacy tables are in use",
            );
        }
        clients_pass(lab, VARIANTS[1]);
    });
}

#[test]
fn check_finds_an_input_that_came_to_drop_and_reload_mends_it() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        bridge(lab);
        let c = container(lab, 2);
        let claim = claim("web", &c, PORT);
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        filter().add(&claim).unwrap();
        filter().check(&claim).unwrap();
        dropping(lab, "iptables");
        assert_silent(&c, (GATEWAYS[0], 53));
        let text = filter().check(&claim).unwrap_err().to_string();
        assert!(text.contains("cais-names") && text.contains("ip filter INPUT"), "{text}");
        filter().reload().unwrap();
        filter().check(&claim).unwrap();
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        // A second time nothing is there twice.
        let once = rules(lab, "iptables");
        filter().reload().unwrap();
        assert_eq!(rules(lab, "iptables"), once);
    });
}

#[test]
fn a_host_without_an_input_chain_gets_none() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        filter().add(&claim("web", &c, PORT)).unwrap();
        let tables = lab.host().run("nft list tables");
        assert_eq!(tables.trim(), "table inet cais");
    });
}

#[test]
fn a_packet_with_a_mark_of_somebody_else_keeps_it() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        bridge(lab);
        dropping(lab, "iptables");
        let c = container(lab, 2);
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        filter().add(&claim("web", &c, PORT)).unwrap();
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        sh(
            lab,
            "nft add table inet other
             nft add chain inet other pre '{ type filter hook prerouting priority -150; }'
             nft add rule inet other pre meta mark set 0x17",
        );
        assert_silent(&c, (GATEWAYS[0], 53));
        sh(lab, "iptables -A INPUT -m mark --mark 0x17 -j ACCEPT");
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
    });
}

#[test]
fn handing_back_takes_the_rule_away() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        bridge(lab);
        dropping(lab, "iptables");
        let before = rules(lab, "iptables");
        let c = container(lab, 2);
        filter().add(&claim("web", &c, PORT)).unwrap();
        assert_ne!(rules(lab, "iptables"), before);
        filter().hand_back().unwrap();
        assert_eq!(rules(lab, "iptables"), before);
        assert!(!lab.host().run("nft list tables").contains("cais"));
    });
}
