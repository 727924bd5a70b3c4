//! Ours and the Go plugin in turn: what one made, the other checks and removes.

use super::pool;
use crate::battery::Family;
use crate::turns;
use crate::turns::By::{Ours, Reference};

every_sublink! {
    fn what_ours_made_is_checked_and_deleted_by_the_reference(lab, plugin) {
        turns::checked_and_deleted(lab, pool(plugin, Family::Dual), (Ours, Reference));
    }

    fn what_the_reference_made_is_checked_and_deleted_by_ours(lab, plugin) {
        turns::checked_and_deleted(lab, pool(plugin, Family::Dual), (Reference, Ours));
    }

    fn our_gc_frees_what_the_reference_took_and_its_valid_link_stays(lab, plugin) {
        if plugin == "vlan" {
            netns_fixtures::skip("two containers of one configuration cannot have one VLAN");
        }
        turns::collected(lab, &pool(plugin, Family::Dual));
    }
}
