//! CHECK finds each element that is missing, and nothing else.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{INSIDE, OUTSIDE, at, attached, both, web, web_with};
use crate::battery::Family;
use crate::chain::Attach;
use crate::filter::{carry_out, delete, elements, reload};
use crate::under_test::only_ours;
use crate::uplink::{HOST, HOST_TOO, lan};

/// What is in no attachment's interest: the mark of the layout, and whose task it is to turn
/// a switch back.
const NOBODYS: &[&str] = &["layout_2"];

#[test]
fn every_single_element_that_is_deleted_is_noticed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "counts its rules, or looks for each");
        let _lan = lan(lab);
        // nft(8) cannot write rules of iptables again.
        let chain = web_with(lab, &json!({ "masqAll": true, "backend": "nftables" }));
        let mut ports = at("", OUTSIDE, INSIDE).as_array().unwrap().clone();
        ports.extend(at(HOST_TOO[0], 81, 81).as_array().unwrap().clone());
        ports.extend(at(HOST_TOO[1], 81, 81).as_array().unwrap().clone());
        for port in [3000, 3001, 3002] {
            ports.push(json!({ "hostPort": port, "containerPort": port }));
            ports.push(json!({ "hostPort": port, "containerPort": port, "hostIP": HOST[0],
                "protocol": "udp" }));
        }
        let ports = json!(ports);
        let c = attached(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        assert!(chain.check(of).is_ok());
        let ruleset = lab.host().run("nft list ruleset");
        let all: Vec<_> =
            elements(lab).into_iter().filter(|e| !NOBODYS.contains(&&*e.set)).collect();
        let mut sets: Vec<&str> = all.iter().map(|element| &*element.set).collect();
        sets.dedup();
        assert!(sets.len() > 15, "{sets:?}");
        for element in &all {
            delete(lab, element);
            match chain.check(of) {
                Ok(()) => panic!("nobody misses {element:?}"),
                Err(error) => {
                    assert_eq!(error.code, 101, "{element:?}: {}", error.text());
                    error.says(&["is missing or differs", &element.set]);
                }
            }
            carry_out(lab, &format!("flush ruleset\n{ruleset}"));
            assert!(chain.check(of).is_ok(), "after {element:?}");
        }
    });
}

#[test]
fn every_chain_that_is_flushed_is_noticed_and_comes_back_by_reload() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not have these chains");
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        let listed = lab.host().json("nft -j list table inet cais");
        let rules = listed["nftables"].as_array().unwrap().iter().filter_map(|o| o.get("rule"));
        let mut chains: Vec<&str> = rules.map(|rule| rule["chain"].as_str().unwrap()).collect();
        chains.dedup();
        assert!(chains.len() > 15, "{chains:?}");
        for name in chains {
            carry_out(lab, &format!("flush chain inet cais {name}"));
            chain.check(of).unwrap_err().says(&["inet cais", name, "has 0 of its"]);
            reload(lab);
            assert!(chain.check(of).is_ok(), "after {name}");
        }
    });
}

#[test]
fn a_switch_that_is_turned_off_is_noticed_and_turned_on_by_reload() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not look");
        let chain = web(lab, Family::V4);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        lab.host().set_sysctl("ipv4/conf/cni1/route_localnet", "0");
        chain.check(of).unwrap_err().says(&["route_localnet of cni1 is off"]);
        reload(lab);
        assert!(chain.check(of).is_ok());
    });
}

#[test]
fn an_element_that_leads_elsewhere_is_noticed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no maps");
        let chain = web(lab, Family::V4);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        carry_out(
            lab,
            "delete element inet cais dnat4_any { tcp . 8080 }
             add element inet cais dnat4_any { tcp . 8080 : 10.1.0.9 . 80 }",
        );
        chain.check(of).unwrap_err().says(&["dnat4_any", "is missing or differs"]);
    });
}

#[test]
fn what_others_have_or_lose_is_no_difference() {
    lab_with_plugins(|lab| {
        only_ours(lab, super::CHECK_FAILS);
        let chain = web(lab, Family::Dual);
        let (ports, others) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let c = attached(lab, &chain, "c1", &ports);
        let sibling = attached(lab, &chain, "sibling", &others);
        carry_out(lab, "add table inet foreign\nadd set inet foreign s { type ipv4_addr; }");
        let of = Attach::new(&c, &ports);
        assert!(chain.check(of).is_ok());
        chain.del(Attach::new(&sibling, &others));
        assert!(chain.check(of).is_ok());
    });
}

#[test]
fn a_missing_rule_of_conditions_is_noticed() {
    lab_with_plugins(|lab| {
        only_ours(lab, "keeps rules elsewhere");
        let chain = web_with(lab, &json!({ "conditionsV4": ["-i", "up0"] }));
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        assert!(chain.check(of).is_ok());
        lab.host().run("nft flush chain inet cais conditional");
        chain.check(of).unwrap_err().says(&["conditional", "0 rules", "2 are wanted"]);
    });
}

#[test]
fn other_ports_than_those_of_add_are_a_difference_and_none_are_none() {
    lab_with_plugins(|lab| {
        only_ours(lab, super::CHECK_FAILS);
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let moved = both(9090, INSIDE);
        let result = chain.result(Attach::new(&c, &ports));
        let check = |ports| chain.call(1, "CHECK", Attach::new(&c, ports), result.as_ref()).run();
        check(&moved).error();
        check(&ports).is_silent();
        check(&json!([])).is_silent();
        chain.call(1, "CHECK", Attach::new(&c, &ports), None).run().error();
    });
}
