//! The link itself: mode and flag.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{attached, driven_master, info, usual, with};
use crate::under_test::only_ours;

/// The three modes, as iproute2 calls them.
mod an_ipvlan_is_in_the_mode_asked_for {
    use super::*;

    fn case(lab: &Lab, mode: &str) {
        driven_master(lab);
        let c = attached(lab, "c1", &with(usual(), "mode", json!(mode)));
        assert_eq!(info(&c, "mode"), if mode.is_empty() { "l2" } else { mode });
        assert_eq!(info(&c, "bridge"), true);
    }

    stamp!(lab_with_plugins, case, l2: "l2", l3: "l3", l3s: "l3s", l2_by_default: "");
}

/// The three flags, each in every mode.
mod an_ipvlan_has_the_flag_asked_for {
    use super::*;

    fn case(lab: &Lab, flag: &str) {
        only_ours(lab, "does not know the kernel's flags [E]");
        driven_master(lab);
        for mode in ["l2", "l3", "l3s"] {
            let config = with(with(usual(), "mode", json!(mode)), "flag", json!(flag));
            let c = attached(lab, mode, &config);
            assert_eq!((info(&c, "mode"), info(&c, flag)), (json!(mode), json!(true)));
            lab.del("ipvlan", &c, &config);
        }
    }

    stamp!(lab_with_plugins, case, bridge: "bridge", private: "private", vepa: "vepa");
}

#[test]
fn a_link_that_is_no_master_of_ipvlan_is_refused_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let host = driven_master(lab);
        host.run("ip link add dev br0 type bridge");
        host.run("ip link set dev lan0 master br0");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("ipvlan").container(&c);
        let error = call.clone().config(&usual()).verb("ADD").run().error();
        call.config(&with(usual(), "master", json!("lo"))).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, crate::under_test::BOOKKEEPING);
        only_ours(lab, "says no more than the kernel");
        error.says(&["create ipvlan eth0 over lan0 in /run/netns/c1: ", "a bridge"]);
    });
}
