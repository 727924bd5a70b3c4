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

use super::earlier;
use crate::battery::USUAL;
use crate::chain::{Attach, Chain};
use crate::under_test::{NETWORK, unlike_reference, with_keys};

/// A container with an interface that an earlier plugin made.
fn container(lab: &Lab, name: &str) -> Container {
    earlier::container(lab, "sbr", name)
}

/// A configuration with `members`, behind that plugin.
fn config(c: &Container, members: &Value) -> Value {
    let mut config = json!({ "cniVersion": USUAL, "name": NETWORK, "type": "sbr" });
    config["prevResult"] = earlier::result(c);
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

/// Routes of both families in a table.
fn routes(c: &Container, table: &str) -> Vec<String> {
    earlier::routes(c, &format!("table {table}"))
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
