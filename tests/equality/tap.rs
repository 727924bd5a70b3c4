//! `tap`. The Go plugins of Debian have none: these cases need others in `CAIS_REFERENCE_BIN`.

use netns_fixtures::{Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{
    Difference, EMPTY_DNS, KEPT_ADDRESSES, MTU, NEIGHBOURS_TOLD, V4, V6, assert_equal, pool,
};
use crate::battery::USUAL;
use crate::under_test::{least_config, reference_must_have, with_keys};

const ALIAS: Difference =
    ("the container's link has an alias", "it carries its key, so that GC knows whose it is");

fn equal(lab: &Lab, more: &Value, differences: &[Difference]) {
    reference_must_have("tap");
    lab.needs(Feature::Tun);
    let config = with_keys(least_config("tap", USUAL), more);
    assert_equal(lab, &config, &[&[MTU, EMPTY_DNS, ALIAS], differences].concat());
}

#[test]
fn a_tap_without_addresses_is_equal() {
    lab_with_plugins(|lab| equal(lab, &json!({}), &[]));
}

#[test]
fn a_tap_with_an_owner_and_several_queues_is_equal() {
    let keys = json!({ "owner": 0, "multiQueue": true, "mac": "02:00:00:00:00:07", "mtu": 1400 });
    lab_with_plugins(|lab| equal(lab, &keys, &[]));
}

#[test]
fn a_tap_with_addresses_of_both_families_is_equal() {
    let keys = json!({ "ipam": pool(&[V4, V6]) });
    lab_with_plugins(|lab| equal(lab, &keys, &[NEIGHBOURS_TOLD, KEPT_ADDRESSES]));
}
