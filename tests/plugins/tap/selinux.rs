//! `selinuxContext`. No machine of ours has SELinux: docs/untested.md.

use serde_json::json;

use super::{lab_with_taps, layer2, with};
use crate::under_test::{BOOKKEEPING, are_ours};

#[test]
fn a_context_on_a_host_without_selinux_is_refused_by_name_and_nothing_is_made() {
    lab_with_taps(|lab| {
        if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
            netns_fixtures::skip("this host has SELinux");
        }
        let c = lab.container("c1");
        let context = "system_u:system_r:container_t:s0";
        let config = with(layer2(), "selinuxContext", json!(context));
        let before = lab.snapshot();
        let error = lab.plugin("tap").container(&c).config(&config).verb("ADD").run().error();
        if are_ours(lab) {
            error.says(&[
                "key \"selinuxContext\": create tap eth0 in /run/netns/c1",
                &format!("write {context} to /proc/thread-self/attr/current"),
                "SELinux has to be on",
            ]);
        }
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    });
}
