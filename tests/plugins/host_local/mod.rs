//! `host-local`, key by key, and the directory that it shares with the Go plugin.

mod parallel;
mod ranges;
mod requests;
mod store;

use netns_fixtures::{Container, Lab, Outcome};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{NETWORK, leases, leases_in};

/// Where leases of the network are.
const DIRECTORY: &str = "/var/lib/cni/networks/net";

/// A config whose pool is `ipam`.
fn config(mut ipam: Value) -> Value {
    ipam["type"] = json!("host-local");
    json!({ "cniVersion": USUAL, "name": NETWORK, "type": "host-local", "ipam": ipam })
}

/// A pool of one range.
fn one_range(range: &Value) -> Value {
    config(json!({ "ranges": [[range]] }))
}

/// A pool of one subnet.
fn subnet(subnet: &str) -> Value {
    one_range(&json!({ "subnet": subnet }))
}

fn call(lab: &Lab, c: &Container, config: &Value, verb: &str) -> Outcome {
    lab.plugin("host-local").container(c).config(config).verb(verb).run()
}

/// ADD, which must succeed; the addresses without their lengths.
#[track_caller]
fn add(lab: &Lab, c: &Container, config: &Value) -> Vec<String> {
    addresses(&call(lab, c, config, "ADD").result())
}

#[track_caller]
fn del(lab: &Lab, c: &Container, config: &Value) {
    call(lab, c, config, "DEL").is_silent();
}

fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().into_iter().flatten();
    let texts = ips.filter_map(|ip| ip["address"].as_str());
    texts.filter_map(|text| text.split('/').next()).map(str::to_owned).collect()
}
