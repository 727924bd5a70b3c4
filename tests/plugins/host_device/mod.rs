//! `host-device`, key by key. The device is one end of a pair.

mod defects;
mod del;
mod devices;
mod hardware;
mod life;
mod swap;
mod undo;

use netns_fixtures::{Container, Lab, Outcome};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{DEVICE, furnish_host, least_config, with_keys};

/// A case on a host that has the device.
fn lab_with_device(case: impl FnOnce(&Lab)) {
    netns_fixtures::lab_with_plugins(|lab| {
        furnish_host(lab.host(), "host-device");
        case(lab);
    });
}

/// The device without addresses.
fn layer2() -> Value {
    least_config("host-device", USUAL)
}

/// With a pool of addresses from 10.1.0.2 on.
fn with_pool() -> Value {
    with_keys(layer2(), &json!({ "ipam": { "type": "host-local", "subnet": "10.1.0.0/24" } }))
}

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("host-device", &container, config);
    container
}

fn del(lab: &Lab, c: &Container, config: &Value) -> Outcome {
    lab.plugin("host-device").container(c).config(config).verb("DEL").run()
}

/// What iproute2 says of the device on the host.
#[track_caller]
fn device(lab: &Lab) -> Value {
    lab.host().link(DEVICE).expect("the device is home")
}

fn is_up(link: &Value) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.contains(&json!("UP")))
}

/// Puts the container's link back to the host under the name and the alias that it has, as the kernel
/// does with hardware when a namespace dies.
fn as_if_the_namespace_died(c: &Container) {
    let host = std::process::id();
    c.run(&format!("ip link set dev eth0 netns {host}"));
}
