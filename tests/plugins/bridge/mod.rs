//! `bridge`, key by key.

mod advertised;
mod gateway;
mod isolation;
mod links;
mod mac;
mod masquerade;
mod parallel;
mod ports;
mod repeat;
mod spoof;
mod sysctls;
mod traffic;
mod undo;
mod vlan;

use netns_fixtures::Namespace;
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::NETWORK;

/// A bridge without addresses.
fn layer2() -> Value {
    json!({ "cniVersion": USUAL, "name": NETWORK, "type": "bridge", "bridge": "cni0" })
}

/// A bridge with a pool for `family`.
fn with_pool(family: Family) -> Value {
    let mut config = layer2();
    let ranges: Vec<Value> =
        family.subnets().iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    config["ipam"] = json!({ "type": "host-local", "ranges": ranges });
    config
}

/// As [`with_pool`], the bridge being the way out.
fn default_gateway(family: Family) -> Value {
    let mut config = with_pool(family);
    config["isDefaultGateway"] = json!(true);
    config
}

/// A bridge with these addresses of `static`.
fn with_addresses(addresses: &[&str]) -> Value {
    let mut config = layer2();
    let addresses: Vec<Value> =
        addresses.iter().map(|address| json!({ "address": address })).collect();
    config["ipam"] = json!({ "type": "static", "addresses": addresses });
    config
}

/// The same config with another value of one key.
fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

/// The only link that `bridge` made on the host beside the bridge.
#[track_caller]
fn host_end(host: &Namespace) -> Value {
    let mut ends: Vec<Value> = host
        .links()
        .into_iter()
        .filter(|link| link["ifname"].as_str().is_some_and(|name| name.starts_with("veth")))
        .collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    ends.remove(0)
}

/// A property of the host's end as a port.
fn port(host: &Namespace, property: &str) -> Value {
    host_end(host)["linkinfo"]["info_slave_data"][property].clone()
}

fn is_up(link: &Value) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"))
}
