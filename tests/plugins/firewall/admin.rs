//! The administrator's chain comes first, and is the administrator's.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{INSIDE, OUTSIDE, PROGRAMS, attached, both, has_chain, rules, walled};
use crate::chain::Attach;
use crate::echo::{assert_answers, assert_silent, serve};
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

const PORT: u16 = 7000;

/// Rules of the administrator's, which keep the container in and its port closed.
fn close(lab: &Lab, chain: &str) -> [Vec<String>; 2] {
    for (program, address) in PROGRAMS.iter().zip(["10.1.0.2/32", "fd00:1::2/128"]) {
        lab.host().run(&format!("{program} -A {chain} -s {address} -j DROP"));
        lab.host().run(&format!("{program} -A {chain} -d {address} -j DROP"));
    }
    of_admin(lab, chain)
}

fn of_admin(lab: &Lab, chain: &str) -> [Vec<String>; 2] {
    PROGRAMS.map(|program| {
        let of_chain = |line: &String| line.starts_with(&format!("-A {chain} "));
        rules(lab, program).into_iter().filter(of_chain).collect()
    })
}

mod a_drop_of_the_administrator_wins_and_stays {
    use super::*;

    fn case(lab: &Lab, (name, is_first): (&str, bool)) {
        let lan = lan(lab);
        serve(&lan, "lan", PORT);
        let keys = match name {
            "CNI-ADMIN" => json!({}),
            other => json!({ "iptablesAdminChainName": other }),
        };
        let mut theirs = None;
        if is_first {
            for program in PROGRAMS {
                lab.host().run(&format!("{program} -N {name}"));
            }
            theirs = Some(close(lab, name));
        }
        let chain = walled(lab, 1, &keys);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let theirs = theirs.unwrap_or_else(|| {
            assert_answers(&c, (LAN[0], PORT), "lan", HOST[0]);
            close(lab, name)
        });
        let other = attached(lab, &chain, "other", &both(9090, INSIDE));
        for family in [0, 1] {
            assert_silent(&c, (LAN[family], PORT));
            assert_silent(&lan, (HOST[family], OUTSIDE));
            assert_answers(&other, (LAN[family], PORT), "lan", HOST[family]);
        }
        assert_eq!(of_admin(lab, name), theirs);
        chain.del(Attach::new(&other, &both(9090, INSIDE)));
        chain.del(Attach::new(&c, &ports));
        assert_eq!(of_admin(lab, name), theirs);
        only_ours(lab, "keeps its chains");
        assert!(!has_chain(lab, "CNI-FORWARD") && has_chain(lab, name));
    }

    stamp!(lab_with_plugins, case,
        in_the_usual_chain: ("CNI-ADMIN", false),
        in_the_usual_chain_made_before: ("CNI-ADMIN", true),
        in_a_chain_of_another_name: ("MY-RULES", false),
        in_a_chain_of_another_name_made_before: ("MY-RULES", true));
}

#[test]
fn a_chain_of_the_administrator_without_rules_goes_with_the_last_container() {
    lab_with_plugins(|lab| {
        only_ours(lab, "keeps its chains");
        let before = lab.host().run("nft list ruleset");
        let chain = walled(lab, 1, &json!({ "iptablesAdminChainName": "MY-RULES" }));
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        assert!(has_chain(lab, "MY-RULES") && has_chain(lab, "CNI-FORWARD"));
        chain.del(Attach::new(&c, &ports));
        assert_eq!(lab.host().run("nft list ruleset"), before);
    });
}

#[test]
fn names_that_are_no_chains_or_somebody_elses_are_refused() {
    lab_with_plugins(|lab| {
        only_ours(lab, "writes to whatever chain it is told");
        for name in
            ["FORWARD", "CNI-FORWARD", "-F", "a b", "much-too-long-to-be-a-chain-of-iptables"]
        {
            let chain = walled(lab, 1, &json!({ "iptablesAdminChainName": name }));
            let (c, none) = (lab.container("c1"), json!([]));
            let error = chain.try_add(Attach::new(&c, &none)).unwrap_err();
            assert_eq!(error.code, 7, "{name}");
            error.says(&["iptablesAdminChainName", name, "28 letters"]);
            chain.del(Attach::new(&c, &none));
            c.remove();
        }
    });
}
