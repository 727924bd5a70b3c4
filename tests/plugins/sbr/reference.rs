//! The same configuration on the Go `sbr` and on ours makes the same, but for the differences that
//! stand in this file; and what one made, the other checks and takes away.

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins, unified};
use serde_json::json;

use super::{config, container, routes, rules};
use crate::equality::{Difference, EMPTY_DNS, assert_excused};
use crate::turns::By::{self, Ours, Reference};
use crate::turns::call;
use crate::under_test::only_ours;

const OTHER_FAMILY: Difference =
    ("table 100: fd00:1::/64", "the reference copies IPv6 routes into tables of IPv4");

fn lines(c: &Container, moment: &str) -> Vec<String> {
    let mut lines: Vec<String> = c.run("ip -4 rule show").lines().map(str::to_owned).collect();
    lines.extend(c.run("ip -6 rule show").lines().map(str::to_owned));
    for table in ["main", "100", "101", "102"] {
        lines.extend(routes(c, table).iter().map(|route| format!("table {table}: {route}")));
    }
    lines.iter().map(|line| format!("{moment}: {line}")).collect()
}

/// What ADD and DEL of one of them make of a fresh container.
fn made(lab: &Lab, by: By, ips: Option<usize>) -> Vec<String> {
    let c = container(lab, "c1");
    let mut config = config(&c, &json!({}));
    if let Some(ips) = ips {
        config["prevResult"]["ips"].as_array_mut().unwrap().truncate(ips);
        for command in ["ip -6 route del default", "ip addr del fd00:1::2/64 dev eth0"] {
            c.run(command);
        }
    }
    let result = call(lab, by, &c, "ADD", &config).run().result();
    let text = serde_json::to_string_pretty(&result).unwrap();
    let mut made: Vec<String> =
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    made.extend(lines(&c, "after ADD"));
    config["prevResult"] = result;
    call(lab, by, &c, "DEL", &config).run().succeeded();
    made.extend(rules(&c));
    c.remove();
    made
}

#[track_caller]
fn assert_equal(lab: &Lab, ips: Option<usize>, differences: &[Difference]) {
    lab.needs(Feature::ReferencePlugins);
    let (theirs, ours) = (made(lab, Reference, ips), made(lab, Ours, ips));
    assert_excused(lab, &unified(&theirs, &ours), differences);
}

#[test]
fn an_ipv4_address_is_equal() {
    lab_with_plugins(|lab| assert_equal(lab, Some(1), &[EMPTY_DNS]));
}

#[test]
fn addresses_of_both_families_are_equal() {
    lab_with_plugins(|lab| assert_equal(lab, None, &[EMPTY_DNS, OTHER_FAMILY]));
}

/// Each pair of who adds and who comes after.
mod what_one_made_the_other_checks_and_takes_away {
    use super::*;

    fn case(lab: &Lab, (maker, other): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "is no pair with itself");
        let c = container(lab, "c1");
        let mut config = config(&c, &json!({}));
        config["prevResult"] = call(lab, maker, &c, "ADD", &config).run().result();
        call(lab, other, &c, "CHECK", &config).run().succeeded();
        for _ in 0..2 {
            call(lab, other, &c, "DEL", &config).run().succeeded();
            assert_eq!(rules(&c), [""; 0]);
        }
        // The one that made it may be called as well.
        call(lab, maker, &c, "DEL", &config).run().succeeded();
        let files = lab.snapshot();
        assert!(!files.lines().iter().any(|line| line.contains("/run/cais/sbr")));
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}
