//! `vrf`: which table an interface looks up its routes in.

mod check;
mod defects;
mod driver;
mod gc;
mod members;
mod without;

use netns_fixtures::{Call, Container, Lab};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::chain::{Attach, Chain};
use crate::under_test::{NETWORK, furnish, needs_driver, with_keys};

/// What the kernel keeps when a namespace has had a VRF.
const OF_THE_KERNEL: &str = "l3mdev-table";

/// A case in a lab where VRFs can be made.
fn lab_with_vrfs(case: impl FnOnce(&Lab)) {
    netns_fixtures::lab_with_plugins(|lab| {
        needs_driver(lab, "vrf");
        case(lab);
    });
}

/// A container whose `eth0` has an address of each family, default routes, and a route of IPAM.
fn container(lab: &Lab, name: &str) -> Container {
    let container = lab.container(name);
    furnish(&container, "vrf");
    for command in [
        "ip link set dev lo up",
        "ip link set dev peer0 up",
        "ip link set dev eth0 up",
        "ip addr add 10.1.0.2/24 dev eth0",
        "ip addr add fd00:1::2/64 dev eth0 nodad",
        "ip route add default via 10.1.0.1",
        "ip route add default via fd00:1::1",
        "ip route add 10.8.0.0/16 via 10.1.0.5",
    ] {
        container.run(command);
    }
    container
}

/// What the plugin that made `eth0` may have answered.
fn result(c: &Container) -> Value {
    let sandbox = c.path().display().to_string();
    json!({
        "cniVersion": USUAL,
        "interfaces": [{ "name": "eth0", "mac": "02:00:00:00:00:aa", "sandbox": sandbox }],
        "ips": [
            { "address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0 },
            { "address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 0 },
        ],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
    })
}

/// A configuration for VRF `blue` with `members`, behind that plugin.
fn config(c: &Container, members: &Value) -> Value {
    let mut config =
        json!({ "cniVersion": USUAL, "name": NETWORK, "type": "vrf", "vrfname": "blue" });
    config["prevResult"] = result(c);
    with_keys(config, members)
}

fn call<'lab>(lab: &'lab Lab, verb: &str, c: &Container, members: &Value) -> Call<'lab> {
    lab.plugin("vrf").verb(verb).container(c).config(&config(c, members))
}

/// Routes of both families in a table that their prefixes do not bring, link-local ones left out, in
/// an order of their own.
fn routes(c: &Container, table: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        // `ip` fails for a table that never had a route.
        let shown = c.try_run(&format!("ip {family} route show table {table} proto boot"));
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        lines.extend(shown.lines().map(|line| line.trim().to_owned()));
    }
    lines.sort();
    lines
}

/// The table of VRF `name`, if it is there.
fn table(c: &Container, name: &str) -> Option<u64> {
    c.link(name)?["linkinfo"]["info_data"]["table"].as_u64()
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_vrfs(|lab| {
        let list = include_str!("../../../docs/examples/vrf.conflist");
        let page = include_str!("../../../docs/plugins/vrf.md");
        let chain = Chain::of_list(lab, &super::example::of_page(list, page));
        let c = lab.container("c1");
        let no_ports = json!([]);
        let of = Attach::new(&c, &no_ports);
        chain.add(of);
        assert_eq!(c.link("eth0").unwrap()["master"], "blue");
        assert_eq!(table(&c, "blue"), Some(1));
        if crate::under_test::are_ours(lab) {
            chain.check(of).unwrap();
        }
        chain.del(of);
        assert_eq!(table(&c, "blue"), None);
    });
}
