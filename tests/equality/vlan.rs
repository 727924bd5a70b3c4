//! `vlan`, where the kernel has a driver for it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{
    Difference, EMPTY_DNS, KEPT_ADDRESSES, LINK_ALIAS, MTU, NEIGHBOURS_TOLD, V4, V6, assert_equal,
    pool,
};
use crate::battery::USUAL;
use crate::under_test::{least_config, needs_driver, with_keys};

const IPV4_NEIGHBOURS_TOLD: Difference = (
    "ipv4/conf/eth0/arp_notify = ",
    "neighbours learn of a new owner of an address, as on macvlan",
);

fn equal(lab: &Lab, more: &Value, differences: &[Difference]) {
    needs_driver(lab, "vlan");
    let always = [MTU, EMPTY_DNS, LINK_ALIAS, NEIGHBOURS_TOLD, IPV4_NEIGHBOURS_TOLD];
    let config = with_keys(least_config("vlan", USUAL), more);
    assert_equal(lab, &config, &[&always, differences].concat());
}

#[test]
fn a_vlan_with_ipv4_addresses_is_equal() {
    lab_with_plugins(|lab| equal(lab, &json!({ "ipam": pool(&[V4]) }), &[]));
}

#[test]
fn a_vlan_with_addresses_of_both_families_and_an_mtu_is_equal() {
    lab_with_plugins(|lab| {
        let more = json!({ "ipam": pool(&[V4, V6]), "mtu": 1400, "vlanId": 4094 });
        equal(lab, &more, &[KEPT_ADDRESSES]);
    });
}

#[test]
fn a_vlan_without_an_id_is_equal() {
    lab_with_plugins(|lab| equal(lab, &json!({ "vlanId": null }), &[]));
}
