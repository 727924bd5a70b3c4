//! CHECK: is what ADD made still there?

use netns_fixtures::{Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use super::{lan, layer2, master, with, with_pool};
use crate::battery::Family;
use crate::under_test::{are_ours, unlike_reference};

/// Attaches `c` and gives back the config with the result, as a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container, mut config: Value) -> Value {
    config["prevResult"] = lab.add("macvlan", c, &config);
    // Go's CHECK finds addresses only when duplicate detection has ended.
    c.settle();
    config
}

fn with_route() -> Value {
    let mut config = with_pool(Family::Dual);
    config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.1.0.250" }]);
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("macvlan").container(c).config(config).verb("CHECK").run()
}

#[test]
fn check_of_macvlan_passes_after_add() {
    lab_with_plugins(|lab| {
        let _lan = lan(lab);
        for (name, config) in [("a", with_route()), ("b", layer2())] {
            let c = lab.container(name);
            let config = attached(lab, &c, config);
            check(lab, &c, &config).is_silent();
        }
    });
}

/// Each thing that somebody may have broken.
mod what_is_missing_of_a_macvlan_is_named {
    use super::*;

    /// What is broken, and a word of the answer.
    type Damage<'a> = (&'a dyn Fn(&Lab, &Container), &'a str);

    fn case(lab: &Lab, (breaks, named): Damage<'_>) {
        let _lan = lan(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, with_route());
        breaks(lab, &c);
        let error = check(lab, &c, &config).error();
        if are_ours(lab) {
            error.says(&[named]);
        }
    }

    stamp!(lab_with_plugins, case,
        the_link: (&|_, c| drop(c.run("ip link del dev eth0")), "eth0"),
        the_mode: (&|_, c| {
            c.run("ip link set dev eth0 type macvlan mode private");
        }, "not in the mode"),
        the_kind: (&|_, c| {
            c.run("ip link del dev eth0");
            c.run("ip link add dev eth0 type veth peer name other");
        }, "is no macvlan"),
        the_ipv4_address: (&|_, c| drop(c.run("ip addr del 10.1.0.2/24 dev eth0")), "10.1.0.2"),
        the_ipv6_address:
            (&|_, c| drop(c.run("ip addr del fd00:1::2/64 dev eth0")), "fd00:1::2"),
        the_route: (&|_, c| drop(c.run("ip route del 10.8.0.0/16")), "10.8.0.0/16"),
        the_lease: (&|_, _| drop(std::fs::remove_dir_all("/var/lib/cni")), "c1"),
        the_masters_name: (&|lab, _| {
            lab.host().run("ip link set dev lan0 down");
            lab.host().run("ip link set dev lan0 name other0");
        }, "lan0"),
        the_mac: (&|_, c| {
            c.run("ip link set dev eth0 address 02:00:00:00:00:07");
        }, "02:00:00:00:00:07"),
    );
}

#[test]
fn check_of_macvlan_finds_a_link_that_is_down() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, layer2());
        c.run("ip link set dev eth0 down");
        unlike_reference(lab, "does not look whether the link is up", || {
            check(lab, &c, &config).refused(101).says(&["eth0", "is down"]);
        });
    });
}

#[test]
fn check_of_macvlan_needs_the_result_of_add() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let config = with(attached(lab, &c, layer2()), "prevResult", Value::Null);
        check(lab, &c, &config).error().says(&["prevResult"]);
    });
}

#[test]
fn check_of_macvlan_does_not_mind_that_the_default_route_left_for_another_link() {
    lab_with_plugins(|lab| {
        let _lan = lan(lab);
        lab.host().run("ip addr add 10.1.0.1/24 dev lan0");
        lab.host().run("ip route add default via 10.1.0.250");
        let c = lab.container("c1");
        let config = attached(lab, &c, with(layer2(), "master", Value::Null));
        lab.host().run("ip route del default");
        unlike_reference(lab, "fails where it cannot find the master anew", || {
            check(lab, &c, &config).is_silent();
        });
    });
}

/// As chained plugins (`sbr`, `vrf`) do.
#[test]
fn check_of_macvlan_finds_a_route_that_was_moved_to_another_table() {
    lab_with_plugins(|lab| {
        let _lan = lan(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, with_route());
        c.run("ip route del 10.8.0.0/16");
        c.run("ip route add 10.8.0.0/16 via 10.1.0.250 table 100");
        unlike_reference(lab, "looks for routes in the main table alone [E]", || {
            check(lab, &c, &config).is_silent();
        });
    });
}

#[test]
fn check_of_macvlan_knows_a_namespace_by_what_it_is_and_not_by_its_path() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let config = attached(lab, &c, layer2());
        std::os::unix::fs::symlink("/run/netns", "/run/other").unwrap();
        let call = lab.plugin("macvlan").container(&c).config(&config).verb("CHECK");
        unlike_reference(lab, "compares the text of the paths [E]", || {
            call.env("CNI_NETNS", "/run/other/c1").run().is_silent();
        });
    });
}
