//! What ADD refuses before it asks the kernel, and what it says of a kernel without the driver.

use netns_fixtures::{Lab, skip};
use serde_json::json;

use super::{pool, with};
use crate::battery::Family;
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, MASTER, leases, only_ours};

/// What these cases need of the kernel.
fn nothing(_: &Lab, _: &str) {}

/// That the kernel lacks what another one has.
fn no_driver(lab: &Lab, plugin: &str) {
    let kind = match plugin {
        "vlan" => "vlan id 5",
        other => other,
    };
    let tried = lab.scratch(|scratch| {
        scratch.run("ip link add dev base type veth peer name other");
        scratch.try_run(&format!("ip link add dev probe link base type {kind}"))
    });
    if tried.status.success() {
        skip(&format!("this kernel has a {plugin} driver"));
    }
}

every_sublink! {
    with no_driver;

    fn a_kernel_without_the_driver_is_told_by_its_module_and_nothing_is_left(lab, plugin) {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = lab.plugin(plugin).container(&c).config(&pool(plugin, Family::V4));
        let error = call.verb("ADD").run().error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        assert_eq!(leases(), [""; 0]);
        only_ours(lab, "says no more than the kernel");
        assert_eq!(error.code, 5);
        let module = if plugin == "vlan" { "8021q" } else { plugin };
        error.says(&[
            &format!("create {plugin} eth0 over {MASTER} in /run/netns/c1"),
            "EOPNOTSUPP",
            &format!("load the module `{module}`"),
        ]);
    }

    /// What was never asked for an address has none to give back.
    fn ipam_is_not_asked_before_the_kernel_has_made_the_link(lab, plugin) {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": "1.0.0" }));
        let config = with(pool(plugin, Family::V4), "ipam", json!({ "type": "fake" }));
        let call = lab.plugin(plugin).container(&c).config(&config).verb("ADD");
        call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
        assert_eq!(ipam.verbs(), [""; 0]);
    }
}

every_sublink! {
    with nothing;

    fn a_master_that_is_missing_is_named_by_add_and_status(lab, plugin) {
        let c = lab.container("c1");
        lab.host().run(&format!("ip link set dev {MASTER} name lan1"));
        let before = lab.snapshot();
        let config = pool(plugin, Family::V4);
        let error = lab.plugin(plugin).container(&c).config(&config).verb("ADD").run().error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        only_ours(lab, "says so in other words, and does not know STATUS (1.1.1)");
        error.says(&["link lan0 does not exist", "ip link"]);
        let config = with(config, "cniVersion", json!("1.1.0"));
        let call = lab.plugin(plugin).config(&config).verb("STATUS");
        call.run().refused(50).says(&["link lan0 does not exist", "ip link"]);
    }

    fn a_master_that_is_in_the_other_namespace_is_not_found(lab, plugin) {
        only_ours(lab, "does not know linkInContainer (1.1.1)");
        let c = lab.container("c1");
        let config = with(pool(plugin, Family::V4), "linkInContainer", json!(true));
        let call = lab.plugin(plugin).container(&c).config(&config).verb("ADD");
        call.run().refused(7).says(&["link lan0 does not exist in /run/netns/c1"]);
    }

    fn an_mtu_above_the_masters_is_refused(lab, plugin) {
        only_ours(lab, "has other words, or asks the kernel");
        let c = lab.container("c1");
        let before = lab.snapshot();
        let config = with(pool(plugin, Family::V4), "mtu", json!(1501));
        let call = lab.plugin(plugin).container(&c).config(&config).verb("ADD");
        call.run().refused(7).says(&["invalid MTU 1501", "master MTU(1500)"]);
        lab.assert_unchanged_but(&before, BOOKKEEPING);
    }
}
