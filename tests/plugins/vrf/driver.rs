//! A kernel without the driver, as that of the machine that builds.

use netns_fixtures::{lab_with_plugins, skip};
use serde_json::json;

use super::{call, container};
use crate::under_test::{BOOKKEEPING, only_ours};

#[test]
fn a_kernel_without_vrfs_is_named_by_status_and_add_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        only_ours(lab, "knows no more than the kernel says");
        let c = container(lab, "c1");
        c.settle_link_local();
        let before = lab.snapshot();
        let status = call(lab, "STATUS", &c, &json!({ "cniVersion": "1.1.0" })).run();
        if status.status.success() {
            skip("this kernel has VRFs");
        }
        let module = "load the module `vrf`";
        status.refused(50).says(&["create vrf", module]);
        for table in [0, 7] {
            let add = call(lab, "ADD", &c, &json!({ "table": table })).run();
            add.refused(5).says(&["create vrf blue", "/run/netns/c1", module]);
            lab.assert_unchanged_but(&before, BOOKKEEPING);
        }
        call(lab, "DEL", &c, &json!({})).run().is_silent();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}
