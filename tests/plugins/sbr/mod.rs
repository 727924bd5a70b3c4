//! `sbr`: where what is sent from an interface's addresses leaves.

mod check;
mod defects;
mod del;
mod gc;
mod reference;
mod tables;
mod traffic;
mod undo;

use netns_fixtures::{Call, Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::chain::{Attach, Chain};
use crate::under_test::{NETWORK, furnish, unlike_reference, with_keys};

/// A container whose `eth0` has an address of each family, default routes, and a route of IPAM.
fn container(lab: &Lab, name: &str) -> Container {
    let container = lab.container(name);
    furnish(&container, "sbr");
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
    })
}

/// A configuration with `members`, behind that plugin.
fn config(c: &Container, members: &Value) -> Value {
    let mut config = json!({ "cniVersion": USUAL, "name": NETWORK, "type": "sbr" });
    config["prevResult"] = result(c);
    with_keys(config, members)
}

fn call<'lab>(lab: &'lab Lab, verb: &str, c: &Container, members: &Value) -> Call<'lab> {
    lab.plugin("sbr").verb(verb).container(c).config(&config(c, members))
}

/// Rules of both families as `ip` shows them, the kernel's own left out.
fn rules(c: &Container) -> Vec<String> {
    let shown = c.run("ip -4 rule show") + &c.run("ip -6 rule show");
    let lines = shown.lines().filter(|line| !line.contains("from all"));
    let words = |line: &str| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    lines.map(words).collect()
}

/// Routes of both families in a table, link-local ones left out, in an order of their own.
fn routes(c: &Container, table: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        // `ip` fails for a table that never had a route.
        let shown = c.try_run(&format!("ip {family} route show table {table}"));
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        lines.extend(shown.lines().map(|line| line.trim().to_owned()));
    }
    lines.retain(|line| !line.starts_with("fe80::") && !line.starts_with("multicast"));
    lines.sort();
    lines
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let list = include_str!("../../../docs/examples/sbr.conflist");
        let page = include_str!("../../../docs/plugins/sbr.md");
        let chain = Chain::of_list(lab, &super::example::of_page(list, page));
        let c = lab.container("c1");
        let no_ports = json!([]);
        let of = Attach::new(&c, &no_ports);
        chain.add(of);
        assert_eq!(rules(&c), ["from 10.22.0.2 lookup 100"]);
        // The reference's `ptp` looks for its routes in the main table alone.
        unlike_reference(lab, "fails in CHECK of ptp", || chain.check(of).unwrap());
        chain.del(of);
    });
}
