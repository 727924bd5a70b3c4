//! CHECK: is what ADD made still there?

use netns_fixtures::{Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use super::{driven_master, usual, with, with_pool};
use crate::battery::Family;
use crate::under_test::{are_ours, only_ours, unlike_reference};

/// Attaches `c` and gives back the config with the result, as a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container, mut config: Value) -> Value {
    config["prevResult"] = lab.add("ipvlan", c, &config);
    // Go's CHECK finds addresses only when duplicate detection has ended.
    c.settle();
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("ipvlan").container(c).config(config).verb("CHECK").run()
}

#[test]
fn check_of_ipvlan_passes_after_add() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, with_pool(Family::Dual));
        check(lab, &c, &config).is_silent();
    });
}

/// Each thing that somebody may have broken.
mod what_is_missing_of_an_ipvlan_is_named {
    use super::*;

    /// What is broken, and a word of the answer.
    type Damage<'a> = (&'a dyn Fn(&Lab, &Container), &'a str);

    fn case(lab: &Lab, (breaks, named): Damage<'_>) {
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, with_pool(Family::V4));
        breaks(lab, &c);
        let error = check(lab, &c, &config).error();
        if are_ours(lab) {
            error.says(&[named]);
        }
    }

    stamp!(lab_with_plugins, case,
        the_link: (&|_, c| drop(c.run("ip link del dev eth0")), "eth0"),
        the_kind: (&|_, c| {
            c.run("ip link del dev eth0");
            c.run("ip link add dev eth0 type veth peer name other");
        }, "is no ipvlan"),
        the_mode: (&|lab, _| {
            let other = lab.container("other");
            lab.add("ipvlan", &other, &with(usual(), "mode", json!("l3")));
        }, "not in the mode"),
        the_address: (&|_, c| drop(c.run("ip addr del 10.1.0.2/24 dev eth0")), "10.1.0.2"),
        the_lease: (&|_, _| drop(std::fs::remove_dir_all("/var/lib/cni")), "c1"),
        the_masters_name: (&|lab, _| {
            lab.host().run("ip link set dev lan0 down");
            lab.host().run("ip link set dev lan0 name other0");
        }, "lan0"),
    );
}

#[test]
fn check_of_ipvlan_finds_another_flag_than_that_of_its_network() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know the kernel's flags [E]");
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, usual());
        let other = lab.container("other");
        lab.add("ipvlan", &other, &with(usual(), "flag", json!("private")));
        check(lab, &c, &config).refused(101).says(&["mode and flag", "same master"]);
    });
}

#[test]
fn check_of_ipvlan_finds_a_link_that_is_down() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, usual());
        c.run("ip link set dev eth0 down");
        unlike_reference(lab, "does not look whether the link is up", || {
            check(lab, &c, &config).refused(101).says(&["eth0"]);
        });
    });
}

#[test]
fn check_of_ipvlan_needs_the_result_of_add() {
    lab_with_plugins(|lab| {
        super::master(lab);
        let c = lab.container("c1");
        let ipam = json!({ "type": "static", "addresses": [{ "address": "10.1.0.5/24" }] });
        check(lab, &c, &with(usual(), "ipam", ipam)).error().says(&["prevResult"]);
    });
}
