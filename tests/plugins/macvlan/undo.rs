//! An ADD that fails has changed nothing; what all such plugins have in common is in
//! `tests/plugins/sublinks`.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, layer2, master, with, with_addresses};
use crate::plugins::sublinks::undo::fails_without_a_trace;
use crate::under_test::unlike_reference;

#[test]
fn a_macvlan_is_taken_back_when_its_result_cannot_be_told_in_the_version_asked_for() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let config = with(layer2(), "cniVersion", json!("0.2.0"));
        unlike_reference(lab, "fails when all is made, and leaves it [E]", || {
            fails_without_a_trace(lab, &c, &config);
        });
    });
}

#[test]
fn an_ipv6_address_that_a_neighbour_has_is_refused_and_everything_is_taken_back() {
    lab_with_plugins(|lab| {
        master(lab);
        let config = with_addresses(&["fd00:1::5/64"]);
        attached(lab, "a", &config);
        let b = lab.container("b");
        unlike_reference(
            lab,
            "does not look for duplicates of an address without gateway [E]",
            || {
                fails_without_a_trace(lab, &b, &config);
                let call = lab.plugin("macvlan").container(&b).config(&config).verb("ADD");
                call.run().refused(100).says(&["fd00:1::5/64", "another host has it"]);
            },
        );
    });
}
