//! `ptp`, key by key.

mod chains;
mod check;
mod defects;
mod del;
mod gc;
mod links;
mod masquerade;
mod swap;
mod traffic;
mod undo;

use netns_fixtures::{Container, Lab, Namespace};
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::NETWORK;

/// Without an IPAM plugin, which it has to have.
fn bare() -> Value {
    json!({ "cniVersion": USUAL, "name": NETWORK, "type": "ptp" })
}

/// With a pool for `family`, and default routes.
fn with_pool(family: Family) -> Value {
    let ranges: Vec<Value> =
        family.subnets().iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    let routes: Vec<Value> =
        family.default_routes().iter().map(|dst| json!({ "dst": dst })).collect();
    let ipam = json!({ "type": "host-local", "ranges": ranges, "routes": routes });
    with(bare(), "ipam", ipam)
}

/// With these addresses of `static`, each with its gateway.
fn with_addresses(addresses: &[(&str, &str)]) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|(address, gateway)| json!({ "address": address, "gateway": gateway }))
        .collect();
    with(bare(), "ipam", json!({ "type": "static", "addresses": addresses }))
}

/// The same config with another value of one key.
fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("ptp", &container, config);
    container
}

/// The only end on the host.
#[track_caller]
fn host_end(host: &Namespace) -> Value {
    let is_end = |link: &Value| link["ifname"].as_str().is_some_and(|n| n.starts_with("veth"));
    let mut ends: Vec<Value> = host.links().into_iter().filter(is_end).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    ends.remove(0)
}

/// Its name.
#[track_caller]
fn host_end_name(host: &Namespace) -> String {
    host_end(host)["ifname"].as_str().expect("a link has a name").to_owned()
}
