//! `vrf`: which table an interface looks up its routes in.

mod check;
mod defects;
mod driver;
mod gc;
mod members;
mod reference;
mod traffic;
mod without;

use netns_fixtures::{Call, Container, Lab};
use serde_json::{Value, json};

use super::earlier;
use crate::battery::USUAL;
use crate::chain::{Attach, Chain};
use crate::under_test::{NETWORK, needs_driver, with_keys};

/// What the kernel keeps when a namespace has had a VRF.
const OF_THE_KERNEL: &str = "\"l3mdev\":";

/// A case in a lab where VRFs can be made.
fn lab_with_vrfs(case: impl FnOnce(&Lab)) {
    netns_fixtures::lab_with_plugins(|lab| {
        needs_driver(lab, "vrf");
        case(lab);
    });
}

/// A container with an interface that an earlier plugin made.
fn container(lab: &Lab, name: &str) -> Container {
    earlier::container(lab, "vrf", name)
}

/// A configuration for VRF `blue` with `members`, behind that plugin.
fn config(c: &Container, members: &Value) -> Value {
    let mut config =
        json!({ "cniVersion": USUAL, "name": NETWORK, "type": "vrf", "vrfname": "blue" });
    config["prevResult"] = earlier::result(c);
    config["prevResult"]["routes"] = json!([{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }]);
    with_keys(config, members)
}

fn call<'lab>(lab: &'lab Lab, verb: &str, c: &Container, members: &Value) -> Call<'lab> {
    lab.plugin("vrf").verb(verb).container(c).config(&config(c, members))
}

/// Routes of both families in a table that their prefixes do not bring.
fn routes(c: &Container, table: &str) -> Vec<String> {
    earlier::routes(c, &format!("table {table} proto boot"))
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
