//! `macvlan`, key by key.

mod check;
mod defects;
mod links;
mod made;
mod master;
mod traffic;
mod undo;

use netns_fixtures::{Lab, Namespace};
use serde_json::Value;

use super::sublinks::{self, attached, info, lan, link, with};
use crate::battery::{Family, USUAL};
use crate::under_test::{furnish_host, least_config};

/// A link without addresses on [`MASTER`](crate::under_test::MASTER).
fn layer2() -> Value {
    least_config("macvlan", USUAL)
}

/// With a pool for `family`.
fn with_pool(family: Family) -> Value {
    sublinks::with_pool(layer2(), family)
}

/// With these addresses of `static`.
fn with_addresses(addresses: &[&str]) -> Value {
    sublinks::with_addresses(layer2(), addresses)
}

/// A master on the host whose wire ends nowhere in particular.
fn master(lab: &Lab) -> &Namespace {
    furnish_host(lab.host(), "macvlan");
    lab.host()
}
