//! `portmap` behind `bridge`, as every runtime writes it.

mod check;
mod conditions;
mod conflicts;
mod del;
mod flows;
mod gc;
mod listeners;
mod neighbours;
mod parallel;
mod paths;
mod ranges;
mod reload;
mod versions;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::under_test::{unlike_reference, with_keys};
use crate::uplink::{INSIDE, attached, both, bridge, portmap};

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
    Chain::new(lab, &[bridge(Family::Dual, 1), with_keys(portmap(), keys)])
}

/// As [`both`], at one address.
fn at(host: &str, outside: u16, inside: u16) -> Value {
    let mut ports = both(outside, inside);
    if !host.is_empty() {
        ports[0]["hostIP"] = json!(host);
        ports[1]["hostIP"] = json!(host);
    }
    ports
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let list = include_str!("../../../docs/examples/portmap.conflist");
        let page = include_str!("../../../docs/plugins/portmap.md");
        let list = super::example::of_page(list, page);
        let chain = Chain::of_list(lab, &list);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let of = Attach::new(&c, &ports);
        crate::echo::assert_answers(lab.host(), ("127.0.0.1", OUTSIDE), "c1", "10.22.0.1");
        unlike_reference(lab, CHECK_FAILS, || assert!(chain.check(of).is_ok()));
        chain.del(of);
    });
}
