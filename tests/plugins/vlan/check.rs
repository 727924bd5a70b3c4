//! CHECK: is what ADD made still there?

use netns_fixtures::{Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use super::{driven_master, usual, with, with_pool};
use crate::battery::Family;
use crate::under_test::{are_ours, unlike_reference};

/// Attaches `c` and gives back the config with the result, as a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container, mut config: Value) -> Value {
    config["prevResult"] = lab.add("vlan", c, &config);
    // Go's CHECK finds addresses only when duplicate detection has ended.
    c.settle();
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("vlan").container(c).config(config).verb("CHECK").run()
}

#[test]
fn check_of_vlan_passes_after_add() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, with(with_pool(Family::Dual), "mtu", json!(1400)));
        check(lab, &c, &config).is_silent();
    });
}

/// Each thing that somebody may have broken.
mod what_is_missing_of_a_vlan_is_named {
    use super::*;

    /// What is broken, and a word of the answer.
    type Damage<'a> = (&'a dyn Fn(&Lab, &Container), &'a str);

    fn case(lab: &Lab, (breaks, named): Damage<'_>) {
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, with(with_pool(Family::V4), "mtu", json!(1400)));
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
        }, "is no vlan"),
        the_mtu: (&|_, c| drop(c.run("ip link set dev eth0 mtu 1300")), "MTU 1300"),
        the_address: (&|_, c| drop(c.run("ip addr del 10.1.0.2/24 dev eth0")), "10.1.0.2"),
        the_lease: (&|_, _| drop(std::fs::remove_dir_all("/var/lib/cni")), "c1"),
    );
}

#[test]
fn check_of_vlan_finds_another_id_and_a_link_that_is_down() {
    lab_with_plugins(|lab| {
        driven_master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, usual());
        check(lab, &c, &with(config.clone(), "vlanId", json!(8))).error();
        c.run("ip link set dev eth0 down");
        unlike_reference(lab, "does not look whether the link is up", || {
            check(lab, &c, &config).refused(101).says(&["eth0"]);
        });
    });
}
