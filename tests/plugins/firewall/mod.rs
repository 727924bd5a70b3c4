//! `firewall` behind `bridge` and `portmap`, as runtimes write it.

mod admin;
mod check;
mod firewalld;
mod gc;
mod ingress;
mod nodes;
mod passing;
mod reference;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::serve;
use crate::under_test::only_ours;
use crate::uplink::{bridge, portmap};

/// The port at which containers serve.
const INSIDE: u16 = 80;
/// The port at which they are published.
const OUTSIDE: u16 = 8080;

/// The programs that show and change rules of both families.
const PROGRAMS: [&str; 2] = ["iptables", "ip6tables"];

/// `firewall` with more keys.
fn firewall(keys: &Value) -> Value {
    let mut config = json!({ "type": "firewall" });
    for (key, value) in keys.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    config
}

/// `bridge` on `cni<number>`, `portmap` and `firewall`.
fn walled<'lab>(lab: &'lab Lab, number: u8, keys: &Value) -> Chain<'lab> {
    let mut bridge = bridge(Family::Dual, number);
    bridge["hairpinMode"] = json!(true);
    Chain::new(lab, &[bridge, portmap(), firewall(keys)])
}

/// Publishes the container's port for both protocols.
fn both(outside: u16) -> Value {
    let of = |protocol: &str| json!({ "hostPort": outside, "containerPort": INSIDE, "protocol": protocol });
    json!([of("tcp"), of("udp")])
}

/// A container that publishes `ports`, and serves under its name.
#[track_caller]
fn attached(lab: &Lab, chain: &Chain<'_>, name: &str, ports: &Value) -> Container {
    let container = lab.container(name);
    chain.add(Attach::new(&container, ports));
    container.settle();
    lab.host().settle();
    serve(&container, name, INSIDE);
    container
}

/// Sets the policy of `FORWARD` to drop, as Docker, ufw and administrators do.
fn drop_what_is_forwarded(lab: &Lab) {
    for program in PROGRAMS {
        lab.host().run(&format!("{program} -P FORWARD DROP"));
    }
}

/// Has `cais reload` write again what is missing.
fn reload(lab: &Lab) {
    lab.host().run(&format!("{} reload", lab.plugins().join("cais").display()));
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
        assert!(page.contains(list.trim()), "the page has another example than\n{list}");
        let list: Value = serde_json::from_str(list).unwrap();
        let plugins = list["plugins"].as_array().unwrap();
        let chain = Chain::new(lab, plugins).network(list["name"].as_str().unwrap());
        let none = json!([]);
        let c = attached(lab, &chain, "c1", &none);
        let of = Attach::new(&c, &none);
        only_ours(lab, "looks for chains of both families in its CHECK [E]");
        assert!(chain.check(of).is_ok());
        chain.del(of);
    });
}
