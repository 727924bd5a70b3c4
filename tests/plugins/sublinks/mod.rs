//! What all plugins do whose links stand on a master: the same cases over all of them.

use netns_fixtures::{Container, Lab, Namespace};
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::{MASTER, least_config};

/// Stamps a case over these plugins: `fn sentence(lab, plugin) { … }`. The host has [`MASTER`], and
/// the kernel the driver, or what another function after `with` wants.
macro_rules! every_sublink {
    (with $needs:path; $($(#[$doc:meta])* fn $name:ident($lab:ident, $plugin:ident) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;
            fn case($lab: &netns_fixtures::Lab, $plugin: &'static str) {
                $needs($lab, $plugin);
                $crate::under_test::furnish_host($lab.host(), $plugin);
                $body
            }
            stamp!(netns_fixtures::lab_with_plugins, case,
                of_macvlan: "macvlan", of_ipvlan: "ipvlan", of_vlan: "vlan");
        }
    )*};
    ($($cases:tt)*) => {
        every_sublink! { with $crate::under_test::needs_driver; $($cases)* }
    };
}

mod del;
mod gc;
mod interim;
mod links;
mod refused;
mod released;
mod swap;
pub(super) mod undo;

/// A network with a pool for `family`.
fn pool(plugin: &str, family: Family) -> Value {
    with_pool(least_config(plugin, USUAL), family)
}

/// The same for container number `number`. A VLAN takes each id once.
fn sibling(config: Value, number: u16) -> Value {
    match config["type"] == "vlan" {
        true => with(config, "vlanId", json!(number)),
        false => config,
    }
}

/// `config` with a pool for `family`.
pub(super) fn with_pool(config: Value, family: Family) -> Value {
    let ranges: Vec<Value> =
        family.subnets().iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    with(config, "ipam", json!({ "type": "host-local", "ranges": ranges }))
}

/// `config` with these addresses of `static`.
pub(super) fn with_addresses(config: Value, addresses: &[&str]) -> Value {
    let addresses: Vec<Value> =
        addresses.iter().map(|address| json!({ "address": address })).collect();
    with(config, "ipam", json!({ "type": "static", "addresses": addresses }))
}

/// The same config with another value of one key.
pub(super) fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

/// A master on the host, and a neighbour at the other end of its wire, `eth0` of which has
/// 10.1.0.250 and fd00:1::250.
pub(super) fn lan(lab: &Lab) -> Namespace {
    let lan = lab.another_host("lan");
    lab.wire((lab.host(), MASTER), (&lan, "eth0"));
    lan.run("ip addr add 10.1.0.250/24 dev eth0");
    lan.run("ip addr add fd00:1::250/64 dev eth0 nodad");
    lan
}

/// Another link than [`MASTER`], with 10.7.0.1/24 and fd00:7::1/64.
pub(super) fn other_link(lab: &Lab) {
    lab.host().run("ip link add dev other0 type veth peer name other1");
    for command in [
        "ip link set dev other0 up",
        "ip link set dev other1 up",
        "ip addr add 10.7.0.1/24 dev other0",
        "ip addr add fd00:7::1/64 dev other0 nodad",
    ] {
        lab.host().run(command);
    }
}

/// A container that the plugin of `config` attached.
pub(super) fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add(config["type"].as_str().expect("a config names its plugin"), &container, config);
    container
}

/// What iproute2 says of the container's link.
#[track_caller]
pub(super) fn link(container: &Container) -> Value {
    container.link("eth0").expect("ADD made it")
}

/// What it says of a key of the link's kind.
#[track_caller]
pub(super) fn info(container: &Container, key: &str) -> Value {
    link(container)["linkinfo"]["info_data"][key].clone()
}
