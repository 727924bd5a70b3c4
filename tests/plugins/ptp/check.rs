//! CHECK: is what ADD made still there, on both sides?

use netns_fixtures::{Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use super::{host_end_name, with, with_pool};
use crate::battery::Family;
use crate::under_test::{are_ours, unlike_reference};

/// Attaches `c` and gives back the config with the result, as a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container, mut config: Value) -> Value {
    config["prevResult"] = lab.add("ptp", c, &config);
    c.settle();
    config
}

fn masqueraded() -> Value {
    with(with_pool(Family::Dual), "ipMasq", json!(true))
}

fn check(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("ptp").container(c).config(config).verb("CHECK").run()
}

/// Runs `command` on the host with its end in the place of `END`.
fn on_host(lab: &Lab, command: &str) {
    let end = host_end_name(lab.host());
    lab.host().run(&command.replace("END", &end));
}

every_family! {
    fn check_of_ptp_passes_after_add(lab, family) {
        for (name, masquerade) in [("a", true), ("b", false)] {
            let c = lab.container(name);
            let config = with(with_pool(family), "ipMasq", json!(masquerade));
            let config = attached(lab, &c, config);
            check(lab, &c, &config).is_silent();
        }
    }
}

/// Each thing that somebody may have broken, of what the reference looks at as well.
mod what_is_missing_of_a_pair_is_named {
    use super::*;

    /// What is broken, and a word of the answer.
    type Damage<'a> = (&'a dyn Fn(&Lab, &Container), &'a str);

    fn case(lab: &Lab, (breaks, named): Damage<'_>) {
        let c = lab.container("c1");
        let config = attached(lab, &c, masqueraded());
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
            c.run("ip link add dev eth0 type bridge");
        }, "is no veth"),
        the_ipv4_address: (&|_, c| drop(c.run("ip addr del 10.1.0.2/24 dev eth0")), "10.1.0.2"),
        the_ipv6_address:
            (&|_, c| drop(c.run("ip addr del fd00:1::2/64 dev eth0")), "fd00:1::2"),
        the_default_route: (&|_, c| drop(c.run("ip route del default")), "0.0.0.0/0"),
        the_lease: (&|_, _| drop(std::fs::remove_dir_all("/var/lib/cni")), "c1"),
        the_mac: (&|_, c| {
            c.run("ip link set dev eth0 address 02:00:00:00:00:07");
        }, "02:00:00:00:00:07"),
    );
}

/// What the reference never looks at.
mod what_is_missing_on_the_hosts_side_is_named {
    use super::*;

    fn case(lab: &Lab, (command, named): (&str, &[&str])) {
        let c = lab.container("c1");
        let config = attached(lab, &c, masqueraded());
        on_host(lab, command);
        unlike_reference(lab, "does not look at the host's side [E]", || {
            check(lab, &c, &config)
                .refused(101)
                .says(named)
                .says(&["something changed it after ADD"]);
        });
    }

    stamp!(lab_with_plugins, case,
        the_state: ("ip link set dev END down", &["the host's end", "is down"]),
        the_ipv4_gateway: ("ip addr del 10.1.0.1/32 dev END", &["gateway", "10.1.0.1/32"]),
        the_ipv6_gateway: ("ip addr del fd00:1::1/128 dev END", &["gateway", "fd00:1::1/128"]),
        the_ipv4_route: ("ip route del 10.1.0.2 dev END", &["route to 10.1.0.2/32"]),
        the_ipv6_route: ("ip route del fd00:1::2 dev END", &["route to fd00:1::2/128"]),
        ipv4_forwarding: ("sysctl -qw net.ipv4.ip_forward=0", &["IPv4 forwarding is off"]),
        ipv6_forwarding:
            ("sysctl -qw net.ipv6.conf.all.forwarding=0", &["IPv6 forwarding is off"]),
        the_masquerade: ("nft flush ruleset", &["masq4", "10.1.0.2"]),
    );
}

#[test]
fn check_of_ptp_needs_the_result_of_add() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = with(attached(lab, &c, masqueraded()), "prevResult", Value::Null);
        check(lab, &c, &config).error().says(&["prevResult"]);
    });
}

/// As chained plugins (`sbr`, `vrf`) do.
#[test]
fn check_of_ptp_finds_a_route_that_was_moved_to_another_table() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = with_pool(Family::V4);
        config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16" }]);
        let config = attached(lab, &c, config);
        c.run("ip route del 10.8.0.0/16");
        c.run("ip route add 10.8.0.0/16 via 10.1.0.1 table 100");
        unlike_reference(lab, "looks for routes in the main table alone [E]", || {
            check(lab, &c, &config).is_silent();
        });
    });
}

#[test]
fn check_of_ptp_knows_a_namespace_by_what_it_is_and_not_by_its_path() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c, with_pool(Family::V4));
        std::os::unix::fs::symlink("/run/netns", "/run/other").unwrap();
        let call = lab.plugin("ptp").container(&c).config(&config).verb("CHECK");
        unlike_reference(lab, "compares the text of the paths [E]", || {
            call.env("CNI_NETNS", "/run/other/c1").run().is_silent();
        });
    });
}
