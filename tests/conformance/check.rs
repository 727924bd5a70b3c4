//! CHECK: is what ADD made still there?

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::under_test::{are_ours, must_know, unlike_reference};

fn config(version: &str) -> Value {
    json!({
        "cniVersion": version, "name": "net", "type": "bridge", "bridge": "cni0",
        "isDefaultGateway": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }]],
        },
    })
}

/// Attaches `c` and gives back the config with the result, as a runtime passes it to CHECK.
fn attached(lab: &Lab, c: &Container, version: &str) -> Value {
    let mut config = config(version);
    config["prevResult"] = lab.add("bridge", c, &config);
    // Go's CHECK finds addresses only when duplicate detection has ended.
    c.settle();
    config
}

fn check(lab: &Lab, c: &Container, config: &Value) -> netns_fixtures::Outcome {
    lab.plugin("bridge").container(c).config(config).verb("CHECK").run()
}

/// The versions that have CHECK.
mod what_add_made_passes {
    use super::*;

    fn case(lab: &Lab, version: &str) {
        must_know(lab, version);
        let c = lab.container("c1");
        let config = attached(lab, &c, version);
        check(lab, &c, &config).is_silent();
    }

    stamp!(lab_with_plugins, case, at_0_4_0: "0.4.0", at_1_0_0: "1.0.0", at_1_1_0: "1.1.0");
}

/// Each thing that somebody may have broken.
mod what_is_missing_is_named {
    use super::*;

    /// What is broken, and a word of the answer.
    type Damage<'a> = (&'a dyn Fn(&Lab, &Container), &'a str);

    fn case(lab: &Lab, (breaks, named): Damage<'_>) {
        let c = lab.container("c1");
        let config = attached(lab, &c, "1.0.0");
        breaks(lab, &c);
        let error = check(lab, &c, &config).error();
        if are_ours(lab) {
            error.says(&[named]);
        }
    }

    stamp!(lab_with_plugins, case,
        the_link: (&|_, c| drop(c.run("ip link del dev eth0")), "eth0"),
        the_ipv4_address: (&|_, c| drop(c.run("ip addr del 10.1.0.2/24 dev eth0")), "10.1.0.2"),
        the_ipv6_address:
            (&|_, c| drop(c.run("ip addr del fd00:1::2/64 dev eth0")), "fd00:1::2"),
        the_prefix_length: (&|_, c| {
            c.run("ip addr del 10.1.0.2/24 dev eth0");
            c.run("ip addr add 10.1.0.2/25 dev eth0");
        }, "10.1.0.2"),
        the_default_route: (&|_, c| drop(c.run("ip -4 route del default")), "0.0.0.0/0"),
        the_lease: (&|_, _| drop(std::fs::remove_dir_all("/var/lib/cni")), "c1"),
        the_port: (&|lab, _| {
            let host = lab.host();
            let names = host.link_names();
            let veth = names.iter().find(|name| name.starts_with("veth")).unwrap();
            host.run(&format!("ip link set dev {veth} nomaster"));
        }, "cni0"),
        the_mac: (&|_, c| {
            c.run("ip link set dev eth0 address 02:00:00:00:00:07");
        }, "02:00:00:00:00:07"),
    );
}

#[test]
fn check_needs_the_result_of_add() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = attached(lab, &c, "1.0.0");
        config.as_object_mut().unwrap().remove("prevResult");
        check(lab, &c, &config).error().says(&["prevResult"]);
    });
}

#[test]
fn check_of_a_bridge_without_addresses_passes() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = json!({
            "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0",
        });
        config["prevResult"] = lab.add("bridge", &c, &config);
        unlike_reference(lab, "asks for an IPAM plugin even where there is none [E]", || {
            check(lab, &c, &config).is_silent();
        });
    });
}

#[test]
fn check_allows_what_later_plugins_of_the_chain_add() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c, "1.0.0");
        c.run("ip addr add 10.9.0.1/24 dev eth0");
        c.run("ip route add 10.8.0.0/16 via 10.9.0.2");
        c.run("ip link set dev eth0 mtu 1400");
        check(lab, &c, &config).is_silent();
    });
}

/// `/var/run` is a link to `/run`, and some runtimes write the one at ADD and the other at CHECK.
#[test]
fn check_knows_a_namespace_by_what_it_is_and_not_by_its_path() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = attached(lab, &c, "1.0.0");
        std::os::unix::fs::symlink("/run/netns", "/run/other").unwrap();
        let call = lab.plugin("bridge").container(&c).config(&config).verb("CHECK");
        unlike_reference(lab, "compares the text of the paths [E]", || {
            call.env("CNI_NETNS", "/run/other/c1").run().is_silent();
        });
    });
}

#[test]
fn check_of_loopback_wants_lo_up() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = json!({ "cniVersion": "1.0.0", "name": "net", "type": "loopback" });
        config["prevResult"] = lab.add("loopback", &c, &config);
        let call = lab.plugin("loopback").container(&c).config(&config).verb("CHECK");
        call.run().is_silent();
        c.run("ip link set dev lo down");
        call.run().error();
    });
}

#[test]
fn check_of_host_local_wants_a_lease_of_the_container() {
    lab_with_plugins(|lab| {
        let (a, b) = (lab.container("a"), lab.container("b"));
        let mut config = json!({
            "cniVersion": "1.0.0", "name": "net", "type": "host-local",
            "ipam": { "type": "host-local", "subnet": "10.1.0.0/24" },
        });
        config["prevResult"] = lab.add("host-local", &a, &config);
        let call = lab.plugin("host-local").config(&config).verb("CHECK");
        call.clone().container(&a).run().is_silent();
        call.container(&b).run().error();
    });
}

#[test]
fn check_of_static_compares_gateways() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = json!({
            "cniVersion": "1.0.0", "name": "net", "type": "static",
            "ipam": {
                "type": "static",
                "addresses": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }],
            },
        });
        config["prevResult"] = lab.add("static", &c, &config);
        let check =
            |config: &Value| lab.plugin("static").container(&c).config(config).verb("CHECK").run();
        check(&config).is_silent();
        let mut other = config.clone();
        other["prevResult"]["ips"][0]["gateway"] = json!("10.1.0.9");
        check(&other).error();
        let mut missing = config.clone();
        missing["prevResult"]["ips"] = json!([]);
        unlike_reference(lab, "does not see that an address is missing [E]", || {
            check(&missing).error();
        });
    });
}
