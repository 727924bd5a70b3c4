//! Ours and the Go plugin in turn: what one gave, the other checks and takes back.

use netns_fixtures::{Feature, Lab};
use serde_json::json;

use super::{as_if_the_namespace_died, device, lab_with_device, layer2, with_pool};
use crate::turns::By::{Ours, Reference};
use crate::turns::{self, By};
use crate::under_test::{BOOKKEEPING, DEVICE, OF_THE_STORE, are_ours, only_ours};

/// Each pair of who adds and who comes after.
mod a_device_that_one_gave_is_checked_and_taken_back_by_the_other {
    use super::*;

    fn case(lab: &Lab, (maker, other): (By, By)) {
        let c = lab.container("c1");
        if other == Reference || !are_ours(lab) {
            // That of 1.1.1 leaves it so.
            lab.host().run(&format!("ip link set dev {DEVICE} alias {DEVICE}"));
        }
        let before = lab.snapshot();
        let config = turns::added(lab, maker, &c, with_pool());
        turns::call(lab, other, &c, "CHECK", &config).run().is_silent();
        turns::call(lab, other, &c, "DEL", &config).run().succeeded();
        device(lab);
        // The Go plugin cannot know of our records.
        let own = ["/run/cais/attachments/"];
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &own].concat());
    }

    stamp!(lab_with_device, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

#[test]
fn a_device_of_the_reference_that_was_renamed_comes_home_by_the_address_of_its_result() {
    lab_with_device(|lab| {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "fails [E]");
        let c = lab.container("c1");
        let config = turns::added(lab, Reference, &c, layer2());
        c.run("ip link set dev eth0 down");
        c.run("ip link set dev eth0 name lan7");
        turns::call(lab, Ours, &c, "DEL", &config).run().is_silent();
        assert!(device(lab)["ifalias"].is_null());
    });
}

#[test]
fn a_device_of_the_reference_that_the_kernel_brought_home_has_its_name_again() {
    lab_with_device(|lab| {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "fails [E]");
        let c = lab.container("c1");
        let mut config = turns::added(lab, Reference, &c, layer2());
        config["prevResult"] = json!(null);
        as_if_the_namespace_died(&c);
        c.remove();
        turns::call(lab, Ours, &c, "DEL", &config).run().is_silent();
        assert!(device(lab)["ifalias"].is_null());
    });
}
