//! From ADD to DEL or GC: nothing is left, and nothing of others is touched.

use netns_fixtures::Lab;
use serde_json::json;

use super::{attached, lab_with_dummies, with_ipam, with_pool};
use crate::battery::Family;
use crate::turns::By::{Ours, Reference};
use crate::turns::{self, By};
use crate::under_test::{
    BOOKKEEPING, OF_THE_STORE, leases, must_have, needs_driver, only_ours, reference_must_have,
    unlike_reference,
};

every_family! {
    fn add_and_del_of_dummy_leave_what_was_there_before(lab, family) {
        must_have(lab, "dummy");
        needs_driver(lab, "dummy");
        let c = lab.container("c1");
        let config = with_pool(family);
        let before = lab.snapshot();
        for _ in 0..3 {
            lab.add("dummy", &c, &config);
            lab.del("dummy", &c, &config);
        }
        lab.plugin("dummy").container(&c).config(&config).verb("DEL").run().is_silent();
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
    }
}

#[test]
fn a_dummy_is_taken_back_when_an_address_cannot_be_added() {
    lab_with_dummies(|lab| {
        let c = lab.container("c1");
        // The same twice; `static` does not compare.
        let addresses = json!([{ "address": "10.1.0.5/24" }, { "address": "10.1.0.5/24" }]);
        let config = with_ipam(json!({ "type": "static", "addresses": addresses }));
        let before = lab.snapshot();
        lab.plugin("dummy").container(&c).config(&config).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}

#[test]
fn a_second_add_is_refused_and_the_first_dummy_stays() {
    lab_with_dummies(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let before = lab.snapshot();
        lab.plugin("dummy").container(&c).config(&config).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
    });
}

#[test]
fn del_of_dummy_without_a_namespace_removes_the_link_that_its_record_tells_of() {
    lab_with_dummies(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin("dummy").container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(leases(), [""; 0]);
        unlike_reference(lab, "leaves the interface when DEL names no namespace", || {
            assert!(c.link("eth0").is_none());
        });
    });
}

#[test]
fn gc_takes_dummies_that_are_not_listed_out_of_living_containers() {
    lab_with_dummies(|lab| {
        only_ours(lab, "cleans nothing in GC [E]");
        let mut config = with_pool(Family::V4);
        config["cniVersion"] = json!("1.1.0");
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "b", "ifname": "eth0" }]);
        lab.plugin("dummy").config(&config).verb("GC").run().is_silent();
        assert!(a.link("eth0").is_none());
        assert_eq!(b.addresses("eth0"), ["10.1.0.3/24"]);
        assert_eq!(leases(), ["10.1.0.3"]);
    });
}

/// Each pair of who adds and who comes after.
mod a_dummy_of_one_is_checked_and_deleted_by_the_other {
    use super::*;

    fn case(lab: &Lab, order: (By, By)) {
        reference_must_have("dummy");
        turns::checked_and_deleted(lab, with_pool(Family::Dual), order);
    }

    stamp!(lab_with_dummies, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}
