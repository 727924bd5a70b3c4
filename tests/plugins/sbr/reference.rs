//! The same configuration on the Go `sbr` and on ours makes the same, but for the differences that
//! stand in this file; and what one made, the other checks and takes away.

use netns_fixtures::{Call, Container, Feature, Lab, lab_with_plugins, unified};
use serde_json::{Value, json};

use super::{config, container, routes, rules};
use crate::under_test::{are_ours, only_ours};

/// A line that only one of both has, known by a word, and why that is right.
type Difference = (&'static str, &'static str);

const EMPTY_DNS: Difference =
    ("\"dns\": {}", "1.1.1 prints an empty object where later releases leave it out");
const OTHER_FAMILY: Difference =
    ("table 100: fd00:1::/64", "the reference copies IPv6 routes into tables of IPv4");

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Reference,
    UnderTest,
}

use By::{Reference, UnderTest};

fn call<'lab>(lab: &'lab Lab, by: By, verb: &str, c: &Container, config: &Value) -> Call<'lab> {
    let call = match by {
        Reference => lab.reference_plugin("sbr"),
        UnderTest => lab.plugin("sbr"),
    };
    call.verb(verb).container(c).config(config)
}

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
    let result = call(lab, by, "ADD", &c, &config).run().result();
    let text = serde_json::to_string_pretty(&result).unwrap();
    let mut made: Vec<String> =
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    made.extend(lines(&c, "after ADD"));
    config["prevResult"] = result;
    call(lab, by, "DEL", &c, &config).run().succeeded();
    made.extend(rules(&c));
    c.remove();
    made
}

#[track_caller]
fn assert_equal(lab: &Lab, ips: Option<usize>, differences: &[Difference]) {
    lab.needs(Feature::ReferencePlugins);
    let (theirs, ours) = (made(lab, Reference, ips), made(lab, UnderTest, ips));
    // The reference beside itself shows that nothing random is compared.
    let differences = if are_ours(lab) { differences } else { &[] };
    let difference = unified(&theirs, &ours);
    let changed = |line: &&str| line.starts_with(['-', '+']);
    let is_excused = |line: &&str| differences.iter().any(|(word, _)| line.contains(word));
    let unexcused: Vec<&str> =
        difference.lines().filter(changed).filter(|line| !is_excused(line)).collect();
    assert!(unexcused.is_empty(), "`-` the reference, `+` ours:\n{}", unexcused.join("\n"));
    for (word, why) in differences {
        let is_needed = difference.lines().filter(changed).any(|line| line.contains(word));
        assert!(is_needed, "no difference in `{word}` ({why}) any more:\n{difference}");
    }
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
        config["prevResult"] = call(lab, maker, "ADD", &c, &config).run().result();
        call(lab, other, "CHECK", &c, &config).run().succeeded();
        for _ in 0..2 {
            call(lab, other, "DEL", &c, &config).run().succeeded();
            assert_eq!(rules(&c), [""; 0]);
        }
        // The one that made it may be called as well.
        call(lab, maker, "DEL", &c, &config).run().succeeded();
        let files = lab.snapshot();
        assert!(!files.lines().iter().any(|line| line.contains("/run/cais/sbr")));
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (UnderTest, Reference), the_references_by_ours: (Reference, UnderTest));
}
