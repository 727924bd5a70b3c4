//! Ours and the Go plugin in turn: what one made, the other checks and removes.

use netns_fixtures::Lab;

use super::{lab_with_taps, with_pool};
use crate::battery::Family;
use crate::turns::By::{Ours, Reference};
use crate::turns::{self, By};
use crate::under_test::reference_must_have;

/// Each pair of who adds and who comes after.
mod a_tap_of_one_is_checked_and_deleted_by_the_other {
    use super::*;

    fn case(lab: &Lab, order: (By, By)) {
        reference_must_have("tap");
        turns::checked_and_deleted(lab, with_pool(Family::Dual), order);
    }

    stamp!(lab_with_taps, case,
        ours_by_the_reference: (Ours, Reference), the_references_by_ours: (Reference, Ours));
}

#[test]
fn our_gc_frees_what_the_reference_took_for_a_tap_and_its_valid_one_stays() {
    lab_with_taps(|lab| {
        reference_must_have("tap");
        turns::collected(lab, &with_pool(Family::Dual));
    });
}
