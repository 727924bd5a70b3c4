//! What ADD refuses before it asks the kernel, and what it says when the kernel refuses.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{driven_master, master, usual, with};
use crate::under_test::{BOOKKEEPING, leases, only_ours};

/// A configuration that cannot be, and what is said about it.
mod add_refuses_before_it_makes_anything {
    use super::*;

    fn case(lab: &Lab, (key, value, named): (&str, Value, &[&str])) {
        only_ours(lab, "says so in other words, or makes the link first");
        master(lab);
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("vlan").container(&c).config(&with(usual(), key, value));
        call.verb("ADD").run().refused(7).says(named);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    }

    stamp!(lab_with_plugins, case,
        no_master: ("master", Value::Null, &["\"master\" is required", "ip link"]),
        a_master_that_is_missing: ("master", json!("other0"), &["link other0 does not exist"]),
        an_id_too_high: ("vlanId", json!(4095), &["4095 is outside 0..4094"]),
        an_unknown_protocol: ("protocol", json!("802.3"), &["802.3", "802.1q, 802.1ad"]),
        no_ipam: ("ipam", Value::Null, &["\"ipam.type\" is required"]),
    );
}

#[test]
fn a_master_of_a_vlan_that_is_down_is_told_before_anything_is_made() {
    lab_with_plugins(|lab| {
        master(lab).run("ip link set dev lan0 down");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("vlan").container(&c).config(&usual()).verb("ADD");
        let error = call.run().error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        only_ours(lab, "says no more than the kernel");
        error.says(&["lan0 is down", "ip link set lan0 up"]);
    });
}

#[test]
fn a_vlan_that_somebody_has_is_refused_by_its_id_and_everything_is_taken_back() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let (a, b) = (lab.container("a"), lab.container("b"));
        lab.add("vlan", &a, &usual());
        let before = lab.snapshot();
        let error = lab.plugin("vlan").container(&b).config(&usual()).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        assert_eq!(leases(), ["10.1.0.2"]);
        only_ours(lab, "says no more than the kernel [E]");
        error.says(&["create vlan eth0 over lan0 in /run/netns/b: ", "EEXIST", "VLAN 7 of lan0"]);
    });
}

#[test]
fn a_link_that_carries_no_vlans_is_named() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        lab.host().run("ip link set dev lo up");
        let c = lab.container("c1");
        let call = lab.plugin("vlan").container(&c).config(&with(usual(), "master", json!("lo")));
        let error = call.verb("ADD").run().error();
        only_ours(lab, "says no more than the kernel");
        error.says(&["lo", "carries no VLANs"]);
    });
}
