//! Many ports in a row. Runtimes write each as a mapping of its own.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{attached, web};
use crate::battery::Family;
use crate::chain::Attach;
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::{elements, elements_of};
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

/// `count` ports of both protocols from `outside` on, at one address of the host or at all.
fn range(host: &str, outside: u16, inside: u16, count: u16) -> Value {
    let mut list = Vec::new();
    for protocol in ["tcp", "udp"] {
        for step in 0..count {
            let mut mapping = json!({
                "hostPort": outside + step, "containerPort": inside + step, "protocol": protocol,
            });
            if !host.is_empty() {
                mapping["hostIP"] = json!(host);
            }
            list.push(mapping);
        }
    }
    Value::Array(list)
}

/// Case 17.
#[test]
fn ten_thousand_ports_are_one_element_of_each_map_and_work_at_both_ends() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has a rule for each port, which takes minutes");
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = range("", 10_000, 10_000, 10_000);
        let c = attached(lab, &chain, "c1", &ports);
        for set in ["dnat4_any_range", "dnat6_any_range", "published4_range", "published6_range"] {
            assert_eq!(elements_of(lab, set).len(), 2, "one for each protocol in {set}");
        }
        for port in [10_000, 15_000, 19_999] {
            let name = format!("port{port}");
            serve(&c, &name, port);
            for (host, of_lan) in HOST.iter().zip(LAN) {
                assert_answers(&lan, (host, port), &name, of_lan);
            }
        }
        assert_silent(&lan, (HOST[0], 9_999));
        assert_silent(&lan, (HOST[0], 20_000));
        let of = Attach::new(&c, &ports);
        assert!(chain.check(of).is_ok());
        chain.del(of);
        assert!(elements(lab).is_empty());
    });
}

#[test]
fn a_range_at_one_address_of_the_host_is_one_element_as_well() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has a rule for each port");
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = range(HOST[0], 3000, 3000, 1000);
        let c = attached(lab, &chain, "c1", &ports);
        serve(&c, "c1", 3999);
        assert_eq!(elements_of(lab, "dnat4_ip_range").len(), 2);
        assert_answers(&lan, (HOST[0], 3999), "c1", LAN[0]);
        assert_silent(&lan, (HOST[1], 3999));
    });
}

/// Case 17 again: other numbers inside than outside.
#[test]
fn a_shifted_range_works_at_both_ends() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = range("", 20_000, 30_000, 100);
        let c = attached(lab, &chain, "c1", &ports);
        for (outside, inside) in [(20_000, 30_000), (20_099, 30_099)] {
            let name = format!("port{inside}");
            serve(&c, &name, inside);
            for (host, of_lan) in HOST.iter().zip(LAN) {
                assert_answers(&lan, (host, outside), &name, of_lan);
            }
        }
        assert_silent(&lan, (HOST[0], 20_100));
        chain.del(Attach::new(&c, &ports));
        only_ours(lab, "keeps its chains");
        assert!(elements(lab).is_empty());
    });
}

/// Fifteen of these are a rule in the reference's chains. The kernel tells where it put rules, as
/// far as that fits a socket.
#[test]
fn a_thousand_shifted_ports_are_published_and_taken_back() {
    lab_with_plugins(|lab| {
        only_ours(lab, "takes minutes");
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = range("", 20_000, 30_000, 1000);
        let c = attached(lab, &chain, "c1", &ports);
        serve(&c, "last", 30_999);
        assert_answers(&lan, (HOST[0], 20_999), "last", LAN[0]);
        chain.del(Attach::new(&c, &ports));
        assert_eq!(lab.host().run("nft list ruleset"), "");
    });
}

#[test]
fn a_range_that_overlaps_anothers_ports_is_refused_whatever_map_they_are_in() {
    lab_with_plugins(|lab| {
        only_ours(lab, "publishes a port twice, and the oldest rule wins [E]");
        let _lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let single = |host: &str, port: u16, inside: u16| range(host, port, inside, 1);
        let held = [
            range("", 5000, 5000, 300),
            range("", 5000, 6000, 20),
            range(HOST[0], 5000, 5000, 300),
            single("", 5010, 80),
            single(HOST[1], 5010, 5010),
        ];
        let wanted = [
            range("", 5005, 5005, 10),
            range("", 4900, 4900, 400),
            range("", 5009, 80, 2),
            single("", 5010, 5010),
        ];
        let (c, late) = (lab.container("c1"), lab.container("late"));
        for held in &held {
            chain.add(Attach::new(&c, held));
            for wanted in &wanted {
                let of = Attach::new(&late, wanted);
                let error = chain.try_add(of).unwrap_err();
                assert_eq!(error.code, 100, "{}", error.text());
                error.says(&["port is already allocated to net/c1/eth0"]);
                chain.del(of);
            }
            // What lies beside it is free.
            let beside = range("", 5300, 5300, 100);
            chain.add(Attach::new(&late, &beside));
            chain.del(Attach::new(&late, &beside));
            chain.del(Attach::new(&c, held));
        }
    });
}
