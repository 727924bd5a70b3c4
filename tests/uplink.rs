//! A host with an uplink to another one, which knows no way to the containers: what comes back from
//! there was masqueraded, or published.

use netns_fixtures::{Container, Lab, Namespace};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::serve;

/// The host's addresses on the uplink, of each family; published ports are asked for at these.
pub(crate) const HOST: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
/// Two more of the host's.
pub(crate) const HOST_TOO: [&str; 2] = ["192.0.2.11", "2001:db8::11"];
/// The other host's.
pub(crate) const LAN: [&str; 2] = ["192.0.2.2", "2001:db8::2"];

/// The port at which containers serve.
pub(crate) const INSIDE: u16 = 80;

/// Gives the lab's host an uplink `up0` to a fresh host.
pub(crate) fn lan(lab: &Lab) -> Namespace {
    let (host, lan) = (lab.host(), lab.another_host("lan"));
    lab.wire((host, "up0"), (&lan, "eth0"));
    for ([v4, v6], place, link, rest) in [
        (HOST, host, "up0", ""),
        // Deprecated: nothing is sent from it unasked.
        (HOST_TOO, host, "up0", " preferred_lft 0"),
        (LAN, &lan, "eth0", ""),
    ] {
        place.run(&format!("ip addr add {v4}/24 dev {link}"));
        place.run(&format!("ip addr add {v6}/64 dev {link} nodad{rest}"));
    }
    for (place, address) in [(host, HOST[1]), (host, HOST_TOO[1]), (&lan, LAN[1])] {
        place.wait_until_local(address);
    }
    host.settle();
    lan.settle();
    lan
}

/// `bridge` on `cni<number>` as Docker and Podman have it: gateway, default route, masquerade.
pub(crate) fn bridge(family: Family, number: u8) -> Value {
    let of_this = |subnet: &&str| {
        subnet
            .replace("10.1.", &format!("10.{number}."))
            .replace("fd00:1:", &format!("fd00:{number}:"))
    };
    let ranges: Vec<Value> =
        family.subnets().iter().map(|subnet| json!([{ "subnet": of_this(subnet) }])).collect();
    json!({
        "type": "bridge", "bridge": format!("cni{number}"),
        "isDefaultGateway": true, "ipMasq": true,
        "ipam": { "type": "host-local", "ranges": ranges },
    })
}

/// `portmap` that takes the runtime's ports.
pub(crate) fn portmap() -> Value {
    json!({ "type": "portmap", "capabilities": { "portMappings": true } })
}

/// Publishes the container's port for both protocols, at all addresses of the host.
pub(crate) fn both(outside: u16, inside: u16) -> Value {
    let of = |protocol: &str| json!({ "hostPort": outside, "containerPort": inside, "protocol": protocol });
    json!([of("tcp"), of("udp")])
}

/// A container that publishes `ports`, and serves under its name at [`INSIDE`].
#[track_caller]
pub(crate) fn attached(lab: &Lab, chain: &Chain<'_>, name: &str, ports: &Value) -> Container {
    let container = lab.container(name);
    chain.add(Attach::new(&container, ports));
    container.settle();
    lab.host().settle();
    serve(&container, name, INSIDE);
    container
}
