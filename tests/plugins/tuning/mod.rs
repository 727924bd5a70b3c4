//! `tuning`: what it changes about an interface that another plugin made, and how it puts that back.

mod allowlist;
mod attributes;
mod backup;
mod gc;
mod reference;
mod result;
mod sysctls;
mod undo;

use netns_fixtures::{Call, Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{NETWORK, furnish, only_ours, result_before, with_keys};

/// Where both kinds of plugins put the backup file of `c1` and `eth0`.
const BACKUP: &str = "/run/cni/tuning/c1_eth0.json";

/// A container with an interface `eth0`.
fn container(lab: &Lab, name: &str) -> Container {
    let container = lab.container(name);
    furnish(&container, "tuning");
    container
}

/// A configuration of `version` with `members`, behind an earlier plugin.
fn config_of(version: &str, members: &Value) -> Value {
    let mut config = json!({ "cniVersion": version, "name": NETWORK, "type": "tuning" });
    config["prevResult"] = result_before(version, "/run/netns/c1");
    with_keys(config, members)
}

fn config(members: &Value) -> Value {
    config_of(USUAL, members)
}

fn call<'lab>(lab: &'lab Lab, verb: &str, c: &Container, members: &Value) -> Call<'lab> {
    lab.plugin("tuning").verb(verb).container(c).config(&config(members))
}

#[track_caller]
fn run(lab: &Lab, verb: &str, c: &Container, members: &Value) -> Outcome {
    call(lab, verb, c, members).run()
}

/// What `ip` says of the interface, as the keys of the plugin call it.
fn attributes(c: &Container) -> Value {
    let link = c.link("eth0").expect("the case made it");
    let has = |flag: &str| link["flags"].as_array().is_some_and(|all| all.contains(&json!(flag)));
    json!({
        "mac": link["address"], "mtu": link["mtu"], "txQLen": link["txqlen"],
        "promisc": has("PROMISC"), "allmulti": has("ALLMULTI"),
    })
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        only_ours(lab, "leaves IFNAME as it is in CHECK (1.1.1)");
        let list = include_str!("../../../docs/examples/tuning.conflist");
        let page = include_str!("../../../docs/plugins/tuning.md");
        let list = super::example::of_page(list, page);
        let c = lab.container("c1");
        let mut previous = Value::Null;
        let mut calls = Vec::new();
        for plugin in list["plugins"].as_array().unwrap() {
            let mut config = plugin.clone();
            for key in ["name", "cniVersion"] {
                config[key] = list[key].clone();
            }
            config["prevResult"] = previous;
            let call = lab.plugin(plugin["type"].as_str().unwrap()).container(&c).config(&config);
            previous = call.clone().verb("ADD").run().result();
            calls.push((call, config));
        }
        assert_eq!(c.link("eth0").unwrap()["mtu"], 1400);
        assert_eq!(c.sysctl("ipv4/conf/eth0/arp_filter").as_deref(), Some("1"));
        for (call, config) in &mut calls {
            config["prevResult"] = previous.clone();
            call.clone().verb("CHECK").config(config).run().is_silent();
        }
        for (call, config) in calls.iter().rev() {
            call.clone().verb("DEL").config(config).run().is_silent();
        }
        assert_eq!(c.sysctl("ipv4/ip_local_port_range").as_deref(), Some("32768\t60999"));
    });
}
