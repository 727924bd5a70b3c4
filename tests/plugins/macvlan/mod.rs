//! `macvlan`, key by key.

mod check;
mod defects;
mod del;
mod gc;
mod links;
mod made;
mod master;
mod swap;
mod traffic;
mod undo;

use netns_fixtures::{Container, Lab, Namespace};
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::{MASTER, furnish_host, least_config};

/// A link without addresses on [`MASTER`].
fn layer2() -> Value {
    least_config("macvlan", USUAL)
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

/// A master on the host whose wire ends nowhere in particular.
fn master(lab: &Lab) -> &Namespace {
    furnish_host(lab.host(), "macvlan");
    lab.host()
}

/// A master on the host, and a neighbour at the other end of its wire, `eth0` of which has
/// 10.1.0.250 and fd00:1::250.
fn lan(lab: &Lab) -> Namespace {
    let lan = lab.another_host("lan");
    lab.wire((lab.host(), MASTER), (&lan, "eth0"));
    lan.run("ip addr add 10.1.0.250/24 dev eth0");
    lan.run("ip addr add fd00:1::250/64 dev eth0 nodad");
    lan
}

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("macvlan", &container, config);
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
