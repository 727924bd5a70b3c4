//! `dhcp`: plugin and daemon, with dnsmasq as the server.

mod check;
mod daemon;
mod del;
mod equal;
mod kills;
pub(crate) mod lan;
mod leases;
mod renewal;
mod within;

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::NETWORK;
use lan::{Daemon, Lan};

/// The least configuration, with more keys of `ipam`.
fn config(more: &Value) -> Value {
    let mut config = json!({
        "cniVersion": USUAL, "name": NETWORK, "type": "dhcp", "ipam": { "type": "dhcp" },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        config["ipam"][key] = value.clone();
    }
    config
}

/// A container whose `eth0` is plugged in.
fn plugged(lab: &Lab, lan: &Lan, name: &str) -> Container {
    let container = lab.container(name);
    lan.plug(&container, "eth0");
    container
}

/// The address of a result, without its prefix.
fn address(result: &Value) -> String {
    let address = result["ips"][0]["address"].as_str().expect("a result has an address");
    address.split('/').next().unwrap_or_default().to_owned()
}

/// Gives the container's link what `result` says, as the plugin does that calls dhcp.
fn configure(container: &Container, result: &Value) {
    let address = result["ips"][0]["address"].as_str().unwrap();
    container.run(&format!("ip addr add {address} dev eth0"));
    for route in result["routes"].as_array().into_iter().flatten() {
        let (dst, gw) = (route["dst"].as_str().unwrap(), route["gw"].as_str().unwrap());
        container.run(&format!("ip route add {dst} via {gw} dev eth0"));
    }
}
