//! `ipvlan`, where the kernel has a driver for it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{
    Difference, EMPTY_DNS, KEPT_ADDRESSES, LINK_ALIAS, MTU, NEIGHBOURS_TOLD, V4, V6, assert_equal,
    pool,
};
use crate::battery::USUAL;
use crate::under_test::{least_config, needs_driver, with_keys};

fn equal(lab: &Lab, more: &Value, differences: &[Difference]) {
    needs_driver(lab, "ipvlan");
    assert_equal(lab, &with_keys(least_config("ipvlan", USUAL), more), differences);
}

/// Each mode of the reference, with what is seen of it in the container.
mod every_mode_of_ipvlan_is_equal {
    use super::*;

    fn case(lab: &Lab, mode: &str) {
        let more = json!({ "mode": mode });
        equal(lab, &more, &[MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD]);
    }

    stamp!(lab_with_plugins, case, l2: "l2", l3: "l3", l3s: "l3s");
}

#[test]
fn an_ipvlan_with_addresses_of_both_families_is_equal() {
    lab_with_plugins(|lab| {
        let more = json!({ "ipam": pool(&[V4, V6]), "mtu": 1400 });
        let differences = [MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        equal(lab, &more, &differences);
    });
}

#[test]
fn a_chained_ipvlan_is_equal() {
    lab_with_plugins(|lab| {
        let more = json!({ "master": null, "ipam": null, "prevResult": {
            "cniVersion": USUAL,
            "interfaces": [{ "name": crate::under_test::MASTER }],
            "ips": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }],
            "routes": [{ "dst": "0.0.0.0/0" }],
        }});
        equal(lab, &more, &[MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD]);
    });
}
