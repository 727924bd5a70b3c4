//! `user-bridge`, the network that is made by one entry.

mod addresses;
mod apart;
mod life;
mod names;
mod options;
mod passing;
mod ports;
mod subnets;
mod ways;

use std::net::IpAddr;
use std::sync::Arc;

use netns_fixtures::{Call, Container, Lab, Outcome};
use serde_json::{Value, json};

use crate::under_test::{only_ours, with_keys};

/// The newest version, which alone has metrics of routes.
const VERSION: &str = "1.1.0";

/// What a network keeps when its last container has gone: its subnets, and who had which address
/// last.
const OF_THE_NETWORK: &[&str] = &["/var/lib/cni", "/run/cais/deleter"];

/// The configuration of network `name`, with more keys.
fn network(name: &str, keys: &Value) -> Value {
    let config = json!({ "cniVersion": VERSION, "name": name, "type": "user-bridge" });
    with_keys(config, keys)
}

/// A container on a network.
struct Resident<'lab> {
    lab: &'lab Lab,
    container: Arc<Container>,
    ifname: String,
    config: Value,
    result: Value,
}

impl<'lab> Resident<'lab> {
    /// Makes a container and puts it on a network.
    #[track_caller]
    fn new(lab: &'lab Lab, container: &str, config: Value) -> Self {
        Self::on(lab, lab.container(container), "eth0", config)
    }

    /// Puts a container on a network, as interface `ifname`.
    #[track_caller]
    fn on(
        lab: &'lab Lab,
        container: impl Into<Arc<Container>>,
        ifname: &str,
        config: Value,
    ) -> Self {
        only_ours(lab, "has no such plugin");
        let (container, ifname) = (container.into(), ifname.to_owned());
        let mut made = Self { lab, container, ifname, config, result: Value::Null };
        made.result = made.call("ADD").run().result();
        made
    }

    fn call(&self, verb: &str) -> Call<'lab> {
        let mut config = self.config.clone();
        if !self.result.is_null() {
            config["prevResult"] = self.result.clone();
        }
        let call = self.lab.plugin("user-bridge").container(&self.container);
        call.ifname(&self.ifname).verb(verb).config(&config)
    }

    #[track_caller]
    fn check(&self) {
        self.call("CHECK").run().is_silent();
    }

    #[track_caller]
    fn del(&self) {
        self.call("DEL").run().is_silent();
    }

    /// Its addresses, without lengths.
    fn addresses(&self) -> Vec<IpAddr> {
        let ips = self.result["ips"].as_array().expect("a result has addresses");
        ips.iter().map(|ip| host_part(&ip["address"])).collect()
    }

    /// Its first address.
    fn address(&self) -> IpAddr {
        self.addresses()[0]
    }

    /// The network's bridge, as its result names it.
    fn bridge(&self) -> String {
        text(&self.result["interfaces"][0]["name"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The address in `10.1.0.2/24`.
fn host_part(cidr: &Value) -> IpAddr {
    let text = text(cidr);
    text.split('/').next().and_then(|ip| ip.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// ADD for a fresh container, however it ends.
fn try_add(lab: &Lab, container: &Container, config: &Value) -> Outcome {
    only_ours(lab, "has no such plugin");
    lab.plugin("user-bridge").verb("ADD").container(container).config(config).run()
}
