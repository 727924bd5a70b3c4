//! A kernel without the driver, as that of the machine that builds.

use netns_fixtures::{lab_with_plugins, skip};
use serde_json::json;

use super::with_pool;
use crate::battery::Family;
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, leases, only_ours};

#[test]
fn a_kernel_without_dummies_is_named_by_status_and_add_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        only_ours(lab, "knows no more than the kernel says");
        let mut config = with_pool(Family::Dual);
        config["cniVersion"] = json!("1.1.0");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin("dummy").config(&config);
        let status = call.clone().verb("STATUS").run();
        if status.status.success() {
            skip("this kernel has dummies");
        }
        let module = "load the module `dummy`";
        status.refused(50).says(&["create dummy", module]);
        let call = call.container(&c);
        let text = "create dummy eth0 in /run/netns/c1";
        call.clone().verb("ADD").run().refused(5).says(&[text, module]);
        lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
        assert_eq!(leases(), [""; 0]);
        call.verb("DEL").run().is_silent();
    });
}
