use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use kernel::nft::Batch;
use netfilter::claim::{Linked, ReferencePorts};
use netfilter::reference::{Added, names, portmap};
use netfilter::{Condition, HostAddress, Mapping, Masquerade, Match, Protocol, Publication};
use netns_fixtures::{Container, Feature, Lab, Namespace, assert_same_lines, lab};
use serde_json::{Value, json};
use types::Family;

use crate::ground::{
    asked, at, behind_a_router, done, mapping, publication, publish_on, removed, saved, saved_with,
    sh, tried, usual,
};

const TCP: Protocol = Protocol::Tcp;
const UDP: Protocol = Protocol::Udp;
const SCTP: Protocol = Protocol::Sctp;

/// The configuration that says to the Go plugin what `publication` says to us.
fn config(publication: &Publication, how: &ReferencePorts, c: &Container) -> Value {
    let ports = publication.mappings.iter().map(|one| {
        let mut port = json!({
            "hostPort": one.host_port, "containerPort": one.container_port,
            "protocol": one.protocol.name(),
        });
        match one.host {
            HostAddress::Any => {}
            HostAddress::All(Family::V4) => port["hostIP"] = json!("0.0.0.0"),
            HostAddress::All(Family::V6) => port["hostIP"] = json!("::"),
            HostAddress::One(ip) => port["hostIP"] = json!(ip.to_string()),
        }
        port
    });
    let addresses = [publication.v4, publication.v6].into_iter().flatten();
    let ips: Vec<Value> = addresses
        .map(|address| json!({ "address": address.to_string(), "interface": 0 }))
        .collect();
    let mut config = json!({
        "cniVersion": "1.0.0", "name": "mynet", "type": "portmap",
        "snat": publication.masquerade != Masquerade::Nobody,
        "masqAll": publication.masquerade == Masquerade::All,
        "runtimeConfig": { "portMappings": ports.collect::<Vec<_>>() },
        "prevResult": {
            "cniVersion": "1.0.0", "ips": ips,
            "interfaces": [{ "name": "eth0", "sandbox": c.path() }],
        },
    });
    match &how.set_mark_chain {
        Some(chain) => config["externalSetMarkChain"] = json!(chain),
        None => config["markMasqBit"] = json!(how.mark_bit),
    }
    for (name, conditions) in
        [("conditionsV4", &publication.conditions_v4), ("conditionsV6", &publication.conditions_v6)]
    {
        let words = conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let words: Vec<&str> = words.split_whitespace().collect();
        config[name] = json!(words);
    }
    config
}

/// A host with a way to 10.1.0.0/24, as the Go plugin wants to find.
fn host(lab: &Lab, name: &str) -> Namespace {
    let host = lab.another_host(name);
    host.run("ip link add dev cni0 type bridge");
    host.run("ip addr add 10.1.0.1/24 dev cni0");
    host.run("ip link set dev cni0 up");
    host
}

/// Ours and theirs look the same, hold for the other's CHECK and go by the other's DEL.
fn is_as_theirs(lab: &Lab, prepare: &str, publication: &Publication, how: &ReferencePorts) {
    lab.needs(Feature::Iptables);
    lab.needs(Feature::ReferencePlugins);
    let (ours, theirs) = (host(lab, "ours"), host(lab, "theirs"));
    let c = lab.container(publication.key.container.as_str());
    for host in [&ours, &theirs] {
        sh(host, prepare);
    }
    let before = saved(&ours);
    let handles = done(&ours, |socket, batch| portmap::add(socket, batch, publication, how, &[]));
    let config = config(publication, how, &c);
    let go = |host, verb: &str| {
        lab.reference_plugin("portmap").on(host).container(&c).config(&config).verb(verb).run()
    };
    go(&theirs, "ADD").succeeded();
    assert_same_lines("the Go plugin and ours", &saved(&theirs), &saved(&ours));

    // Of a container with one family, or with two, it says something about the other.
    let said = |host| go(host, "CHECK").stdout;
    assert_eq!(said(&ours), said(&theirs));
    for (host, handles) in [(&ours, &handles), (&theirs, &Vec::new())] {
        asked(host, |socket| portmap::check(socket, publication, how, handles)).unwrap();
        let id = publication.key.container.as_str();
        assert!(asked(host, |socket| portmap::owns(socket, "mynet", id)).unwrap());
    }
    go(&ours, "DEL").succeeded();
    let whose = ("mynet", publication.key.container.as_str());
    assert!(removed(&theirs, |socket, batch| portmap::remove(socket, batch, whose, &[])));
    // The Go plugin's DEL makes tables of a family that it has nothing in.
    let left = |host| saved_with(host, "CNI-");
    assert_same_lines("after the other's DEL", &left(&theirs), &left(&ours));
    for host in [&ours, &theirs] {
        assert_eq!(saved_with(host, "CNI-DN-"), [""; 0]);
        asked(host, |socket| portmap::check(socket, publication, how, &[])).unwrap_err();
        asked(host, netfilter::reference::tidy).unwrap();
        let left = saved(host);
        let ours: Vec<&String> = left.iter().filter(|line| !before.contains(line)).collect();
        assert!(!left.iter().any(|line| line.contains("CNI-")), "{ours:?}");
    }
}

#[test]
fn a_port_is_published_as_the_go_plugin_does() {
    lab(|lab| is_as_theirs(lab, "", &publication("c1", vec![mapping(TCP, 8080, 80)]), &usual()));
}

#[test]
fn all_protocols_and_addresses_of_the_host_are_published_as_the_go_plugin_does() {
    lab(|lab| {
        let mappings = vec![
            mapping(UDP, 53, 53),
            at("10.9.9.9", mapping(UDP, 54, 53)),
            at("fd09::9", mapping(TCP, 8081, 80)),
            at("0.0.0.0", mapping(SCTP, 9, 10)),
            at("::", mapping(SCTP, 11, 12)),
            mapping(TCP, 8080, 80),
        ];
        is_as_theirs(lab, "", &publication("c1", mappings), &usual());
    });
}

#[test]
fn twenty_ports_take_two_jumps_as_the_go_plugin_writes_them() {
    lab(|lab| {
        let mappings = (0..20).map(|n| mapping(TCP, 8000 + n, 80 + n)).collect();
        is_as_theirs(lab, "", &publication("c1", mappings), &usual());
    });
}

#[test]
fn one_family_is_published_as_the_go_plugin_does() {
    lab(|lab| {
        let mut publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        publication.v4 = None;
        is_as_theirs(lab, "", &publication, &usual());
    });
}

#[test]
fn nobody_is_masqueraded_as_the_go_plugin_does() {
    lab(|lab| {
        let mut publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        publication.masquerade = Masquerade::Nobody;
        is_as_theirs(lab, "", &publication, &usual());
    });
}

#[test]
fn another_mark_is_set_as_the_go_plugin_does() {
    lab(|lab| {
        let publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        is_as_theirs(lab, "", &publication, &ReferencePorts { mark_bit: 31, ..usual() });
    });
}

#[test]
fn everybody_is_masqueraded_as_newer_go_plugins_do() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let (ours, theirs) = (lab.another_host("ours"), lab.another_host("theirs"));
        let mut publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        publication.masquerade = Masquerade::All;
        publish_on(&ours, &publication);
        let chain = names::dnat("mynet", "c1");
        for (iptables, all, to) in
            [("iptables", "0.0.0.0/0", "10.1.0.2:80"), ("ip6tables", "::/0", "[fd00::2]:80")]
        {
            sh(
                &theirs,
                &format!(
                    "{iptables} -t nat -N CNI-HOSTPORT-SETMARK; {iptables} -t nat -N {chain}
                     {iptables} -t nat -A {chain} -p tcp --dport 8080 -s {all} \
                         -j CNI-HOSTPORT-SETMARK
                     {iptables} -t nat -A {chain} -p tcp --dport 8080 -j DNAT --to-destination {to}"
                ),
            );
        }
        let rules = |host| saved_with(host, &format!("-A {chain}"));
        assert_eq!(rules(&theirs).len(), 4);
        assert_same_lines("iptables and ours", &rules(&theirs), &rules(&ours));
    });
}

#[test]
fn somebody_elses_chain_marks_as_with_the_go_plugin() {
    lab(|lab| {
        let publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        let how = ReferencePorts { set_mark_chain: Some("PLEASE-MARK".into()), ..usual() };
        let prepare = "iptables -t nat -N PLEASE-MARK; ip6tables -t nat -N PLEASE-MARK";
        is_as_theirs(lab, prepare, &publication, &how);
        let host = host(lab, "without");
        let refused =
            tried(&host, |socket, batch| portmap::add(socket, batch, &publication, &how, &[]));
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("ip nat PLEASE-MARK: externalSetMarkChain names it"), "{text}");
    });
}

#[test]
fn conditions_are_written_as_the_go_plugin_writes_them() {
    lab(|lab| {
        let is = |on| Condition { on, negated: false };
        let not = |on| Condition { on, negated: true };
        let mut publication = publication("c1", vec![mapping(TCP, 8080, 80), mapping(UDP, 53, 53)]);
        publication.conditions_v4 = vec![
            not(Match::Destination("192.0.2.0/24".parse().unwrap())),
            is(Match::Source("10.0.0.0/9".parse().unwrap())),
            not(Match::Iif("wan+".into())),
        ];
        publication.conditions_v6 = vec![
            is(Match::Destination("2001:db8::/33".parse().unwrap())),
            is(Match::Iif("eth0".into())),
        ];
        is_as_theirs(lab, "", &publication, &usual());
    });
}

#[test]
fn a_condition_that_no_rule_can_hold_is_refused_by_name() {
    lab(|lab| {
        let mut publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        let condition =
            |text: &str| Condition { on: Match::Source(text.parse().unwrap()), negated: false };
        for (conditions, why) in [
            (vec![condition("fd00::/64")], "-s fd00::/64`: it is of the other address family"),
            (vec![condition("10.0.0.0/8"); 2], "has only one of its kind"),
        ] {
            publication.conditions_v4 = conditions;
            let refused = tried(lab.host(), |socket, batch| {
                portmap::add(socket, batch, &publication, &usual(), &[])
            });
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
        }
        publication.conditions_v4 = vec![Condition { on: Match::Protocol(17), negated: false }];
        publication.v6 = None;
        publish_on(lab.host(), &publication);
        lab.needs(Feature::Iptables);
        assert_eq!(saved_with(lab.host(), "--dports"), [""; 0], "no TCP packet is UDP");
    });
}

#[test]
fn a_range_of_ports_is_one_rule_of_the_containers_chain() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let mut publication =
            publication("c1", vec![Mapping { count: 100, ..mapping(TCP, 8000, 9000) }]);
        publication.masquerade = Masquerade::All;
        publish_on(lab.host(), &publication);
        let chain = names::dnat("mynet", "c1");
        let lines = saved_with(lab.host(), &format!("-A {chain}"));
        let expected = |to: &str| {
            [
                format!("-A {chain} -p tcp -m tcp --dport 8000:8099 -j CNI-HOSTPORT-SETMARK"),
                format!(
                    "-A {chain} -p tcp -m tcp --dport 8000:8099 -j DNAT --to-destination \
                     {to}:9000-9099/8000"
                ),
            ]
        };
        let both = [expected("10.1.0.2"), expected("[fd00::2]".replace("]", "").as_str())];
        assert_eq!(lines[..2], both[0]);
        asked(lab.host(), |socket| portmap::check(socket, &publication, &usual(), &[])).unwrap();
    });
}

/// nerdctl reads of a range the first port alone.
#[test]
fn what_leads_to_a_range_names_each_port_unless_there_are_very_many() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        for (count, expected) in
            [(20, vec![(8000..8015).collect::<Vec<u16>>(), (8015..8020).collect()]), (151, vec![])]
        {
            let mapping = Mapping { count, ..mapping(TCP, 8000, 9000) };
            let publication = publication("c1", vec![mapping]);
            publish_on(lab.host(), &publication);
            for ports in &expected {
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                let words = format!("--dports {} ", ports.join(","));
                assert_eq!(saved_with(lab.host(), &words).len(), 2, "one for each family");
            }
            let range = format!("--dports 8000:{} ", 7999 + count);
            let as_range = if expected.is_empty() { 2 } else { 0 };
            assert_eq!(saved_with(lab.host(), &range).len(), as_range);
            asked(lab.host(), |socket| portmap::check(socket, &publication, &usual(), &[]))
                .unwrap();
        }
    });
}

#[test]
fn a_second_add_takes_the_place_of_the_first() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let mut publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        let add = |publication: &Publication, stored: &[_]| {
            done(lab.host(), |socket, batch| {
                portmap::add(socket, batch, publication, &usual(), stored)
            })
        };
        let handles = add(&publication, &[]);
        assert_eq!(handles.len(), 2, "a jump for each family");
        let first = saved(lab.host());
        let handles = add(&publication, &handles);
        assert_eq!(saved(lab.host()), first);
        publication.v4 = Some("10.1.0.9/24".parse().unwrap());
        add(&publication, &handles);
        assert_eq!(saved_with(lab.host(), "10.1.0.2"), [""; 0]);
        assert_eq!(saved_with(lab.host(), "10.1.0.9").len(), 1);
        add(&publication, &[]);
        assert_eq!(saved(lab.host()).len(), first.len());
    });
}

#[test]
fn one_containers_rules_are_found_by_their_handles_among_many_and_no_others_go() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let publish = |id: &str, port| {
            let publication = publication(id, vec![mapping(TCP, port, 80)]);
            publish_on(lab.host(), &publication)
        };
        let others: Vec<_> = (0..50).map(|n| publish(&format!("other{n}"), 9000 + n)).collect();
        let before = saved(lab.host());
        let handles = publish("c1", 8080);
        let remove = |stored: &[_]| {
            removed(lab.host(), |socket, batch| {
                portmap::remove(socket, batch, ("mynet", "c1"), stored)
            })
        };
        assert!(remove(&handles));
        assert_eq!(saved(lab.host()), before);
        assert!(!remove(&handles), "gone already");
        publish("c1", 8080);
        assert!(remove(&others[7]), "with somebody else's handles");
        assert_eq!(saved(lab.host()), before);
    });
}

#[test]
fn what_is_published_can_be_taken_away_by_hand() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let publication = publication("c1", vec![mapping(TCP, 8080, 80), mapping(SCTP, 9, 9)]);
        publish_on(lab.host(), &publication);
        let chain = names::dnat("mynet", "c1");
        for (iptables, net, to) in
            [("iptables", "10.1.0.0/24", "10.1.0.2:80"), ("ip6tables", "fd00::/64", "[fd00::2]:80")]
        {
            let rules = [
                format!("{chain} -s {net} -p tcp --dport 8080 -j CNI-HOSTPORT-SETMARK"),
                format!("{chain} -s {net} -p sctp --dport 9 -j CNI-HOSTPORT-SETMARK"),
                format!("{chain} -p tcp --dport 8080 -j DNAT --to-destination {to}"),
                format!(
                    "CNI-HOSTPORT-DNAT -p tcp -m comment --comment 'dnat name: \"mynet\" id: \
                     \"c1\"' -m multiport --dports 8080 -j {chain}"
                ),
                "PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT".to_owned(),
                "POSTROUTING -m comment --comment 'CNI portfwd requiring masquerade' -j \
                 CNI-HOSTPORT-MASQ"
                    .to_owned(),
                "CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE".to_owned(),
            ];
            for rule in rules {
                sh(lab.host(), &format!("{iptables} -t nat -C {rule}"));
                sh(lab.host(), &format!("{iptables} -t nat -D {rule}"));
            }
            sh(lab.host(), &format!("{iptables} -t nat -F; {iptables} -t nat -X"));
        }
        assert_eq!(saved_with(lab.host(), "CNI-"), [""; 0]);
        assert!(!asked(lab.host(), |socket| portmap::owns(socket, "mynet", "c1")).unwrap());
    });
}

#[test]
fn what_was_flushed_comes_back_with_the_next_container() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let add = |id: &str, port| {
            let publication = publication(id, vec![mapping(TCP, port, 80)]);
            publish_on(lab.host(), &publication);
        };
        add("c1", 8080);
        let before = saved(lab.host());
        sh(
            lab.host(),
            "for chain in PREROUTING POSTROUTING CNI-HOSTPORT-MASQ; do \
             iptables -t nat -F $chain; done",
        );
        assert_ne!(saved(lab.host()), before);
        add("c2", 8081);
        let whose = ("mynet", "c2");
        removed(lab.host(), |socket, batch| portmap::remove(socket, batch, whose, &[]));
        assert_eq!(saved(lab.host()), before);
    });
}

#[test]
fn the_chains_of_dead_containers_are_swept_whoever_made_them() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        for id in ["alive", "dead"] {
            let publication = publication(id, vec![mapping(TCP, 8080, 80), mapping(UDP, 53, 53)]);
            publish_on(lab.host(), &publication);
        }
        sh(lab.host(), "iptables -t nat -A CNI-HOSTPORT-DNAT -m comment --comment mine -j RETURN");
        let mut seen = Vec::new();
        let mut count = 0;
        done(lab.host(), |socket, batch: &mut Batch| {
            count = portmap::sweep(socket, batch, |network, container| {
                seen.push(format!("{network}/{container}"));
                container == "alive"
            })?;
            Ok(Added::default())
        });
        assert_eq!(count, 2, "one of each family");
        assert_eq!(seen.len(), 8, "two jumps of two containers in two families: {seen:?}");
        assert_eq!(saved_with(lab.host(), "dead"), [""; 0]);
        assert_eq!(saved_with(lab.host(), &names::dnat("mynet", "dead")), [""; 0]);
        assert_eq!(saved_with(lab.host(), "\\\"alive").len(), 4);
        assert_eq!(saved_with(lab.host(), "mine").len(), 1);
    });
}

#[test]
fn beside_a_thousand_jumps_chains_that_nobody_is_led_to_are_left_out_and_not_missed() {
    lab(|lab| {
        let mut script = "nft -f - <<END\n".to_owned();
        for family in ["ip", "ip6"] {
            script +=
                &format!("add table {family} nat\nadd chain {family} nat CNI-HOSTPORT-DNAT\n");
            script += &format!("add rule {family} nat CNI-HOSTPORT-DNAT return\n").repeat(1000);
        }
        sh(lab.host(), &(script + "END"));
        let before = sh(lab.host(), "nft -a list ruleset");
        let publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        let (linked, unlinked) = (usual(), ReferencePorts { linked: Linked::No, ..usual() });
        done(lab.host(), |socket, batch| portmap::add(socket, batch, &publication, &unlinked, &[]));
        assert_eq!(sh(lab.host(), "nft -a list ruleset"), before);
        let check =
            |how| asked(lab.host(), |socket| portmap::check(socket, &publication, how, &[]));
        check(&unlinked).unwrap();
        check(&linked).unwrap_err();
        for family in ["ip", "ip6"] {
            sh(lab.host(), &format!("nft flush chain {family} nat CNI-HOSTPORT-DNAT"));
        }
        check(&unlinked).unwrap_err();
    });
}

#[test]
fn a_packet_for_a_published_port_reaches_the_container() {
    lab(|lab| {
        let (outside, host, c) = behind_a_router(lab);
        let server = c.within(|| TcpListener::bind("10.1.0.2:80").unwrap());
        let connects = |from: &Namespace| {
            let to = "10.99.0.2:8080".parse().unwrap();
            from.within(|| TcpStream::connect_timeout(&to, Duration::from_secs(2)))
        };
        connects(&outside).unwrap_err();
        let publication = publication("c1", vec![mapping(TCP, 8080, 80)]);
        publish_on(&host, &publication);
        for (from, seen) in [(&outside, "10.99.0.1"), (&host, "10.99.0.2"), (&c, "10.1.0.1")] {
            connects(from).unwrap();
            let (_, peer) = server.accept().unwrap();
            assert_eq!(peer.ip().to_string(), seen, "from {}", from.name());
        }
    });
}
