//! `firewall` behind `bridge` and `portmap`, as runtimes write it.

mod admin;
mod check;
mod firewalld;
mod gc;
mod ingress;
mod nodes;
mod passing;
mod reference;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::under_test::{only_ours, with_keys};
use crate::uplink::{INSIDE, attached, both, bridge, portmap};

/// The port at which they are published.
const OUTSIDE: u16 = 8080;

/// The programs that show and change rules of both families.
const PROGRAMS: [&str; 2] = ["iptables", "ip6tables"];

/// `firewall` with more keys.
fn firewall(keys: &Value) -> Value {
    with_keys(json!({ "type": "firewall" }), keys)
}

/// `bridge` on `cni<number>`, `portmap` and `firewall`.
fn walled<'lab>(lab: &'lab Lab, number: u8, keys: &Value) -> Chain<'lab> {
    let mut bridge = bridge(Family::Dual, number);
    bridge["hairpinMode"] = json!(true);
    Chain::new(lab, &[bridge, portmap(), firewall(keys)])
}

/// Sets the policy of `FORWARD` to drop, as Docker, ufw and administrators do.
fn drop_what_is_forwarded(lab: &Lab) {
    for program in PROGRAMS {
        lab.host().run(&format!("{program} -P FORWARD DROP"));
    }
}

/// Rules of the table `filter` of one family, as iptables lists them.
fn rules(lab: &Lab, program: &str) -> Vec<String> {
    lab.host().run(&format!("{program} -S")).lines().map(str::to_owned).collect()
}

/// Whether a chain is there in both families, or in neither.
#[track_caller]
fn has_chain(lab: &Lab, chain: &str) -> bool {
    let [v4, v6] = PROGRAMS.map(|program| rules(lab, program).contains(&format!("-N {chain}")));
    assert_eq!(v4, v6, "{chain} of IPv4, and of IPv6");
    v4
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let list = include_str!("../../../docs/examples/firewall.conflist");
        let page = include_str!("../../../docs/plugins/firewall.md");
        let list = super::example::of_page(list, page);
        let chain = Chain::of_list(lab, &list);
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        only_ours(lab, "looks for chains of both families in its CHECK [E]");
        assert!(chain.check(of).is_ok());
        chain.del(of);
    });
}
