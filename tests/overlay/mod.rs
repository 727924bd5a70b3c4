//! Networks over several hosts, whose peers stand in a file.

mod agent;
mod command;
mod faults;
mod first_page;
mod forged;
mod isolation;
mod life;
mod names;
mod ports;
mod reach;
mod told;

use std::fs;
use std::net::IpAddr;

use netns_fixtures::{Call, Container, Lab, Namespace, Outcome};
use serde_json::{Value, json};

use crate::under_test::{only_ours, with_keys};

/// The newest version.
const VERSION: &str = "1.1.0";

/// What calls keep beside what they make.
const KEPT: &[&str] = &[
    "/run/cais/deleter",
    "/run/cais/overlay",
    // The daemon of names stays for a while.
    "/run/cais/dns",
    // The table of leases remembers who had which address last.
    "/var/lib/cni",
];

/// Which family hosts reach each other by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Underlay {
    V4,
    V6,
}

/// Hosts on one wire, each with directories of its own.
struct Town<'lab> {
    lab: &'lab Lab,
    wire: Namespace,
    hosts: Vec<Namespace>,
    underlay: Underlay,
}

impl<'lab> Town<'lab> {
    /// `count` hosts, all listed as peers of the network `blue`.
    #[track_caller]
    fn new(lab: &'lab Lab, count: usize, underlay: Underlay) -> Self {
        only_ours(lab, "has no such plugin");
        let wire = lab.another_host("wire");
        wire.run("ip link add dev wire0 type bridge");
        wire.run("ip link set dev wire0 addrgenmode none up");
        let mut town = Self { lab, wire, hosts: Vec::new(), underlay };
        for number in 1..=count {
            let host = town.plug_in(&format!("h{number}"), number);
            town.hosts.push(host);
        }
        town.list("blue", 4103, 77, count);
        town
    }

    /// Another host on the wire, with the address `number`.
    fn plug_in(&self, name: &str, number: usize) -> Namespace {
        let host = self.lab.another_host(name);
        self.lab.wire((&host, "eth0"), (&self.wire, name));
        self.wire.run(&format!("ip link set dev {name} master wire0"));
        host.run(&format!("ip addr add 10.99.0.{number}/24 dev eth0"));
        host.run(&format!("ip addr add fd99::{number}/64 dev eth0 nodad"));
        host
    }

    /// Where the host `number`, from 1 on, is reached.
    fn address(&self, number: usize) -> String {
        match self.underlay {
            Underlay::V4 => format!("10.99.0.{number}"),
            Underlay::V6 => format!("fd99::{number}"),
        }
    }

    /// Lists the first `count` hosts as peers of a network, with blocks of `10.<pool>.0.0/16`.
    fn list(&self, network: &str, vni: u32, pool: u8, count: usize) {
        let host = |number: usize| {
            let blocks =
                [format!("10.{pool}.{number}.0/24"), format!("fd{pool}:0:0:{number}::/64")];
            json!({ "id": format!("h{number}"), "underlay": self.address(number), "blocks": blocks })
        };
        let pools = [format!("10.{pool}.0.0/16"), format!("fd{pool}::/48")];
        let hosts: Vec<Value> = (1..=count).map(host).collect();
        let file = json!({ "v": 1, "vni": vni, "pools": pools, "hosts": hosts });
        fs::create_dir_all("/run/peers").unwrap();
        fs::write(peers(network), file.to_string()).unwrap();
    }

    /// The host `number`, from 1 on.
    fn host(&self, number: usize) -> &Namespace {
        &self.hosts[number - 1]
    }

    /// A call on the host `number`, with its own directories.
    fn call(&self, number: usize, config: &Value) -> Call<'_> {
        let root = format!("/run/root{number}");
        self.lab.plugin("overlay").on(self.host(number)).env("CAIS_ROOT", root).config(config)
    }

    /// A container on the host `number` and the network of `config`.
    #[track_caller]
    fn resident(&self, number: usize, name: &str, config: &Value) -> Resident<'_> {
        let container = self.lab.container(name);
        let mut made = Resident { town: self, number, container, config: config.clone() };
        let result = made.call("ADD").run().result();
        made.config["prevResult"] = result;
        made.container.settle();
        made
    }

    /// ADD on the host `number`, however it ends.
    fn try_add(&self, number: usize, container: &Container, config: &Value) -> Outcome {
        self.call(number, config).verb("ADD").container(container).run()
    }
}

/// The file of a network's peers.
fn peers(network: &str) -> String {
    format!("/run/peers/{network}.json")
}

/// The configuration of network `name`, with more keys.
fn network(name: &str, keys: &Value) -> Value {
    let store = json!({ "type": "static", "peers": peers(name) });
    let config = json!({ "cniVersion": VERSION, "name": name, "type": "overlay", "store": store });
    with_keys(config, keys)
}

/// A network without anything special.
fn blue() -> Value {
    network("blue", &json!({}))
}

/// A container on a network of a host.
struct Resident<'town> {
    town: &'town Town<'town>,
    number: usize,
    container: Container,
    config: Value,
}

impl<'town> Resident<'town> {
    fn call(&self, verb: &str) -> Call<'town> {
        self.town.call(self.number, &self.config).verb(verb).container(&self.container)
    }

    #[track_caller]
    fn check(&self) {
        self.call("CHECK").run().is_silent();
    }

    #[track_caller]
    fn del(&self) {
        self.call("DEL").run().is_silent();
    }

    /// Its addresses, IPv4 first.
    fn addresses(&self) -> Vec<IpAddr> {
        let ips = self.config["prevResult"]["ips"].as_array().expect("a result has addresses");
        let ip = |ip: &Value| ip["address"].as_str()?.split('/').next()?.parse().ok();
        ips.iter().map(|one| ip(one).unwrap_or_else(|| panic!("{one}"))).collect()
    }
}
