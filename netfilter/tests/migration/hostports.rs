use std::net::IpAddr;

use kernel::nft::Batch;
use netfilter::reference::hostport_nft;
use netfilter::{Condition, HostAddress, Mapping, Masquerade, Match, Protocol, Publication};
use netns_fixtures::{Lab, lab};

use crate::reference::{assert_same, here, key, load, ruleset};

/// As v1.9 leaves it for container `c1` with two ports, one of them at one address of the host.
const V1_9: &str = r#"
add table ip cni_hostport { comment "CNI portmap plugin"; }
add chain ip cni_hostport hostports
add chain ip cni_hostport hostip_hostports
add chain ip cni_hostport hostports_all
add rule ip cni_hostport hostports_all jump hostip_hostports
add rule ip cni_hostport hostports_all jump hostports
add chain ip cni_hostport prerouting { type nat hook prerouting priority -100; }
add rule ip cni_hostport prerouting fib daddr type local jump hostports_all
add chain ip cni_hostport output { type nat hook output priority -100; }
add rule ip cni_hostport output fib daddr type local jump hostports_all
add chain ip cni_hostport masquerading { type nat hook postrouting priority 100; }
add rule ip cni_hostport hostports tcp dport 8080 dnat to 10.1.0.2:80 comment "c1"
add rule ip cni_hostport hostports ip daddr 192.0.2.1 udp dport 53 dnat to 10.1.0.2:5353 comment "c1"
add rule ip cni_hostport masquerading ip saddr 10.1.0.2 ip daddr 10.1.0.2 masquerade comment "c1"
add rule ip cni_hostport masquerading ip saddr 127.0.0.1 ip daddr 10.1.0.2 masquerade comment "c1"
"#;
const V1_9_V6: &str = r#"
add table ip6 cni_hostport { comment "CNI portmap plugin"; }
add chain ip6 cni_hostport hostports
add chain ip6 cni_hostport hostip_hostports
add chain ip6 cni_hostport hostports_all
add rule ip6 cni_hostport hostports_all jump hostip_hostports
add rule ip6 cni_hostport hostports_all jump hostports
add chain ip6 cni_hostport prerouting { type nat hook prerouting priority -100; }
add rule ip6 cni_hostport prerouting fib daddr type local jump hostports_all
add chain ip6 cni_hostport output { type nat hook output priority -100; }
add rule ip6 cni_hostport output fib daddr type local jump hostports_all
add chain ip6 cni_hostport masquerading { type nat hook postrouting priority 100; }
add rule ip6 cni_hostport hostports tcp dport 8080 dnat to [fd00:1::2]:80 comment "c1"
add rule ip6 cni_hostport masquerading ip6 saddr fd00:1::2 ip6 daddr fd00:1::2 masquerade comment "c1"
"#;
/// v1.6.1 to v1.8.0: rules for one address in a chain of their own, and no test for the host's own.
const V1_7: &str = r#"
add table ip cni_hostport { comment "CNI portmap plugin"; }
add chain ip cni_hostport hostports
add chain ip cni_hostport hostip_hostports
add chain ip cni_hostport prerouting { type nat hook prerouting priority -100; }
add rule ip cni_hostport prerouting jump hostip_hostports
add rule ip cni_hostport prerouting jump hostports
add chain ip cni_hostport masquerading { type nat hook postrouting priority 100; }
add rule ip cni_hostport hostports tcp dport 8080 dnat to 10.1.0.2:80 comment "c1"
add rule ip cni_hostport hostip_hostports ip daddr 192.0.2.1 udp dport 53 dnat to 10.1.0.2:5353 comment "c1"
add rule ip cni_hostport masquerading ip saddr 10.1.0.2 ip daddr 10.1.0.2 masquerade comment "c1"
"#;
/// v1.6.0: a base chain `input`, protocols and targets in another form.
const V1_6_0: &str = r#"
add table ip cni_hostport { comment "CNI portmap plugin"; }
add chain ip cni_hostport hostports
add chain ip cni_hostport hostip_hostports
add chain ip cni_hostport input { type nat hook prerouting priority -100; }
add rule ip cni_hostport input jump hostip_hostports
add rule ip cni_hostport input jump hostports
add rule ip cni_hostport hostports ip protocol tcp th dport 8080 dnat ip addr . port to 10.1.0.2 . 80 comment "c1"
add rule ip cni_hostport hostip_hostports ip daddr 192.0.2.1 ip protocol udp th dport 53 dnat ip addr . port to 10.1.0.2 . 5353 comment "c1"
"#;
/// Another container, and the same one on another network.
const OTHERS: &str = r#"
add rule ip cni_hostport hostports tcp dport 9090 dnat to 10.1.0.3:90 comment "c2"
add rule ip cni_hostport hostports tcp dport 9091 dnat to 10.2.0.7:91 comment "c1"
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn publication() -> Publication {
    let mapping = |protocol, host, host_port, container_port| Mapping {
        protocol,
        host,
        host_port,
        container_port,
        count: 1,
    };
    Publication {
        key: key("c1"),
        v4: Some("10.1.0.2/24".parse().unwrap()),
        v6: Some("fd00:1::2/64".parse().unwrap()),
        mappings: vec![
            mapping(Protocol::Tcp, HostAddress::Any, 8080, 80),
            mapping(Protocol::Udp, HostAddress::One(ip("192.0.2.1")), 53, 5353),
        ],
        masquerade: Masquerade::Neighbours,
        conditions_v4: Vec::new(),
        conditions_v6: Vec::new(),
    }
}

fn write(publication: &Publication) {
    let mut batch = Batch::new();
    hostport_nft::write(&here(), &mut batch, publication).unwrap();
    batch.commit(&here()).unwrap();
}

fn assert_goes(lab: &Lab, layout: &str) {
    load(lab, layout);
    load(lab, OTHERS);
    let all = ruleset(lab);
    let c1 = "c1".parse().unwrap();
    hostport_nft::remove(&here(), &c1, &[ip("10.1.0.2"), ip("fd00:1::2")]).unwrap();
    let is_other = |line: &&str| !line.contains("comment \"c1\"") || line.contains("10.2.0.7");
    let others: Vec<&str> = all.lines().filter(is_other).collect();
    assert!(others.len() < all.lines().count());
    assert_same("what is not ours stays", &others.join("\n"), &ruleset(lab));
    hostport_nft::remove(&here(), &c1, &[]).unwrap();
    let left = ruleset(lab);
    assert!(!left.contains("\"c1\"") && left.contains("\"c2\""), "{left}");
}

#[test]
fn a_container_takes_its_ports_of_v1_9_along() {
    lab(|lab| assert_goes(lab, &format!("{V1_9}{V1_9_V6}")));
}

#[test]
fn a_container_takes_its_ports_of_v1_7_along() {
    lab(|lab| assert_goes(lab, V1_7));
}

#[test]
fn a_container_takes_its_ports_of_v1_6_0_along() {
    lab(|lab| assert_goes(lab, V1_6_0));
}

#[test]
fn removing_and_sweeping_ports_make_nothing_on_a_host_without_the_tables() {
    lab(|lab| {
        hostport_nft::remove(&here(), &"c1".parse().unwrap(), &[]).unwrap();
        hostport_nft::sweep(&here(), |_, _| true).unwrap();
        hostport_nft::remove_tables_if_unused(&here()).unwrap();
        assert_eq!(ruleset(lab), "");
    });
}

#[test]
fn ports_are_present_when_there_are_as_many_rules_of_the_container_in_each_family() {
    lab(|lab| {
        let is_present = || hostport_nft::is_present(&here(), &publication()).unwrap();
        assert!(!is_present(), "without a table");
        for v4 in [V1_6_0, V1_7, V1_9] {
            load(lab, v4);
            assert!(!is_present(), "one family of two");
            load(lab, V1_9_V6);
            assert!(is_present(), "{v4}");
            lab.host().run("nft flush chain ip cni_hostport hostports");
            assert!(!is_present(), "a rule is missing of {v4}");
            lab.host().run("nft flush ruleset");
        }
    });
}

#[test]
fn a_sweep_takes_a_rule_by_container_and_target() {
    lab(|lab| {
        for layout in [V1_6_0, V1_7, V1_9] {
            load(lab, layout);
            load(lab, OTHERS);
            let all = ruleset(lab);
            hostport_nft::sweep(&here(), |container, _| container == "c3").unwrap();
            assert_same("nobody dead", &all, &ruleset(lab));
            let network: types::Cidr = "10.1.0.0/24".parse().unwrap();
            let is_dead = |container: &str, target| container != "c2" && network.contains(target);
            hostport_nft::sweep(&here(), is_dead).unwrap();
            let left = ruleset(lab);
            assert!(!left.contains("10.1.0.2"), "{left}");
            assert!(left.contains("\"c2\""), "the living stay: {left}");
            assert!(left.contains("10.2.0.7"), "another network's stay: {left}");
            lab.host().run("nft flush ruleset");
        }
    });
}

#[test]
fn ports_are_written_as_the_reference_writes_them() {
    lab(|lab| {
        load(lab, V1_9);
        load(lab, V1_9_V6);
        let reference = ruleset(lab);
        lab.host().run("nft flush ruleset");
        write(&publication());
        assert_same("reference, ours", &sorted(&reference), &sorted(&ruleset(lab)));
        write(&publication());
        assert_same("a second time", &sorted(&reference), &sorted(&ruleset(lab)));
    });
}

/// Chains in the order of their names: nft lists them as they were made.
fn sorted(listing: &str) -> String {
    let mut tables: Vec<String> = Vec::new();
    for table in listing.split("\n}\n") {
        let mut chains: Vec<&str> = table.split("\n\n").collect();
        chains.sort_by_key(|chain| chain.split("chain ").nth(1).unwrap_or_default().to_owned());
        tables.push(chains.join("\n").lines().filter(|line| *line != "\t}").collect());
    }
    tables.join("\n").replace("\t\t", "\n\t\t").replace("chain ", "\nchain ")
}

#[test]
fn ports_of_the_last_layout_are_written_over_older_ones() {
    lab(|lab| {
        load(lab, V1_6_0);
        load(lab, OTHERS);
        write(&publication());
        assert!(hostport_nft::is_present(&here(), &publication()).unwrap());
        let text = ruleset(lab);
        assert_eq!(text.matches("dnat to 10.1.0.2:80 comment").count(), 1, "{text}");
        assert_eq!(text.matches("dport 53 ").count(), 1, "{text}");
        assert!(text.contains("\"c2\"") && text.contains("10.2.0.7:91"), "{text}");
    });
}

#[test]
fn conditions_concern_the_container_alone_that_has_them() {
    lab(|lab| {
        let condition = |negated, on| Condition { on, negated };
        let subnet = "192.0.2.0/25".parse().unwrap();
        let restricted = Publication {
            conditions_v4: vec![
                condition(false, Match::Source(subnet)),
                condition(true, Match::Iif("wan+".to_owned())),
            ],
            v6: None,
            masquerade: Masquerade::All,
            ..publication()
        };
        write(&restricted);
        let rule = "tcp dport 8080 ip saddr 192.0.2.0/25 iifname != \"wan*\" dnat to 10.1.0.2:80";
        let text = ruleset(lab);
        assert!(text.contains(rule), "{text}");
        assert_eq!(text.matches("saddr 192.0.2.0/25").count(), 2, "{text}");
        assert!(text.contains("ip saddr 0.0.0.0/0 ip daddr 10.1.0.2 masquerade"), "{text}");
        assert!(!text.contains("ip6 cni_hostport"), "{text}");
    });
}

#[test]
fn nothing_is_written_that_the_reference_could_not_remove() {
    lab(|lab| {
        write(&Publication { key: key(&"c".repeat(129)), ..publication() });
        assert_eq!(ruleset(lab), "");
    });
}

#[test]
fn the_tables_go_when_asked_to_and_only_without_rules_of_containers() {
    lab(|lab| {
        for layout in [V1_6_0, V1_7, V1_9] {
            load(lab, layout);
            load(lab, OTHERS);
            let c1 = "c1".parse().unwrap();
            hostport_nft::remove(&here(), &c1, &[]).unwrap();
            let left = ruleset(lab);
            hostport_nft::remove_tables_if_unused(&here()).unwrap();
            assert_same("with rules of c2", &left, &ruleset(lab));
            hostport_nft::remove(&here(), &"c2".parse().unwrap(), &[]).unwrap();
            assert!(ruleset(lab).contains("hostports"), "not asked to");
            hostport_nft::remove_tables_if_unused(&here()).unwrap();
            assert_eq!(ruleset(lab), "");
        }
    });
}
