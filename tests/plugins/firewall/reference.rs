//! The rules are the reference's: listed alike, and each side takes the other's.

use netns_fixtures::{Feature, Lab, bins, lab_with_plugins, unified};
use serde_json::{Value, json};

use super::{PROGRAMS, attached, firewall, rules};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::under_test::only_ours;
use crate::uplink::bridge;

fn chain<'lab>(lab: &'lab Lab, keys: &Value) -> Chain<'lab> {
    lab.needs(Feature::ReferencePlugins);
    let mut bridge = bridge(Family::Dual, 1);
    // Its DEL fails where the chain of its own masquerade is missing: see `cais handback`.
    bridge["ipMasq"] = json!(false);
    Chain::new(lab, &[bridge, firewall(keys)])
}

/// What both list after two ADDs, after one DEL, and after the last.
fn listed(lab: &Lab, keys: &Value, by_reference: bool) -> Vec<Vec<String>> {
    let chain = chain(lab, keys);
    let reference = bins::reference();
    chain.serve_by(by_reference.then_some(reference.as_path()));
    let none = json!([]);
    let mut stages = Vec::new();
    let mut stage = || {
        for program in PROGRAMS {
            stages.push(rules(lab, program));
        }
    };
    let (a, b) = (attached(lab, &chain, "a", &none), attached(lab, &chain, "b", &none));
    stage();
    chain.del(Attach::new(&a, &none));
    stage();
    chain.del(Attach::new(&b, &none));
    a.remove();
    b.remove();
    lab.host().run("nft flush ruleset");
    for directory in ["/var/lib/cni", "/run/cais"] {
        let _ = std::fs::remove_dir_all(directory);
    }
    stages
}

mod iptables_lists_the_same_as_after_the_reference {
    use super::*;

    fn case(lab: &Lab, keys: &Value) {
        only_ours(lab, "is the reference");
        let (theirs, ours) = (listed(lab, keys, true), listed(lab, keys, false));
        assert!(theirs[0].iter().any(|line| line.contains("-s 10.1.0.3/32 -j ACCEPT")));
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert!(theirs == ours, "`-` the reference, `+` ours:\n{}", unified(theirs, ours));
        }
    }

    stamp!(lab_with_plugins, case,
        for_an_open_bridge: &json!({ "backend": "iptables" }),
        for_another_chain_of_the_administrator:
            &json!({ "backend": "iptables", "iptablesAdminChainName": "MY-RULES" }),
        for_a_closed_bridge: &json!({ "backend": "iptables", "ingressPolicy": "same-bridge" }));
}

/// What one made the other checks and deletes.
mod each_side_takes_what_the_other_made {
    use super::*;

    fn case(lab: &Lab, by_reference: bool) {
        only_ours(lab, "is the reference");
        let chain = chain(lab, &json!({ "backend": "iptables" }));
        let reference = bins::reference();
        let serve = |theirs: bool| chain.serve_by(theirs.then_some(reference.as_path()));
        serve(by_reference);
        let none = json!([]);
        let (a, b) = (attached(lab, &chain, "a", &none), attached(lab, &chain, "b", &none));
        let of = Attach::new(&a, &none);
        let before = PROGRAMS.map(|program| rules(lab, program));
        serve(!by_reference);
        let check = || chain.call(1, "CHECK", of, chain.result(of).as_ref()).run();
        check().succeeded();
        assert_eq!(PROGRAMS.map(|program| rules(lab, program)), before);
        lab.host().run("iptables -D CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT");
        check().error();
        chain.del(of);
        for program in PROGRAMS {
            let left = rules(lab, program);
            let has = |text: &str| left.iter().any(|line| line.contains(text));
            assert!(!has("10.1.0.2/32") && !has("fd00:1::2/128"), "{left:?}");
            assert!(has("10.1.0.3/32") || has("fd00:1::3/128"), "{left:?}");
        }
        chain.del(Attach::new(&b, &none));
    }

    stamp!(lab_with_plugins, case, ours_takes_theirs: true, theirs_takes_ours: false);
}
