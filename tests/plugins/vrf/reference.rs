//! The same configuration on the Go `vrf` and on ours makes the same, but for the differences that
//! stand in this file; and what one made, the other checks and takes away.

use netns_fixtures::{Container, Feature, Lab, unified};
use serde_json::{Value, json};

use super::{config, container, lab_with_vrfs, routes, table};
use crate::equality::{Difference, EMPTY_DNS, assert_excused};
use crate::turns::By::{self, Ours, Reference};
use crate::turns::call;
use crate::under_test::only_ours;

const ROUTES: Difference =
    ("after ADD: table ", "1.1.1 loses routes, which later releases move to the table, too");

/// All that a call may have changed, as lines.
fn lines(c: &Container, moment: &str) -> Vec<String> {
    let mut lines: Vec<String> = c.addresses("eth0");
    lines.extend(c.link("eth0").map(|link| format!("master of eth0: {}", link["master"])));
    if let Some(vrf) = c.link("blue") {
        lines.push(format!(
            "blue: table {:?}, {}, mtu {}",
            table(c, "blue"),
            vrf["flags"],
            vrf["mtu"]
        ));
    }
    for table in ["main", "1", "77"] {
        lines.extend(routes(c, table).iter().map(|route| format!("table {table}: {route}")));
    }
    lines.iter().map(|line| format!("{moment}: {line}")).collect()
}

/// What ADD and DEL of one of them make of a fresh container.
fn made(lab: &Lab, by: By, members: &Value) -> Vec<String> {
    let c = container(lab, "c1");
    let mut config = config(&c, members);
    let result = call(lab, by, &c, "ADD", &config).run().result();
    let text = serde_json::to_string_pretty(&result).unwrap();
    let mut made: Vec<String> =
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    made.extend(lines(&c, "after ADD"));
    config["prevResult"] = result;
    call(lab, by, &c, "CHECK", &config).run().is_silent();
    call(lab, by, &c, "DEL", &config).run().is_silent();
    made.extend(lines(&c, "after DEL"));
    c.remove();
    made
}

#[track_caller]
fn assert_equal(lab: &Lab, members: &Value, differences: &[Difference]) {
    lab.needs(Feature::ReferencePlugins);
    let (theirs, ours) = (made(lab, Reference, members), made(lab, Ours, members));
    assert_excused(lab, &unified(&theirs, &ours), differences);
}

#[test]
fn a_vrf_with_the_first_free_table_is_equal() {
    lab_with_vrfs(|lab| assert_equal(lab, &json!({}), &[EMPTY_DNS, ROUTES]));
}

#[test]
fn a_vrf_with_a_table_of_its_own_is_equal() {
    lab_with_vrfs(|lab| assert_equal(lab, &json!({ "table": 77 }), &[EMPTY_DNS, ROUTES]));
}

/// Each pair of who adds and who comes after.
mod what_one_put_into_a_vrf_the_other_checks_and_takes_out {
    use super::*;

    fn case(lab: &Lab, (maker, other): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "is no pair with itself");
        let c = container(lab, "c1");
        let mut config = config(&c, &json!({}));
        config["prevResult"] = call(lab, maker, &c, "ADD", &config).run().result();
        if maker == Reference {
            // 1.1.1 loses them; later releases do not.
            for gateway in ["10.1.0.1", "fd00:1::1"] {
                c.run(&format!("ip route replace default via {gateway} dev eth0 table 1"));
            }
        }
        call(lab, other, &c, "CHECK", &config).run().is_silent();
        for _ in 0..2 {
            call(lab, other, &c, "DEL", &config).run().is_silent();
            assert_eq!(table(&c, "blue"), None);
            assert!(c.link("eth0").unwrap()["master"].is_null());
        }
        // The one that made it may be called as well.
        call(lab, maker, &c, "DEL", &config).run().is_silent();
        let files = lab.snapshot();
        assert!(!files.lines().iter().any(|line| line.contains("/run/cais/vrf")));
    }

    stamp!(lab_with_vrfs, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}
