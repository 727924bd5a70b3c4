//! GC: taps in containers that live, leases and records of attachments that are valid no more.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{attached, lab_with_taps, with, with_pool};
use crate::battery::Family;
use crate::under_test::{leases, only_ours};

fn config() -> Value {
    with(with_pool(Family::V4), "cniVersion", json!("1.1.0"))
}

/// `a`, `b` and `c` with 10.1.0.2 to 10.1.0.4.
fn three(lab: &Lab) -> [Container; 3] {
    only_ours(lab, "cleans nothing in GC [E]");
    let containers = ["a", "b", "c"].map(|name| attached(lab, name, &config()));
    assert_eq!(leases(), ["10.1.0.2", "10.1.0.3", "10.1.0.4"]);
    containers
}

/// GC with `valid` under the key of the specification.
fn gc(lab: &Lab, valid: Value) {
    let config = with(config(), "cni.dev/valid-attachments", valid);
    lab.plugin("tap").config(&config).verb("GC").run().is_silent();
}

fn records(lab: &Lab) -> usize {
    let is_record = |line: &&String| line.contains("/run/cais/attachments/");
    lab.snapshot().lines().iter().filter(is_record).count()
}

#[test]
fn gc_takes_taps_that_are_not_listed_out_of_living_containers() {
    lab_with_taps(|lab| {
        let [a, b, c] = three(lab);
        gc(lab, json!([{ "containerID": "b", "ifname": "eth0" }]));
        assert_eq!(leases(), ["10.1.0.3"]);
        assert_eq!(b.addresses("eth0"), ["10.1.0.3/24"]);
        assert!(a.link("eth0").is_none() && c.link("eth0").is_none());
        assert_eq!(records(lab), 1);
    });
}

#[test]
fn without_a_list_gc_of_tap_takes_only_what_is_proven_dead() {
    lab_with_taps(|lab| {
        let [a, b, c] = three(lab);
        a.remove();
        lab.plugin("tap").config(&config()).verb("GC").run().is_silent();
        assert_eq!(leases(), ["10.1.0.3", "10.1.0.4"]);
        assert!(b.link("eth0").is_some() && c.link("eth0").is_some());
        assert_eq!(records(lab), 2);
    });
}

/// A namespace may have been handed to another container since.
#[test]
fn gc_of_tap_leaves_a_link_of_others_alone() {
    lab_with_taps(|lab| {
        let [a, ..] = three(lab);
        a.run("ip link set dev eth0 alias cais:other/x/eth0");
        gc(lab, json!([]));
        assert!(a.link("eth0").is_some());
        assert_eq!((leases().len(), records(lab)), (0, 0));
    });
}
