//! STATUS: can ADD be served on this node?

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use crate::fake::Fake;
use crate::under_test::{least_config, needs_driver, only_ours};

const UNKNOWN: &str = "does not know STATUS (1.1.1)";

every_plugin! {
    fn a_node_in_order_is_ready(lab, plugin) {
        only_ours(lab, UNKNOWN);
        needs_driver(lab, plugin);
        lab.plugin(plugin).config(&least_config(plugin, "1.1.0")).verb("STATUS").run().is_silent();
    }

    fn status_changes_nothing(lab, plugin) {
        only_ours(lab, UNKNOWN);
        needs_driver(lab, plugin);
        let before = lab.snapshot();
        lab.plugin(plugin).config(&least_config(plugin, "1.1.0")).verb("STATUS").run().succeeded();
        lab.assert_unchanged(&before);
    }
}

#[test]
fn a_missing_ipam_plugin_makes_the_node_not_ready() {
    lab_with_plugins(|lab| {
        only_ours(lab, UNKNOWN);
        let mut config = least_config("bridge", "1.1.0");
        config["ipam"] = json!({ "type": "no-such-plugin" });
        let error = lab.plugin("bridge").config(&config).verb("STATUS").run().refused(50);
        error.says(&["no-such-plugin"]);
    });
}

#[test]
fn the_answer_of_the_ipam_plugin_is_passed_on() {
    lab_with_plugins(|lab| {
        only_ours(lab, UNKNOWN);
        let answer = json!({ "cniVersion": "1.1.0", "code": 51, "msg": "on fire" });
        let ipam = Fake::failing("sick", "STATUS", &answer);
        let mut config = least_config("bridge", "1.1.0");
        config["ipam"] = json!({ "type": "sick" });
        let call = lab.plugin("bridge").config(&config).verb("STATUS");
        let error = call.env("CNI_PATH", Fake::path(&lab.plugins())).run().refused(51);
        error.says(&["on fire"]);
        assert_eq!(ipam.verbs(), ["STATUS"]);
    });
}

/// Not ready means that no pod at all is started on the node, so a full pool must not be it.
#[test]
fn a_full_pool_does_not_make_the_node_not_ready() {
    lab_with_plugins(|lab| {
        only_ours(lab, UNKNOWN);
        let config = json!({
            "cniVersion": "1.1.0", "name": "net", "type": "host-local",
            "ipam": { "type": "host-local", "subnet": "10.1.0.0/30" },
        });
        lab.add("host-local", &lab.container("a"), &config);
        lab.plugin("host-local").config(&config).verb("STATUS").run().is_silent();
    });
}

#[test]
fn a_configuration_that_add_would_refuse_is_refused() {
    lab_with_plugins(|lab| {
        only_ours(lab, UNKNOWN);
        let mut config = least_config("bridge", "1.1.0");
        config["vlan"] = json!(5000);
        lab.plugin("bridge").config(&config).verb("STATUS").run().error().says(&["vlan"]);
    });
}
