//! `dummy`. The Go plugins of Debian have none: these cases need others in `CAIS_REFERENCE_BIN`.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{Difference, EMPTY_DNS, KEPT_ADDRESSES, MTU, V4, V6, assert_equal, pool};
use crate::battery::USUAL;
use crate::under_test::{least_config, needs_driver, reference_must_have, with_keys};

const ALIAS: Difference =
    ("the container's link has an alias", "it carries its key, so that GC knows whose it is");

fn equal(lab: &Lab, subnets: &[&str], differences: &[Difference]) {
    reference_must_have("dummy");
    needs_driver(lab, "dummy");
    let config = with_keys(least_config("dummy", USUAL), &json!({ "ipam": pool(subnets) }));
    assert_equal(lab, &config, &[&[MTU, EMPTY_DNS, ALIAS], differences].concat());
}

#[test]
fn a_dummy_with_an_ipv4_address_is_equal() {
    lab_with_plugins(|lab| equal(lab, &[V4], &[]));
}

#[test]
fn a_dummy_with_addresses_of_both_families_is_equal() {
    lab_with_plugins(|lab| equal(lab, &[V4, V6], &[KEPT_ADDRESSES]));
}
