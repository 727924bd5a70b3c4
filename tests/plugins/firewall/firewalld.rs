//! On a host with firewalld: the container's addresses are sources of a zone.

use netns_fixtures::{Firewalld, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, has_chain, walled};
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, serve};
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

const PORT: u16 = 7000;
const SOURCES: [&str; 2] = ["10.1.0.2/32", "fd00:1::2/128"];

fn check(chain: &Chain<'_>, of: Attach<'_>) -> netns_fixtures::Outcome {
    chain.call(2, "CHECK", of, chain.result(of).as_ref()).run()
}

fn sources(firewalld: &Firewalld, zone: &str) -> Vec<String> {
    let mut sources = firewalld.sources(zone);
    sources.sort();
    sources
}

mod addresses_are_bound_checked_and_released {
    use super::*;

    fn case(lab: &Lab, (keys, zone): (&Value, &str)) {
        let lan = lan(lab);
        serve(&lan, "lan", PORT);
        let firewalld = Firewalld::start(lab);
        let chain = walled(lab, 1, keys);
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        assert_eq!(sources(&firewalld, zone), SOURCES);
        check(&chain, of).is_silent();
        assert!(!has_chain(lab, "CNI-FORWARD"));
        if zone == "trusted" {
            assert_answers(&c, (LAN[0], PORT), "lan", HOST[0]);
        }
        firewalld.cmd(&format!("--zone={zone} --remove-source=10.1.0.2/32"));
        let outcome = check(&chain, of);
        only_ours(lab, "ignores the answer of firewalld in CHECK [E]");
        outcome.refused(101).says(&[zone, "10.1.0.2"]);
        // Repeating it binds what is missing.
        let result = chain.call(0, "CHECK", of, chain.result(of).as_ref()).run();
        result.succeeded();
        let mut before = chain.result(of).unwrap();
        before["cniVersion"] = json!("1.0.0");
        chain.call(2, "ADD", of, Some(&before)).run().succeeded();
        assert_eq!(sources(&firewalld, zone), SOURCES);
        chain.del(of);
        assert_eq!(sources(&firewalld, zone), [""; 0]);
    }

    stamp!(lab_with_plugins, case,
        where_firewalld_is_chosen: (&json!({ "backend": "firewalld" }), "trusted"),
        where_nothing_is_said: (&json!({}), "trusted"),
        in_another_zone: (&json!({ "firewalldZone": "work" }), "work"));
}

#[test]
fn chains_are_written_beside_firewalld_where_they_are_asked_for() {
    lab_with_plugins(|lab| {
        let firewalld = Firewalld::start(lab);
        let chain = walled(lab, 1, &json!({ "backend": "iptables" }));
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        assert_eq!(sources(&firewalld, "trusted"), [""; 0]);
        assert!(has_chain(lab, "CNI-FORWARD"));
        chain.del(Attach::new(&c, &none));
    });
}

#[test]
fn a_firewalld_that_is_gone_keeps_no_container_from_being_deleted() {
    lab_with_plugins(|lab| {
        let firewalld = Firewalld::start(lab);
        let chain = walled(lab, 1, &json!({}));
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        let _bus = firewalld.kill();
        only_ours(lab, "calls it present");
        check(&chain, of).error().says(&["firewalld"]);
        chain.del(of);
        assert!(crate::filter::elements(lab).is_empty());
        assert!(std::fs::read_dir("/run/cais/netfilter").unwrap().next().is_none());
    });
}

#[test]
fn a_backend_that_does_not_run_is_named() {
    lab_with_plugins(|lab| {
        only_ours(lab, "names the bus");
        let chain = walled(lab, 1, &json!({ "backend": "firewalld" }));
        let (c, none) = (lab.container("c1"), json!([]));
        let error = chain.try_add(Attach::new(&c, &none)).unwrap_err();
        error.says(&["firewalld", "does not run", "set \"backend\" to iptables"]);
        chain.del(Attach::new(&c, &none));
        assert_eq!(lab.host().run("nft list ruleset"), "");
    });
}

#[test]
fn a_zone_that_firewalld_does_not_have_is_named_and_nothing_stays() {
    lab_with_plugins(|lab| {
        only_ours(lab, "leaves what it did");
        let firewalld = Firewalld::start(lab);
        let before = lab.host().run("nft list ruleset");
        let chain = walled(lab, 1, &json!({ "firewalldZone": "nowhere" }));
        let (c, none) = (lab.container("c1"), json!([]));
        let error = chain.try_add(Attach::new(&c, &none)).unwrap_err();
        error.says(&["nowhere"]);
        chain.del(Attach::new(&c, &none));
        assert_eq!(lab.host().run("nft list ruleset"), before);
        drop(firewalld);
    });
}
