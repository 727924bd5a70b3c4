use std::os::unix::fs::symlink;

use netfilter::reference::legacy::{self, Marking, Trace};
use netfilter::{Condition, HostAddress, Mapping, Masquerade, Match, Protocol, Publication};
use netns_fixtures::{Container, Feature, Lab, lab};
use serde_json::{Value, json};

use crate::reference::{
    assert_same, bridge, call, config, key, prepare_legacy, printed, saved, with_result,
};

const MARKING: Marking<'_> = Marking::Bit(13);

/// A container on the Go bridge; its result.
fn attached(lab: &Lab) -> (Container, Value) {
    prepare_legacy(lab);
    lab.needs(Feature::ReferencePlugins);
    let c = lab.container("c1");
    let result = call(lab, "bridge", "ADD", &c, &bridge(&json!({ "type": "bridge" })));
    let result = result.run().result();
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        lab.host().run(&format!("{program} -t nat -S"));
        lab.host().run(&format!("{program} -S"));
    }
    (c, result)
}

fn publication() -> Publication {
    let mapping = |protocol, host, host_port, container_port, count| Mapping {
        protocol,
        host,
        host_port,
        container_port,
        count,
    };
    let one = HostAddress::One("192.0.2.1".parse().unwrap());
    Publication {
        key: key("c1"),
        v4: Some("10.1.0.2/24".parse().unwrap()),
        v6: Some("fd00:1::2/64".parse().unwrap()),
        mappings: vec![
            mapping(Protocol::Udp, HostAddress::Any, 5353, 53, 1),
            mapping(Protocol::Tcp, HostAddress::Any, 8000, 9000, 17),
            mapping(Protocol::Tcp, one, 80, 8080, 1),
        ],
        masquerade: Masquerade::Neighbours,
        conditions_v4: Vec::new(),
        conditions_v6: Vec::new(),
    }
}

/// The same for the Go portmap.
fn portmap(result: &Value) -> Value {
    let mut mappings = vec![json!({ "hostPort": 5353, "containerPort": 53, "protocol": "udp" })];
    mappings
        .extend((0..17).map(
            |n| json!({ "hostPort": 8000 + n, "containerPort": 9000 + n, "protocol": "tcp" }),
        ));
    mappings.push(json!({
        "hostPort": 80, "containerPort": 8080, "protocol": "tcp", "hostIP": "192.0.2.1",
    }));
    let keys = json!({ "type": "portmap", "runtimeConfig": { "portMappings": mappings } });
    with_result(&config("net", &keys), result)
}

/// The rules of IPv4, in which the Go plugin can be compared: `ip6tables-legacy -C` of some versions
/// takes rules for other ports as the one asked for, and the Go plugin leaves out what is missing.
fn saved_v4(lab: &Lab) -> String {
    printed(lab, "iptables-legacy-save -t nat")
}

#[test]
fn ports_are_published_as_the_go_portmap_publishes_them_and_cleaned_by_it() {
    lab(|lab| {
        let (c, result) = attached(lab);
        let config = portmap(&result);
        let before = saved(lab);
        call(lab, "portmap", "ADD", &c, &config).run().result();
        let reference = saved_v4(lab);
        assert!(reference.contains("--to-destination 10.1.0.2:9016"), "{reference}");
        for program in ["iptables-legacy", "ip6tables-legacy"] {
            lab.host().run(&format!("{program} -t nat -F"));
            lab.host().run(&format!("{program} -t nat -X"));
        }
        assert_same("empty again", &before, &saved(lab));
        legacy::publish(&publication(), MARKING).unwrap();
        assert_same("reference, ours", &sorted(&reference), &sorted(&saved_v4(lab)));
        let both = saved(lab);
        legacy::publish(&publication(), MARKING).unwrap();
        assert_same("a second time", &both, &saved(lab));
        assert!(legacy::is_present(&Trace::Ports(&key("c1"))).unwrap());
        // CHECK of some versions looks for the rules of one family among those of the other.
        let mut v4 = config.clone();
        v4["prevResult"]["ips"].as_array_mut().unwrap().truncate(1);
        std::fs::create_dir("/run/v4").unwrap();
        symlink("/usr/sbin/xtables-legacy-multi", "/run/v4/iptables").unwrap();
        call(lab, "portmap", "CHECK", &c, &v4).env("PATH", "/run/v4").run().succeeded();
        call(lab, "portmap", "DEL", &c, &config).run().succeeded();
        assert!(!saved(lab).contains("CNI-DN-"), "{}", saved(lab));
    });
}

#[test]
fn ports_are_published_in_ipv6_where_they_are_not_bound_to_an_address_of_ipv4() {
    lab(|lab| {
        attached(lab);
        legacy::publish(&publication(), MARKING).unwrap();
        let text = lab.host().run("ip6tables-legacy-save -t nat");
        for n in 0..17 {
            let (port, target) = (8000 + n, 9000 + n);
            let rule = format!("--dport {port} -j DNAT --to-destination [fd00:1::2]:{target}\n");
            assert!(text.contains(&rule), "{rule}{text}");
        }
        assert!(text.contains("-s fd00:1::/64 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK"));
        assert!(text.contains("-m multiport --dports 8015,8016 -j CNI-DN-"), "{text}");
        assert!(!text.contains("--dport 80 ") && !text.contains("127.0.0.1"), "{text}");
    });
}

/// Chains in the order of their names, rules within each as they are.
fn sorted(saved: &str) -> String {
    let mut lines: Vec<&str> = saved.lines().collect();
    let chain = |line: &&str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    for table in lines.split_mut(|line| line.starts_with('*')) {
        table.sort_by_key(chain);
    }
    lines.join("\n")
}

#[test]
fn addresses_are_accepted_as_the_go_firewall_accepts_them_and_cleaned_by_it() {
    lab(|lab| {
        let (c, result) = attached(lab);
        let keys = json!({ "type": "firewall", "backend": "iptables" });
        let config = with_result(&config("net", &keys), &result);
        call(lab, "firewall", "ADD", &c, &config).run().result();
        let reference = saved(lab);
        assert!(reference.contains("CNI-FORWARD -s 10.1.0.2/32 "), "{reference}");
        for program in ["iptables-legacy", "ip6tables-legacy"] {
            lab.host().run(&format!("{program} -F"));
            lab.host().run(&format!("{program} -X"));
        }
        let addresses = ["10.1.0.2".parse().unwrap(), "fd00:1::2".parse().unwrap()];
        for time in ["first", "second"] {
            legacy::accept(&addresses, "CNI-ADMIN").unwrap();
            assert_same(time, &sorted(&reference), &sorted(&saved(lab)));
        }
        call(lab, "firewall", "CHECK", &c, &config).run().succeeded();
        call(lab, "firewall", "DEL", &c, &config).run().succeeded();
        assert!(!saved(lab).contains("10.1.0.2"), "{}", saved(lab));
    });
}

#[test]
fn containers_are_reached_through_a_forward_chain_that_drops() {
    lab(|lab| {
        prepare_legacy(lab);
        let (router, a, b) = (lab.host(), lab.another_host("a"), lab.another_host("b"));
        router.set_sysctl("ipv4/ip_forward", "1");
        router.set_sysctl("ipv6/conf/all/forwarding", "1");
        for (host, n) in [(&a, 1), (&b, 2)] {
            lab.wire((host, "eth0"), (router, &format!("to{n}")));
            host.run(&format!("ip addr add 10.{n}.0.2/24 dev eth0"));
            host.run(&format!("ip addr add fd00:{n}::2/64 dev eth0 nodad"));
            router.run(&format!("ip addr add 10.{n}.0.1/24 dev to{n}"));
            router.run(&format!("ip addr add fd00:{n}::1/64 dev to{n} nodad"));
            host.run(&format!("ip route add default via 10.{n}.0.1"));
            host.run(&format!("ip route add default via fd00:{n}::1"));
        }
        router.run("iptables-legacy -P FORWARD DROP");
        router.run("ip6tables-legacy -P FORWARD DROP");
        let addresses = ["10.2.0.2".parse().unwrap(), "fd00:2::2".parse().unwrap()];
        for address in addresses {
            a.assert_cannot_reach_at(&b, address);
        }
        legacy::accept(&addresses, "CNI-ADMIN").unwrap();
        b.assert_reaches(&a);
    });
}

#[test]
fn conditions_and_another_marking_chain_are_written_in_iptables_words() {
    lab(|lab| {
        attached(lab);
        lab.host().run("iptables-legacy -t nat -N KUBE-MARK-MASQ");
        let subnet = "192.0.2.128/25".parse().unwrap();
        let condition = |negated, on| Condition { on, negated };
        let publication = Publication {
            v6: None,
            masquerade: Masquerade::All,
            conditions_v4: vec![
                condition(true, Match::Source(subnet)),
                condition(false, Match::Iif("wan*".to_owned())),
            ],
            ..publication()
        };
        legacy::publish(&publication, Marking::Chain("KUBE-MARK-MASQ")).unwrap();
        let text = saved(lab);
        assert!(
            text.contains("-A CNI-HOSTPORT-DNAT ! -s 192.0.2.128/25 -i wan+ -p udp "),
            "{text}"
        );
        assert!(text.contains("--dport 5353 -j KUBE-MARK-MASQ"), "{text}");
        assert!(!text.contains("CNI-HOSTPORT-SETMARK"), "{text}");
    });
}

#[test]
fn a_name_that_would_be_more_than_a_word_is_refused() {
    lab(|lab| {
        attached(lab);
        let before = saved(lab);
        let evil = "a\n-F POSTROUTING";
        let error = legacy::publish(&publication(), Marking::Chain(evil)).unwrap_err();
        assert!(error.to_string().ends_with("is no name of a chain or link"), "{error}");
        let conditions_v4 = vec![Condition { on: Match::Oif(evil.to_owned()), negated: false }];
        let with_condition = Publication { conditions_v4, ..publication() };
        legacy::publish(&with_condition, MARKING).unwrap_err();
        legacy::accept(&["10.1.0.2".parse().unwrap()], "-F").unwrap_err();
        assert_same("nothing was written", &before, &saved(lab));
    });
}
