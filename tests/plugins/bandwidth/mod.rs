//! `bandwidth`: what it makes on the host's end of a container's pair, and what that does.

mod check;
mod defects;
mod del;
mod gc;
mod limits;
mod reference;
mod subnets;
mod traffic;
mod undo;

use netns_fixtures::{Call, Container, Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::chain::{Attach, Chain};
use crate::under_test::{NETWORK, of_a_pair, with_a_pair, with_keys};

/// Both directions at 8 Mbit/s, with a burst of a few packets.
fn both() -> Value {
    json!({
        "ingressRate": 8_000_000, "ingressBurst": 80_000,
        "egressRate": 8_000_000, "egressBurst": 80_000,
    })
}

/// A container with an `eth0` whose other end is on the host.
fn container(lab: &Lab, name: &str) -> Container {
    let container = lab.container(name);
    with_a_pair(lab, &container);
    container
}

/// A configuration with `members`, behind the plugin that made the pair of `c`.
fn config(c: &Container, members: &Value) -> Value {
    let mut config = json!({ "cniVersion": USUAL, "name": NETWORK, "type": "bandwidth" });
    config["prevResult"] = of_a_pair(USUAL, c);
    with_keys(config, members)
}

fn call<'lab>(lab: &'lab Lab, verb: &str, c: &Container, members: &Value) -> Call<'lab> {
    lab.plugin("bandwidth").verb(verb).container(c).config(&config(c, members))
}

/// What tc shows of the queues of a link, the kernel's own left out.
fn queues(place: &Namespace, link: &str) -> Vec<String> {
    let shown = place.run(&format!("tc qdisc show dev {link}"));
    shown.lines().filter(|line| !line.contains(" 0: ")).map(|line| line.trim().to_owned()).collect()
}

/// What tc shows of what arrives at a link.
fn filters(place: &Namespace, link: &str) -> String {
    place.run(&format!("tc filter show dev {link} ingress"))
}

/// The links that packets of containers wait on.
fn shapers(host: &Namespace) -> Vec<String> {
    host.link_names().into_iter().filter(|name| name.starts_with("bwp")).collect()
}

/// A list of a plugin that makes a pair, and `bandwidth` with `members`.
fn behind<'lab>(lab: &'lab Lab, first: &Value, members: &Value) -> Chain<'lab> {
    Chain::new(lab, &[first.clone(), with_keys(json!({ "type": "bandwidth" }), members)])
}

fn bridge() -> Value {
    json!({
        "type": "bridge", "bridge": "cni0", "isGateway": true,
        "ipam": { "type": "host-local", "ranges": [
            [{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }],
        ] },
    })
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let list = include_str!("../../../docs/examples/bandwidth.conflist");
        let page = include_str!("../../../docs/plugins/bandwidth.md");
        let chain = Chain::of_list(lab, &super::example::of_page(list, page));
        let c = lab.container("c1");
        let no_ports = json!([]);
        let of = Attach::new(&c, &no_ports);
        chain.add(of);
        assert_eq!(shapers(lab.host()).len(), 1);
        chain.check(of).unwrap();
        chain.del(of);
        assert_eq!(shapers(lab.host()), [""; 0]);
    });
}
