//! The same configuration on the Go `bandwidth` and on ours makes the same, but for the differences
//! that stand in this file; and what one made, the other checks and takes away.

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins, unified};
use serde_json::{Value, json};

use super::{both, config, container, filters, queues, shapers};
use crate::equality::{Difference, EMPTY_DNS, assert_excused};
use crate::turns::By::{self, Ours, Reference};
use crate::turns::call;
use crate::under_test::{end_of, only_ours};

const ONE_ACTION: Difference =
    ("action order 2", "the reference has the action twice, and the first takes the packet");
const LINE: Difference = ("bfifo", "the reference lets a large burst wait for as long as it took");

/// All that a call may have changed, as lines.
fn lines(lab: &Lab, c: &Container, moment: &str) -> Vec<String> {
    let host = lab.host();
    let mut lines = Vec::new();
    for link in shapers(host).into_iter().chain([end_of(c)]) {
        for queue in queues(host, &link) {
            lines.push(format!("{moment}: queue of {link}: {queue}"));
        }
        if link.starts_with("bwp") {
            let shown = host.link(&link).expect("it was listed");
            let told = ["mtu", "txqlen", "flags", "qdisc"].map(|key| shown[key].to_string());
            lines.push(format!("{moment}: link {link}: {}", told.join(" ")));
        } else if !queues(host, &link).is_empty() {
            let filters = filters(host, &link);
            let words = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("index ");
            lines.extend(filters.lines().filter(words).map(|line| format!("{moment}: {line}")));
        }
    }
    lines
}

/// What ADD and DEL of one of them make of a fresh container.
fn made(lab: &Lab, by: By, members: &Value) -> Vec<String> {
    let c = container(lab, "c1");
    let mut config = config(&c, members);
    let result = call(lab, by, &c, "ADD", &config).run().result();
    let mut told = result.clone();
    // Random.
    for interface in told["interfaces"].as_array_mut().expect("a result has interfaces") {
        interface["mac"] = json!("MAC");
    }
    let text = serde_json::to_string_pretty(&told).unwrap();
    let mut made: Vec<String> =
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    made.extend(lines(lab, &c, "after ADD"));
    config["prevResult"] = result;
    // Without a limit the reference's crashes.
    if *members != json!({}) {
        call(lab, by, &c, "CHECK", &config).run().is_silent();
    }
    call(lab, by, &c, "DEL", &config).run().is_silent();
    made.extend(shapers(lab.host()));
    c.remove();
    lab.host().wait_until_gone("end-c1");
    made
}

#[track_caller]
fn assert_equal(lab: &Lab, members: &Value, differences: &[Difference]) {
    lab.needs(Feature::ReferencePlugins);
    let (theirs, ours) = (made(lab, Reference, members), made(lab, Ours, members));
    assert_excused(lab, &unified(&theirs, &ours), differences);
}

#[test]
fn no_limit_is_equal() {
    lab_with_plugins(|lab| assert_equal(lab, &json!({}), &[EMPTY_DNS]));
}

#[test]
fn limits_of_both_directions_are_equal() {
    lab_with_plugins(|lab| assert_equal(lab, &both(), &[EMPTY_DNS, ONE_ACTION]));
}

#[test]
fn limits_that_are_no_round_numbers_are_equal() {
    lab_with_plugins(|lab| {
        let members = json!({ "runtimeConfig": { "bandwidth": {
            "ingressRate": 12_345_678, "ingressBurst": 98_765,
            "egressRate": 40_000_000_001_u64, "egressBurst": 555_555,
        } } });
        assert_equal(lab, &members, &[EMPTY_DNS, ONE_ACTION]);
    });
}

#[test]
fn a_large_burst_is_equal_but_for_the_line_within() {
    lab_with_plugins(|lab| {
        let members = json!({ "ingressRate": 80_000_000, "ingressBurst": 80_000_000 });
        assert_equal(lab, &members, &[EMPTY_DNS, LINE]);
    });
}

/// Each pair of who adds and who comes after.
mod what_one_limits_the_other_checks_and_frees {
    use super::*;

    fn case(lab: &Lab, (maker, other): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "is no pair with itself");
        let c = container(lab, "c1");
        let mut config = config(&c, &both());
        config["prevResult"] = call(lab, maker, &c, "ADD", &config).run().result();
        assert_eq!(shapers(lab.host()).len(), 1);
        call(lab, other, &c, "CHECK", &config).run().is_silent();
        lab.host()
            .run("tc qdisc change dev end-c1 root handle 1: tbf rate 9mbit burst 9000 limit 9000");
        call(lab, other, &c, "CHECK", &config).run().error();
        for _ in 0..2 {
            call(lab, other, &c, "DEL", &config).run().is_silent();
            assert_eq!(shapers(lab.host()), [""; 0]);
        }
        if other == Ours {
            // The reference leaves them to the end of the pair.
            assert_eq!(queues(lab.host(), "end-c1"), [""; 0]);
        }
        // The one that made it may be called as well.
        call(lab, maker, &c, "DEL", &config).run().is_silent();
        let files = lab.snapshot();
        assert!(!files.lines().iter().any(|line| line.contains("/run/cais/bandwidth")));
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

#[test]
fn a_second_interface_is_limited_beside_one_of_the_reference() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "gives both one name, and fails [E]");
        let c = container(lab, "c1");
        let first = config(&c, &both());
        call(lab, Reference, &c, "ADD", &first).run().succeeded();
        lab.wire((lab.host(), "end-2"), (&c, "eth1"));
        let mut second = first.clone();
        second["prevResult"]["interfaces"][1]["name"] = json!("end-2");
        let second = |verb| call(lab, Ours, &c, verb, &second).ifname("eth1").run();
        second("ADD").succeeded();
        assert_eq!(shapers(lab.host()).len(), 2);
        second("CHECK").is_silent();
        call(lab, Ours, &c, "CHECK", &first).run().is_silent();
        second("DEL").is_silent();
        assert_eq!(shapers(lab.host()).len(), 1);
        call(lab, Ours, &c, "CHECK", &first).run().is_silent();
    });
}
