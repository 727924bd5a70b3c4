//! `tap`, key by key.

mod check;
mod defects;
mod del;
mod gc;
mod links;
mod selinux;
mod swap;
mod traffic;
mod undo;

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::{least_config, must_have, needs_driver};

/// A case in a lab where taps can be made, and the plugins under test have one to make them.
fn lab_with_taps(case: impl FnOnce(&Lab)) {
    netns_fixtures::lab_with_plugins(|lab| {
        must_have(lab, "tap");
        needs_driver(lab, "tap");
        case(lab);
    });
}

/// A tap without addresses.
fn layer2() -> Value {
    least_config("tap", USUAL)
}

/// With a pool for `family`.
fn with_pool(family: Family) -> Value {
    let ranges: Vec<Value> =
        family.subnets().iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    with(layer2(), "ipam", json!({ "type": "host-local", "ranges": ranges }))
}

/// With these addresses of `static`.
fn with_addresses(addresses: &[&str]) -> Value {
    let addresses: Vec<Value> =
        addresses.iter().map(|address| json!({ "address": address })).collect();
    with(layer2(), "ipam", json!({ "type": "static", "addresses": addresses }))
}

/// The same config with another value of one key.
fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("tap", &container, config);
    container
}

/// What iproute2 says of the container's link.
#[track_caller]
fn link(container: &Container) -> Value {
    container.link("eth0").expect("ADD made it")
}

fn info(container: &Container, key: &str) -> Value {
    link(container)["linkinfo"]["info_data"][key].clone()
}
