//! CHECK: is what ADD made still there?

use netns_fixtures::{Container, Lab, Outcome};
use serde_json::{Value, json};

use super::{lab_with_taps, layer2, with, with_pool};
use crate::battery::Family;
use crate::under_test::unlike_reference;

/// Attaches `c`, in whose namespace is a bridge `br0`, and gives back the config with the result, as
/// a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container, mut config: Value) -> Value {
    c.run("ip link add dev br0 type bridge");
    config["prevResult"] = lab.add("tap", c, &config);
    config
}

fn with_route() -> Value {
    let mut config = with_pool(Family::V4);
    config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.1.0.250" }]);
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("tap").container(c).config(config).verb("CHECK").run()
}

#[test]
fn check_of_tap_passes_after_add() {
    lab_with_taps(|lab| {
        for (name, config) in [("a", with_route()), ("b", with(layer2(), "bridge", json!("br0")))] {
            let c = lab.container(name);
            let config = attached(lab, &c, config);
            check(lab, &c, &config).is_silent();
        }
    });
}

/// Each thing that somebody may have broken.
mod what_is_missing_of_a_tap_is_named {
    use super::*;

    /// What is broken, and words of the answer.
    type Damage<'a> = (&'a str, &'a str);

    fn case(lab: &Lab, (breaks, named): Damage<'_>) {
        let c = lab.container("c1");
        let config = attached(lab, &c, with_route());
        for command in breaks.split("; ") {
            c.run(command);
        }
        check(lab, &c, &config).error().says(&[named]);
    }

    stamp!(lab_with_taps, case,
        the_link: ("ip link del dev eth0", "eth0"),
        the_ipv4_address: ("ip addr del 10.1.0.2/24 dev eth0", "10.1.0.2"),
        the_mac: ("ip link set dev eth0 address 02:00:00:00:00:07", "02:00:00:00:00:07"),
    );
}

#[test]
fn check_of_tap_finds_another_kind_of_link_one_that_is_down_and_one_off_its_bridge() {
    lab_with_taps(|lab| {
        for (name, command, said) in [
            ("a", "ip link set dev eth0 down", "is down"),
            ("b", "ip link set dev eth0 nomaster", "is no port of bridge br0"),
            ("c", "ip link del dev eth0; ip link add dev eth0 type dummy-to-be", "eth0"),
        ] {
            let c = lab.container(name);
            let config = attached(lab, &c, with(layer2(), "bridge", json!("br0")));
            for command in command.split("; ") {
                let command = command.replace("dummy-to-be", "veth peer name other");
                c.run(&command);
            }
            unlike_reference(lab, "looks neither at kind, state nor bridge", || {
                check(lab, &c, &config).refused(101).says(&[said]);
            });
        }
    });
}

#[test]
fn check_of_tap_needs_the_result_of_add() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        let config = with(attached(lab, &c, layer2()), "prevResult", Value::Null);
        check(lab, &c, &config).error().says(&["prevResult"]);
    });
}

#[test]
fn check_of_tap_finds_a_route_that_was_moved_to_another_table() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c, with_route());
        c.run("ip route del 10.8.0.0/16");
        c.run("ip route add 10.8.0.0/16 via 10.1.0.250 dev eth0 table 100");
        unlike_reference(lab, "looks for routes in the main table alone [E]", || {
            check(lab, &c, &config).is_silent();
        });
    });
}

#[test]
fn check_of_tap_knows_a_namespace_by_what_it_is_and_not_by_its_path() {
    lab_with_taps(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c, layer2());
        std::os::unix::fs::symlink("/run/netns", "/run/other").unwrap();
        let call = lab.plugin("tap").container(&c).config(&config).verb("CHECK");
        unlike_reference(lab, "compares the text of the paths [E]", || {
            call.env("CNI_NETNS", "/run/other/c1").run().is_silent();
        });
    });
}
