//! Ours and the Go plugin in turn: what one made, the other checks and removes.

use netns_fixtures::{Lab, lab_with_plugins};

use super::with_pool;
use crate::battery::Family;
use crate::turns::By::{Ours, Reference};
use crate::turns::{self, By};

/// Each pair of who adds and who comes after.
mod a_pair_of_one_is_checked_and_deleted_by_the_other {
    use super::*;

    fn case(lab: &Lab, order: (By, By)) {
        // Forwarding stays, whoever turned it on.
        lab.host().set_sysctl("ipv4/ip_forward", "1");
        lab.host().set_sysctl("ipv6/conf/all/forwarding", "1");
        turns::checked_and_deleted(lab, with_pool(Family::Dual), order);
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

#[test]
fn our_gc_frees_what_the_reference_took_for_a_pair_and_its_valid_one_stays() {
    lab_with_plugins(|lab| {
        turns::collected(lab, &with_pool(Family::Dual));
    });
}
