//! `bridge`.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{
    ALIAS, Difference, EMPTY_DNS, KEPT_ADDRESSES, MTU, NEIGHBOURS_TOLD, V4, V6, assert_equal, pool,
};
use crate::battery::USUAL;
use crate::under_test::{least_config, with_keys};

const BRIDGE_MAC: Difference = (
    "the bridge has the MAC of a port, or none",
    "fixed when it is made, so that neighbours do not lose the host when ports come and go; the \
     reference fixes it only where it has the gateway's address",
);
const BRIDGE_DAD: Difference = (
    "ipv6/conf/cni0/accept_dad = ",
    "a bridge that we make can have no duplicate; while one is looked for, the host cannot ask for \
     its IPv6 neighbours",
);

fn bridge(more: &Value) -> Value {
    with_keys(least_config("bridge", USUAL), more)
}

#[test]
fn a_bridge_without_addresses_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({}));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, ALIAS, BRIDGE_MAC, BRIDGE_DAD]);
    });
}

#[test]
fn a_bridge_with_ipv4_addresses_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({ "ipam": pool(&[V4]) }));
        let differences = [MTU, EMPTY_DNS, ALIAS, BRIDGE_MAC, BRIDGE_DAD, NEIGHBOURS_TOLD];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn a_default_gateway_of_both_families_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({ "isDefaultGateway": true, "ipam": pool(&[V4, V6]) }));
        let differences = [MTU, EMPTY_DNS, ALIAS, BRIDGE_DAD, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn a_gateway_with_all_switches_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({
            "isGateway": true, "hairpinMode": true, "mtu": 1400, "forceAddress": true,
            "ipam": pool(&[V6]),
        }));
        let differences = [MTU, EMPTY_DNS, ALIAS, BRIDGE_DAD, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn a_promiscuous_bridge_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({ "promiscMode": true }));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, ALIAS, BRIDGE_MAC, BRIDGE_DAD]);
    });
}

#[test]
fn routes_of_ipam_are_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({
            "isGateway": true,
            "ipam": {
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
            },
        }));
        let differences = [MTU, EMPTY_DNS, ALIAS, BRIDGE_DAD, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn a_result_of_0_4_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({
            "cniVersion": "0.4.0", "isDefaultGateway": true, "ipam": pool(&[V4, V6]),
        }));
        let differences = [ALIAS, BRIDGE_DAD, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn a_result_of_0_2_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = bridge(&json!({
            "cniVersion": "0.2.0", "isDefaultGateway": true, "ipam": pool(&[V4, V6]),
        }));
        let differences = [ALIAS, BRIDGE_DAD, NEIGHBOURS_TOLD, KEPT_ADDRESSES];
        assert_equal(lab, &config, &differences);
    });
}

#[test]
fn dns_of_the_config_is_equal() {
    lab_with_plugins(|lab| {
        let dns = json!({ "nameservers": ["10.1.0.53"] });
        let config = bridge(&json!({ "dns": dns }));
        assert_equal(lab, &config, &[MTU, ALIAS, BRIDGE_MAC, BRIDGE_DAD]);
    });
}
