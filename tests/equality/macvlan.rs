//! `macvlan`.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{
    EMPTY_DNS, KEPT_ADDRESSES, LINK_ALIAS, MTU, NEIGHBOURS_TOLD, V4, V6, assert_equal, pool,
};
use crate::battery::USUAL;
use crate::under_test::{least_config, with_keys};

fn macvlan(more: &Value) -> Value {
    with_keys(least_config("macvlan", USUAL), more)
}

#[test]
fn a_macvlan_without_addresses_is_equal() {
    lab_with_plugins(|lab| {
        assert_equal(lab, &macvlan(&json!({})), &[MTU, EMPTY_DNS, LINK_ALIAS]);
    });
}

#[test]
fn a_macvlan_with_ipv4_addresses_is_equal() {
    lab_with_plugins(|lab| {
        let config = macvlan(&json!({ "ipam": pool(&[V4]) }));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD]);
    });
}

#[test]
fn a_macvlan_with_addresses_of_both_families_is_equal() {
    lab_with_plugins(|lab| {
        let config = macvlan(&json!({ "ipam": pool(&[V4, V6]) }));
        let differences = [MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

/// Each mode of the reference, with what is seen of it in the container.
mod every_mode_of_the_reference_is_equal {
    use super::*;

    fn case(lab: &netns_fixtures::Lab, mode: &str) {
        assert_equal(lab, &macvlan(&json!({ "mode": mode })), &[MTU, EMPTY_DNS, LINK_ALIAS]);
    }

    stamp!(lab_with_plugins, case,
        bridge: "bridge", private: "private", vepa: "vepa", passthru: "passthru");
}

#[test]
fn mac_and_mtu_are_equal() {
    lab_with_plugins(|lab| {
        let config = macvlan(&json!({ "mac": "02:00:00:00:00:07", "mtu": 1400 }));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, LINK_ALIAS]);
    });
}

#[test]
fn routes_of_ipam_are_equal_on_macvlan() {
    lab_with_plugins(|lab| {
        let config = macvlan(&json!({ "ipam": {
            "type": "static",
            "addresses": [
                { "address": "10.1.0.5/24", "gateway": "10.1.0.1" },
                { "address": "fd00:1::5/64", "gateway": "fd00:1::1" },
            ],
            "routes": [
                { "dst": "0.0.0.0/0" },
                { "dst": "10.8.0.0/16", "gw": "10.1.0.7" },
                { "dst": "::/0", "gw": "fd00:1::1" },
                { "dst": "fd00:8::/64" },
            ],
        }}));
        let differences = [MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn a_result_of_macvlan_in_0_4_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = macvlan(&json!({ "cniVersion": "0.4.0", "ipam": pool(&[V4, V6]) }));
        assert_equal(lab, &config, &[LINK_ALIAS, NEIGHBOURS_TOLD, KEPT_ADDRESSES]);
    });
}

#[test]
fn a_result_of_macvlan_in_0_2_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = macvlan(&json!({ "cniVersion": "0.2.0", "ipam": pool(&[V4, V6]) }));
        assert_equal(lab, &config, &[LINK_ALIAS, NEIGHBOURS_TOLD, KEPT_ADDRESSES]);
    });
}

#[test]
fn dns_of_the_config_is_equal_on_macvlan() {
    lab_with_plugins(|lab| {
        let dns = json!({ "nameservers": ["10.1.0.53"] });
        let config = macvlan(&json!({ "dns": dns, "ipam": pool(&[V4]) }));
        assert_equal(lab, &config, &[MTU, LINK_ALIAS, NEIGHBOURS_TOLD]);
    });
}
