//! The place of all cases: networks on one host, each with a bridge of its own, and a neighbour of
//! the host on its LAN.

use std::net::IpAddr;

use netns_fixtures::{Container, Feature, Lab, Namespace};
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::{only_ours, with_keys};

/// Ports of containers: published; not published; published, and used through the host alone, so
/// that what came by the host can be told from what came directly.
pub(super) const PUBLISHED: u16 = 80;
pub(super) const UNPUBLISHED: u16 = 81;
pub(super) const BEHIND_THE_HOST: u16 = 82;

/// Whether br_netfilter shows frames of bridges to the packet filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    Hidden,
    Shown,
    /// Those of IPv4 alone.
    HalfShown,
}

/// A host with an address on a LAN, and somebody else there who sends everything to it.
pub(super) struct Town<'lab> {
    pub(super) lab: &'lab Lab,
    pub(super) lan: Namespace,
    family: Family,
}

impl<'lab> Town<'lab> {
    pub(super) fn new(lab: &'lab Lab, family: Family, frames: Frames) -> Self {
        only_ours(lab, "has no keys that keep networks apart");
        let values = match frames {
            Frames::Hidden => ["0", "0"],
            Frames::Shown => ["1", "1"],
            Frames::HalfShown => ["1", "0"],
        };
        if frames != Frames::Hidden {
            lab.needs(Feature::BrNetfilter);
        }
        let keys = ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"];
        for (key, value) in keys.into_iter().zip(values) {
            // Without the module frames are hidden as well.
            if lab.host().sysctl(key).is_some() {
                lab.host().set_sysctl(key, value);
            }
        }
        let lan = lab.another_host("lan");
        let dad = "ipv6/conf/default/accept_dad";
        for place in [lab.host(), &lan] {
            // Nobody else is there, and looking for somebody takes seconds.
            place.set_sysctl(dad, "0");
        }
        lab.wire((lab.host(), "eth0"), (&lan, "eth0"));
        for place in [lab.host(), &lan] {
            place.set_sysctl(dad, "1");
        }
        for (place, number) in [(lab.host(), 1), (&lan, 2)] {
            place.run(&format!("ip addr add 10.99.0.{number}/24 dev eth0"));
            place.run(&format!("ip addr add fd99::{number}/64 dev eth0 nodad"));
        }
        lan.run("ip route add default via 10.99.0.1");
        lan.run("ip route add default via fd99::1");
        for place in [lab.host(), &lan] {
            place.settle_link_local();
        }
        Self { lab, lan, family }
    }

    pub(super) fn is_v4(&self) -> bool {
        self.family == Family::V4
    }

    /// The address of somebody in network `network`; the gateway is number 1.
    pub(super) fn address(&self, network: u16, number: u16) -> IpAddr {
        let text = match self.is_v4() {
            true => format!("10.{}.0.{number}", 100 + network),
            false => format!("fd00:{network:x}::{number:x}"),
        };
        text.parse().unwrap()
    }

    /// The host's address on the LAN.
    pub(super) fn host_address(&self) -> IpAddr {
        self.on_lan(1)
    }

    pub(super) fn lan_address(&self) -> IpAddr {
        self.on_lan(2)
    }

    fn on_lan(&self, number: u16) -> IpAddr {
        let text =
            if self.is_v4() { format!("10.99.0.{number}") } else { format!("fd99::{number}") };
        text.parse().unwrap()
    }

    /// The configuration of network `network`, with `keys` and a container's address.
    pub(super) fn config(&self, network: u16, number: u16, keys: &Value) -> Value {
        let length = if self.is_v4() { 24 } else { 64 };
        let address = format!("{}/{length}", self.address(network, number));
        let gateway = self.address(network, 1);
        let mut config = json!({
            "cniVersion": USUAL, "name": format!("net{network}"), "type": "bridge",
            "bridge": format!("br{network}"),
            "ipam": {
                "type": "static",
                "addresses": [{ "address": address, "gateway": gateway }],
            },
        });
        match (&keys["internal"], &keys["gatewayMode"]) {
            (_, mode) if mode == "isolated" => {}
            (internal, _) if internal == true => config["isGateway"] = json!(true),
            _ => config["isDefaultGateway"] = json!(true),
        }
        with_keys(config, keys)
    }

    /// Attaches a container to network `network` as number `number`.
    pub(super) fn attach(&self, network: u16, number: u16, keys: &Value) -> Resident {
        self.attach_on(self.lab.host(), network, number, keys)
    }

    /// As [`Self::attach`], on another host.
    pub(super) fn attach_on(
        &self,
        host: &Namespace,
        network: u16,
        number: u16,
        keys: &Value,
    ) -> Resident {
        let container = self.lab.container(&format!("c{network}-{number}"));
        let config = self.config(network, number, keys);
        let call = self.lab.plugin("bridge").on(host).container(&container).config(&config);
        let result = call.verb("ADD").run().result();
        let address = self.address(network, number);
        if keys["internal"] == true {
            // Nobody keeps a container from having one.
            let gateway = self.address(network, 1);
            container.run(&format!("ip route add default via {gateway}"));
        }
        Resident { container, config, result, address }
    }

    /// Takes a container's ports and its interface away.
    pub(super) fn detach(&self, resident: &Resident) {
        let portmap = portmap(&resident.config, &resident.result, &[]);
        self.lab.del("portmap", &resident.container, &portmap);
        self.lab.del("bridge", &resident.container, &resident.config);
    }

    /// Publishes TCP and UDP `host_port` of the host as a port of the container, for each pair.
    pub(super) fn publish(&self, resident: &Resident, ports: &[(u16, u16)]) {
        let config = portmap(&resident.config, &resident.result, ports);
        self.lab.add("portmap", &resident.container, &config);
    }
}

/// A container with its address.
pub(super) struct Resident {
    pub(super) container: Container,
    pub(super) config: Value,
    pub(super) result: Value,
    pub(super) address: IpAddr,
}

/// A configuration of `portmap` after `result`: pairs of host's and container's ports, for TCP and
/// UDP.
pub(super) fn portmap(bridge: &Value, result: &Value, ports: &[(u16, u16)]) -> Value {
    let mapping = |(host, container): &(u16, u16), protocol: &str| json!({ "hostPort": host, "containerPort": container, "protocol": protocol });
    let mappings: Vec<Value> =
        ports.iter().flat_map(|ports| [mapping(ports, "tcp"), mapping(ports, "udp")]).collect();
    json!({
        "cniVersion": bridge["cniVersion"], "name": bridge["name"], "type": "portmap",
        "runtimeConfig": { "portMappings": mappings }, "prevResult": result,
    })
}
