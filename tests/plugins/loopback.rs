//! `loopback` beside the Go plugin of that name, and beside other plugins in one namespace.

use std::thread;

use netns_fixtures::{Container, Feature, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{least_config, must_know, unlike_reference};

/// Versions that Debian's Go plugin knows.
const OF_REFERENCE: [&str; 6] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"];

/// What both print on standard output for the same ADD in the same namespace.
fn both(lab: &Lab, c: &Container, config: &Value) -> (Outcome, Outcome) {
    lab.needs(Feature::ReferencePlugins);
    let reference = lab.reference_plugin("loopback").verb("ADD").container(c).config(config).run();
    (lab.plugin("loopback").verb("ADD").container(c).config(config).run(), reference)
}

/// A result without what release 1.9 leaves out of its newest shape and Debian's 1.1.1 prints: an
/// empty `dns`.
fn without_empty_dns(outcome: &Outcome) -> Value {
    let mut result = outcome.result();
    if result["dns"] == json!({}) {
        result.as_object_mut().map(|fields| fields.remove("dns"));
    }
    result
}

#[test]
fn its_own_result_is_that_of_the_reference_under_every_version() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for version in OF_REFERENCE {
            let (ours, reference) = both(lab, &c, &least_config("loopback", version));
            assert_eq!(without_empty_dns(&ours), without_empty_dns(&reference), "{version}");
        }
    });
}

#[test]
fn without_a_version_it_prints_the_oldest_shape_to_the_byte() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for config in [json!({ "name": "n" }), json!({ "name": "n", "cniVersion": "" })] {
            let (ours, reference) = both(lab, &c, &config);
            assert_eq!(ours.stdout, reference.stdout);
        }
    });
}

#[test]
fn what_was_before_it_is_passed_on_to_the_byte() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0"] {
            let mut config = least_config("loopback", version);
            config["prevResult"] = match version {
                "0.1.0" | "0.2.0" => json!({
                    "ip4": { "ip": "10.1.0.5/24", "gateway": "10.1.0.1", "routes": [{ "dst": "0.0.0.0/0" }] },
                    "dns": { "nameservers": ["10.1.0.1"] },
                }),
                _ => json!({
                    "interfaces": [{ "name": "eth0", "mac": "02:00:00:00:00:05", "sandbox": "/x" }],
                    "ips": [{ "version": "4", "interface": 0, "address": "10.1.0.5/24" }],
                    "routes": [{ "dst": "0.0.0.0/0", "gw": "10.1.0.1" }],
                }),
            };
            let (ours, reference) = both(lab, &c, &config);
            assert_eq!(ours.stdout, reference.stdout, "{version}");
        }
    });
}

#[test]
fn it_minds_neither_calls_of_its_own_nor_other_links_that_come_meanwhile() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let add = lab.plugin("loopback").verb("ADD").container(&c);
        let add = add.config(&least_config("loopback", USUAL));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| add.run().succeeded().clone());
            }
            for i in 0..8 {
                c.run(&format!("ip link add dev v{i} type veth peer name p{i}"));
                c.run(&format!("ip addr add 10.9.{i}.1/24 dev v{i}"));
            }
        });
        assert_eq!(c.addresses("lo"), ["127.0.0.1/8", "::1/128"]);
    });
}

#[test]
fn an_lo_that_is_refused_is_left_down_as_it_was() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        c.run("ip addr add 10.1.1.1/32 dev lo");
        let before = lab.snapshot();
        let add = lab.plugin("loopback").verb("ADD").container(&c);
        let error = add.config(&least_config("loopback", USUAL)).run().error();
        error.says(&["loopback interface found with non-loopback address \"10.1.1.1\""]);
        unlike_reference(lab, "leaves lo up", || lab.assert_unchanged(&before));
    });
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        must_know(lab, "1.1.0");
        let c = lab.container("c1");
        let call = lab.plugin("loopback").container(&c);
        let list = include_str!("../../docs/examples/loopback.conflist");
        super::example::works(&call, list, include_str!("../../docs/plugins/loopback.md"));
    });
}
