//! `host-device`.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{
    Difference, EMPTY_DNS, KEPT_ADDRESSES, MTU, NEIGHBOURS_TOLD, V4, V6, assert_equal, pool,
};
use crate::battery::USUAL;
use crate::under_test::{least_config, with_keys};

const ANNOUNCED: Difference = (
    "ipv4/conf/eth0/arp_notify = ",
    "IPv4 neighbours are told of a new owner, as by the other plugins of the reference",
);
/// The whole line of the host after DEL, but for its end, which has the alias.
const ALIAS_LEFT: Difference = (
    "HOST link dev0 veth address=MAC mtu=1500 ",
    "the reference means to clear the alias at DEL, but asks for no change of it",
);

fn device(more: &Value) -> Value {
    with_keys(least_config("host-device", USUAL), more)
}

#[test]
fn a_device_without_addresses_is_equal() {
    lab_with_plugins(|lab| assert_equal(lab, &device(&json!({})), &[MTU, EMPTY_DNS, ALIAS_LEFT]));
}

#[test]
fn a_device_with_addresses_of_both_families_is_equal() {
    lab_with_plugins(|lab| {
        let config = device(&json!({ "ipam": pool(&[V4, V6]) }));
        assert_equal(
            lab,
            &config,
            &[MTU, EMPTY_DNS, NEIGHBOURS_TOLD, ANNOUNCED, KEPT_ADDRESSES, ALIAS_LEFT],
        );
    });
}

#[test]
fn a_result_of_host_device_in_0_2_0_is_equal() {
    lab_with_plugins(|lab| {
        let config = device(&json!({ "cniVersion": "0.2.0", "ipam": pool(&[V4]) }));
        assert_equal(lab, &config, &[NEIGHBOURS_TOLD, ANNOUNCED, ALIAS_LEFT]);
    });
}

#[test]
fn routes_and_dns_are_equal_on_a_device() {
    lab_with_plugins(|lab| {
        let config = device(&json!({
            "dns": { "nameservers": ["10.1.0.53"] },
            "ipam": {
                "type": "static",
                "addresses": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.8.0.0/16", "gw": "10.1.0.7" }],
            },
        }));
        assert_equal(lab, &config, &[MTU, NEIGHBOURS_TOLD, ANNOUNCED, ALIAS_LEFT]);
    });
}
