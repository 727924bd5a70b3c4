//! CHECK finds each rule and element that is missing, and changes nothing.

use netns_fixtures::{Lab, Outcome, lab_with_plugins};
use serde_json::json;

use super::{PROGRAMS, attached, walled};
use crate::chain::{Attach, Chain};
use crate::filter::{delete, elements, reload};
use crate::under_test::only_ours;

/// CHECK of `firewall` alone.
fn check(chain: &Chain<'_>, of: Attach<'_>) -> Outcome {
    chain.call(2, "CHECK", of, chain.result(of).as_ref()).run()
}

/// Chain, text and handle of each rule of the table `filter` of a family, but for those without which
/// everything passes as with them: they return, or lead to the administrator's chain.
fn listed(lab: &Lab, family: &str) -> Vec<(String, String, String)> {
    let listed = lab.host().run(&format!("nft -a -s list table {family} filter"));
    let mut chain = String::new();
    let mut rules = Vec::new();
    for line in listed.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ") {
            chain = name.split(' ').next().unwrap_or_default().to_owned();
        } else if let Some((rule, handle)) = line.rsplit_once(" # handle ")
            && !rule.ends_with('{')
            && !rule.ends_with("return")
            && !rule.ends_with("CNI-ADMIN")
        {
            rules.push((chain.clone(), rule.to_owned(), handle.to_owned()));
        }
    }
    rules
}

mod every_rule_that_is_deleted_is_noticed {
    use super::*;

    fn case(lab: &Lab, (policy, count): (&str, usize)) {
        only_ours(lab, "looks at the rules of addresses alone, and makes chains in CHECK [E]");
        let keys = json!({ "backend": "iptables", "ingressPolicy": policy });
        let chain = walled(lab, 1, &keys);
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        check(&chain, of).is_silent();
        for family in ["ip", "ip6"] {
            let all = listed(lab, family);
            assert_eq!(all.len(), count, "{all:?}");
            for (name, rule, _) in &all {
                // Whatever is written again has another handle.
                let now = listed(lab, family);
                let same = now.iter().find(|(chain, text, _)| (chain, text) == (name, rule));
                let Some((.., handle)) = same else {
                    panic!(
                        "not everything is there again: {name} {rule}\nof {all:#?}\nnow {now:#?}"
                    );
                };
                lab.host().run(&format!("nft delete rule {family} filter {name} handle {handle}"));
                check(&chain, of).refused(101).says(&["no rule", "filter", name]);
                reload(lab);
                check(&chain, of).is_silent();
            }
        }
    }

    // Two of the address, one that leads to them; two more, a drop and one that leads to them.
    stamp!(lab_with_plugins, case,
        of_an_open_bridge: ("open", 3),
        of_a_bridge_that_is_closed: ("same-bridge", 6),
        of_an_isolated_bridge: ("isolated", 7));
}

mod every_element_that_is_deleted_is_noticed {
    use super::*;

    fn case(lab: &Lab, backend: &str) {
        only_ours(lab, "has no sets");
        let keys = json!({ "backend": backend, "ingressPolicy": "isolated" });
        let chain = walled(lab, 1, &keys);
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        let of_firewall = ["forwarded4", "forwarded6", "policed", "within", "alone"];
        let all: Vec<_> =
            elements(lab).into_iter().filter(|e| of_firewall.contains(&&*e.set)).collect();
        assert_eq!(all.len(), 5, "{all:?}");
        for element in &all {
            delete(lab, element);
            check(&chain, of).refused(101).says(&["is missing or differs", &element.set]);
            reload(lab);
            check(&chain, of).is_silent();
        }
    }

    stamp!(lab_with_plugins, case, by_iptables: "iptables", by_nftables: "nftables");
}

#[test]
fn it_changes_nothing_whatever_is_missing() {
    lab_with_plugins(|lab| {
        only_ours(lab, "makes the chains that are missing [E]");
        let chain = walled(lab, 1, &json!({ "ingressPolicy": "isolated" }));
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        let as_it_is = lab.snapshot();
        check(&chain, of).is_silent();
        lab.assert_unchanged(&as_it_is);
        for program in PROGRAMS {
            lab.host().run(&format!("{program} -F"));
            lab.host().run(&format!("{program} -X"));
        }
        let flushed = lab.snapshot();
        check(&chain, of).refused(101);
        lab.assert_unchanged(&flushed);
        lab.host().run("nft flush ruleset");
        let empty = lab.snapshot();
        check(&chain, of).refused(101);
        lab.assert_unchanged(&empty);
    });
}

#[test]
fn what_others_have_or_lose_is_no_difference() {
    lab_with_plugins(|lab| {
        only_ours(lab, "looks for chains of both families in its CHECK [E]");
        let chain = walled(lab, 1, &json!({}));
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let sibling = attached(lab, &chain, "sibling", &none);
        for program in PROGRAMS {
            lab.host().run(&format!("{program} -I FORWARD 1 -i wan0 -j ACCEPT"));
            lab.host().run(&format!("{program} -A CNI-ADMIN -i wan0 -j ACCEPT"));
            lab.host().run(&format!("{program} -P FORWARD DROP"));
        }
        check(&chain, Attach::new(&c, &none)).is_silent();
        chain.del(Attach::new(&sibling, &none));
        check(&chain, Attach::new(&c, &none)).is_silent();
    });
}

#[test]
fn without_a_result_it_says_what_is_missing() {
    lab_with_plugins(|lab| {
        let chain = walled(lab, 1, &json!({}));
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        for verb in ["ADD", "CHECK"] {
            let outcome = chain.call(2, verb, of, None).run();
            let error = outcome.error();
            only_ours(lab, "has no hints");
            assert_eq!(error.code, 7);
            error.says(&["missing prevResult", "prevResult"]);
        }
    });
}
