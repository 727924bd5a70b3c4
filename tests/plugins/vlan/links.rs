//! The link itself: id and tag; and who is reached by it.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{attached, driven_master, info, lan, usual, with, with_addresses};
use crate::under_test::{needs_driver, only_ours};

/// Ids at both ends.
mod a_vlan_has_the_id_asked_for {
    use super::*;

    fn case(lab: &Lab, id: u16) {
        driven_master(lab);
        let c = attached(lab, "c1", &with(usual(), "vlanId", json!(id)));
        assert_eq!((info(&c, "id"), info(&c, "protocol")), (json!(id), json!("802.1Q")));
    }

    stamp!(lab_with_plugins, case, least: 1, usual_one: 50, most: 4094, none: 0);
}

#[test]
fn a_vlan_has_the_tag_asked_for() {
    lab_with_plugins(|lab| {
        only_ours(lab, "knows no other tag than 802.1Q [E]");
        driven_master(lab);
        let c = attached(lab, "c1", &with(usual(), "protocol", json!("802.1ad")));
        assert_eq!((info(&c, "id"), info(&c, "protocol")), (json!(7), json!("802.1ad")));
    });
}

#[test]
fn a_container_on_a_vlan_reaches_those_on_it_and_nobody_else() {
    lab_with_plugins(|lab| {
        needs_driver(lab, "vlan");
        let lan = lan(lab);
        lan.run("ip addr flush dev eth0");
        lan.run("ip link add link eth0 name eth0.7 type vlan id 7");
        lan.run("ip link set dev eth0.7 up");
        lan.run("ip addr add 10.1.0.250/24 dev eth0.7");
        let on_it = attached(lab, "a", &with_addresses(&["10.1.0.5/24"]));
        let on_another = with(with_addresses(&["10.1.0.6/24"]), "vlanId", json!(8));
        let on_another = attached(lab, "b", &on_another);
        on_it.assert_reaches(&lan);
        on_another.assert_cannot_reach_at(&lan, "10.1.0.250".parse().unwrap());
    });
}
