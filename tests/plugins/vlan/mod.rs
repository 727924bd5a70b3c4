//! `vlan`, key by key. What comes before the kernel's driver is tried on every kernel, the rest where
//! there is one; what all plugins do whose links stand on a master is in `tests/plugins/sublinks`.

mod check;
mod defects;
mod links;
mod refused;

use netns_fixtures::{Lab, Namespace};
use serde_json::Value;

use super::sublinks::{self, attached, info, lan, with};
use crate::battery::{Family, USUAL};
use crate::under_test::{furnish_host, least_config, needs_driver};

/// VLAN 7 of [`MASTER`](crate::under_test::MASTER) with a pool of IPv4 addresses.
fn usual() -> Value {
    least_config("vlan", USUAL)
}

/// With a pool for `family`.
fn with_pool(family: Family) -> Value {
    sublinks::with_pool(usual(), family)
}

/// With these addresses of `static`.
fn with_addresses(addresses: &[&str]) -> Value {
    sublinks::with_addresses(usual(), addresses)
}

/// A master on the host whose wire ends nowhere in particular.
fn master(lab: &Lab) -> &Namespace {
    furnish_host(lab.host(), "vlan");
    lab.host()
}

/// The same on a kernel that can make links on it.
fn driven_master(lab: &Lab) -> &Namespace {
    needs_driver(lab, "vlan");
    master(lab)
}
