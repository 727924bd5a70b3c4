//! `ptp`.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{ALIAS, Difference, EMPTY_DNS, KEPT_ADDRESSES, MTU, V4, V6, assert_equal, pool};
use crate::battery::USUAL;
use crate::under_test::{least_config, with_keys};

const NO_DAD: Difference = (
    "/accept_dad = ",
    "nobody else is on the wire whose address could be the same, and looking for duplicates takes a \
     second or two",
);

fn ptp(more: &Value) -> Value {
    with_keys(least_config("ptp", USUAL), more)
}

#[test]
fn a_pair_with_ipv4_addresses_is_equal() {
    lab_with_plugins(|lab| {
        let config = ptp(&json!({ "ipam": pool(&[V4]) }));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, ALIAS, NO_DAD]);
    });
}

#[test]
fn a_pair_with_ipv6_addresses_is_equal() {
    lab_with_plugins(|lab| {
        let config = ptp(&json!({ "ipam": pool(&[V6]), "mtu": 1400 }));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, ALIAS, NO_DAD, KEPT_ADDRESSES]);
    });
}

#[test]
fn routes_of_ipam_are_equal_on_a_pair_of_both_families() {
    lab_with_plugins(|lab| {
        let config = ptp(&json!({
            "dns": { "nameservers": ["10.1.0.53"] },
            "ipam": {
                "type": "static",
                "addresses": [
                    { "address": "10.1.0.5/24", "gateway": "10.1.0.1" },
                    { "address": "fd00:1::5/64", "gateway": "fd00:1::1" },
                ],
                "routes": [
                    { "dst": "0.0.0.0/0" },
                    { "dst": "10.8.0.0/16", "gw": "10.1.0.1" },
                    { "dst": "::/0", "gw": "fd00:1::1" },
                    { "dst": "fd00:8::/64" },
                ],
            },
        }));
        assert_equal(lab, &config, &[MTU, ALIAS, NO_DAD, KEPT_ADDRESSES]);
    });
}

#[test]
fn two_subnets_on_a_pair_are_equal() {
    lab_with_plugins(|lab| {
        let config = ptp(&json!({ "ipam": pool(&[V4, "10.2.0.0/24"]) }));
        assert_equal(lab, &config, &[MTU, EMPTY_DNS, ALIAS, NO_DAD]);
    });
}

#[test]
fn a_result_of_ptp_in_0_4_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = ptp(&json!({ "cniVersion": "0.4.0", "ipam": pool(&[V4, V6]) }));
        assert_equal(lab, &config, &[ALIAS, NO_DAD, KEPT_ADDRESSES]);
    });
}

#[test]
fn a_result_of_ptp_in_0_2_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = ptp(&json!({ "cniVersion": "0.2.0", "ipam": pool(&[V4, V6]) }));
        assert_equal(lab, &config, &[ALIAS, NO_DAD, KEPT_ADDRESSES]);
    });
}
