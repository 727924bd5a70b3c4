//! `portmap` behind `bridge`, as every runtime writes it.

mod check;
mod conditions;
mod conflicts;
mod del;
mod gc;
mod neighbours;
mod parallel;
mod paths;
mod ranges;
mod reload;
mod versions;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::serve;
use crate::under_test::unlike_reference;
use crate::uplink::{bridge, portmap};

/// The port at which containers serve.
const INSIDE: u16 = 80;
/// The port at which they are published.
const OUTSIDE: u16 = 8080;

/// Why the reference's CHECK finds differences that are none.
const CHECK_FAILS: &str = "compares its rules with what iptables(8) makes of them [E]";

/// State that is kept for the next call, and no attachment's: cursors of the pool, locks.
const OF_THE_POOL: &[&str] = &["/var/lib/cni/", "/run/cais/deleter"];

/// `bridge` and `portmap` on `cni0` (network 1).
fn web(lab: &Lab, family: Family) -> Chain<'_> {
    Chain::new(lab, &[bridge(family, 1), portmap()])
}

/// The same on another bridge and subnet, under another name.
fn other(lab: &Lab, family: Family) -> Chain<'_> {
    Chain::new(lab, &[bridge(family, 2), portmap()]).network("other")
}

/// As [`web`], with other keys of `portmap`.
fn web_with<'lab>(lab: &'lab Lab, keys: &Value) -> Chain<'lab> {
    let mut portmap = portmap();
    for (key, value) in keys.as_object().into_iter().flatten() {
        portmap[key] = value.clone();
    }
    Chain::new(lab, &[bridge(Family::Dual, 1), portmap])
}

/// Publishes the container's port for both protocols, at all addresses of the host.
fn both(outside: u16, inside: u16) -> Value {
    at("", outside, inside)
}

/// As [`both`], at one address.
fn at(host: &str, outside: u16, inside: u16) -> Value {
    let of = |protocol: &str| {
        let mut mapping =
            json!({ "hostPort": outside, "containerPort": inside, "protocol": protocol });
        if !host.is_empty() {
            mapping["hostIP"] = json!(host);
        }
        mapping
    };
    json!([of("tcp"), of("udp")])
}

/// A container that publishes `ports`, and serves under its name at port 80.
fn published(lab: &Lab, chain: &Chain<'_>, name: &str, ports: &Value) -> Container {
    let container = lab.container(name);
    chain.add(Attach::new(&container, ports));
    container.settle();
    lab.host().settle();
    serve(&container, name, INSIDE);
    container
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let list = include_str!("../../../docs/examples/portmap.conflist");
        let page = include_str!("../../../docs/plugins/portmap.md");
        assert!(page.contains(list.trim()), "the page has another example than\n{list}");
        let list: Value = serde_json::from_str(list).unwrap();
        let plugins = list["plugins"].as_array().unwrap();
        let chain = Chain::new(lab, plugins).network(list["name"].as_str().unwrap());
        let ports = both(OUTSIDE, INSIDE);
        let c = published(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        crate::echo::assert_answers(lab.host(), ("127.0.0.1", OUTSIDE), "c1", "10.22.0.1");
        unlike_reference(lab, CHECK_FAILS, || assert!(chain.check(of).is_ok()));
        chain.del(of);
    });
}
