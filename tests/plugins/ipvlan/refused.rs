//! What ADD refuses before it asks the kernel, and what it says when the kernel refuses.

use netns_fixtures::{Feature, Lab, lab_with_plugins, skip};
use serde_json::{Value, json};

use super::{master, usual, with};
use crate::under_test::{BOOKKEEPING, only_ours};

/// Ends the case where the kernel has what it is said to lack.
fn must_lack_the_driver(lab: &Lab) {
    let tried = lab.scratch(|scratch| {
        scratch.run("ip link add dev base type veth peer name other");
        scratch.try_run("ip link add dev probe link base type ipvlan")
    });
    if tried.status.success() {
        skip(&format!("this kernel has {}", Feature::Ipvlan.name()));
    }
}

/// A configuration that cannot be, and what is said about it.
mod add_refuses_before_it_makes_anything {
    use super::*;

    fn case(lab: &Lab, (key, value, named): (&str, Value, &[&str])) {
        only_ours(lab, "says so in other words, or makes the link first");
        master(lab);
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("ipvlan").container(&c).config(&with(usual(), key, value));
        call.verb("ADD").run().refused(7).says(named);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    }

    stamp!(lab_with_plugins, case,
        an_unknown_mode: ("mode", json!("l4"), &["unknown ipvlan mode: \"l4\"", "l2, l3, l3s"]),
        an_unknown_flag:
            ("flag", json!("hub"), &["unknown ipvlan flag: \"hub\"", "bridge, private, vepa"]),
        no_ipam_and_nothing_before: ("ipam", Value::Null, &["\"ipam.type\" is missing", "prevResult"]),
    );
}

/// As with the reference, which does not look at it.
#[test]
fn nothing_in_cni_args_is_refused_by_ipvlan() {
    lab_with_plugins(|lab| {
        must_lack_the_driver(lab);
        master(lab);
        let c = lab.container("c1");
        let config = with(usual(), "ipam", json!({ "type": "fake" }));
        let call = lab.plugin("ipvlan").container(&c).config(&config).args("nonsense");
        let error = call.verb("ADD").run().error();
        assert!(!error.text().contains("nonsense"), "{}", error.text());
        if crate::under_test::are_ours(lab) {
            error.says(&["load the module `ipvlan`"]);
        }
    });
}

#[test]
fn an_address_that_another_container_on_the_master_has_is_refused_and_everything_is_taken_back() {
    lab_with_plugins(|lab| {
        super::driven_master(lab);
        let config = super::with_addresses(&["10.1.0.5/24"]);
        super::attached(lab, "a", &config);
        let b = lab.container("b");
        let before = lab.snapshot();
        let error = lab.plugin("ipvlan").container(&b).config(&config).verb("ADD").run().error();
        only_ours(lab, "leaves the link in the container when ADD with addresses fails [E]");
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        error.says(&["10.1.0.5/24", "EADDRINUSE", "same master"]);
    });
}
