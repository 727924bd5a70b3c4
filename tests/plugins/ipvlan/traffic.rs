//! What it is all for.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{attached, lan, with, with_pool};
use crate::battery::Family;
use crate::under_test::{needs_driver, only_ours};

every_family! {
    fn containers_on_one_ipvlan_master_reach_each_other_and_the_lan_at_layer_2(lab, family) {
        needs_driver(lab, "ipvlan");
        let lan = lan(lab);
        let config = with_pool(family);
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        a.assert_reaches(&b);
        b.assert_reaches(&a);
        lan.assert_reaches(&a);
    }

    /// Nobody asks for addresses there: routes lead to them, and the neighbour has to know the host.
    fn containers_on_one_ipvlan_master_reach_each_other_and_the_lan_at_layer_3(lab, family) {
        needs_driver(lab, "ipvlan");
        let lan = lan(lab);
        lab.host().run("ip addr add 10.1.0.1/24 dev lan0");
        lab.host().run("ip addr add fd00:1::1/64 dev lan0 nodad");
        for mode in ["l3", "l3s"] {
            let config = with(with_pool(family), "mode", json!(mode));
            let (a, b) =
                (attached(lab, &format!("a{mode}"), &config), attached(lab, &format!("b{mode}"), &config));
            a.assert_reaches(&b);
            for address in a.all_addresses() {
                lan.run(&format!("ip neigh replace {address} dev eth0 lladdr {}", mac(lab)));
            }
            lan.assert_reaches(&a);
            for c in [&a, &b] {
                lab.del("ipvlan", c, &config);
            }
        }
    }
}

fn mac(lab: &netns_fixtures::Lab) -> String {
    lab.host().link("lan0").unwrap()["address"].as_str().unwrap().to_owned()
}

#[test]
fn private_ipvlans_reach_the_lan_and_not_each_other() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know the kernel's flags [E]");
        needs_driver(lab, "ipvlan");
        let lan = lan(lab);
        let config = with(with_pool(Family::V4), "flag", json!("private"));
        let (a, b) = (attached(lab, "a", &config), attached(lab, "b", &config));
        for address in b.all_addresses() {
            a.assert_cannot_reach_at(&b, address);
        }
        lan.assert_reaches(&a);
        lan.assert_reaches(&b);
    });
}
