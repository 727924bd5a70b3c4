//! GC: pairs, leases, masquerade and records of attachments that are valid no more.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, with, with_pool};
use crate::battery::Family;
use crate::under_test::{leases, only_ours};

fn config() -> Value {
    let config = with(with_pool(Family::V4), "ipMasq", json!(true));
    with(config, "cniVersion", json!("1.1.0"))
}

/// `a`, `b` and `c` with 10.1.0.2 to 10.1.0.4.
fn three(lab: &Lab) -> [Container; 3] {
    only_ours(lab, "cleans nothing in GC [E]");
    let containers = ["a", "b", "c"].map(|name| attached(lab, name, &config()));
    assert_eq!(leases(), ["10.1.0.2", "10.1.0.3", "10.1.0.4"]);
    containers
}

fn ends(lab: &Lab) -> usize {
    lab.host().link_names().len()
}

fn records(lab: &Lab) -> usize {
    let is_record = |line: &&String| line.contains("/run/cais/attachments/");
    lab.snapshot().lines().iter().filter(is_record).count()
}

#[test]
fn gc_takes_pairs_that_are_not_listed_out_of_living_containers() {
    lab_with_plugins(|lab| {
        let [a, b, c] = three(lab);
        let valid = json!([{ "containerID": "b", "ifname": "eth0" }]);
        let config = with(config(), "cni.dev/valid-attachments", valid);
        lab.plugin("ptp").config(&config).verb("GC").run().is_silent();
        assert_eq!(leases(), ["10.1.0.3"]);
        assert!(a.link("eth0").is_none() && c.link("eth0").is_none());
        lab.host().assert_reaches(&b);
        let rules = lab.host().run("nft list ruleset");
        assert!(rules.contains("10.1.0.3") && !rules.contains("10.1.0.4"), "{rules}");
        assert_eq!((ends(lab), records(lab)), (1, 1));
    });
}

#[test]
fn without_a_list_gc_of_ptp_takes_only_what_is_proven_dead() {
    lab_with_plugins(|lab| {
        let [a, b, c] = three(lab);
        a.remove();
        lab.plugin("ptp").config(&config()).verb("GC").run().is_silent();
        assert_eq!(leases(), ["10.1.0.3", "10.1.0.4"]);
        lab.host().assert_reaches(&b);
        lab.host().assert_reaches(&c);
        assert_eq!((ends(lab), records(lab)), (2, 2));
    });
}
