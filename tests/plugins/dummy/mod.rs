//! `dummy`, key by key.

mod check;
mod defects;
mod driver;
mod life;
mod links;

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use crate::battery::{Family, USUAL};
use crate::under_test::{least_config, must_have, needs_driver};

/// A case in a lab where dummies can be made, and the plugins under test have one to make them.
fn lab_with_dummies(case: impl FnOnce(&Lab)) {
    netns_fixtures::lab_with_plugins(|lab| {
        must_have(lab, "dummy");
        needs_driver(lab, "dummy");
        case(lab);
    });
}

/// With a pool for `family`.
fn with_pool(family: Family) -> Value {
    let ranges: Vec<Value> =
        family.subnets().iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    with_ipam(json!({ "type": "host-local", "ranges": ranges }))
}

fn with_ipam(ipam: Value) -> Value {
    let mut config = least_config("dummy", USUAL);
    config["ipam"] = ipam;
    config
}

fn attached(lab: &Lab, name: &str, config: &Value) -> Container {
    let container = lab.container(name);
    lab.add("dummy", &container, config);
    container
}
