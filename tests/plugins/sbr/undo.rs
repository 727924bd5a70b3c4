//! A failed ADD leaves everything as it was.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{call, config, container};
use crate::under_test::{only_ours, unlike_reference};

#[test]
fn a_gateway_that_cannot_be_reached_puts_everything_back() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        let mut config = config(&c, &json!({}));
        config["prevResult"]["ips"][1]["gateway"] = json!("2001:db8::1");
        let add = lab.plugin("sbr").container(&c).config(&config).verb("ADD").run();
        let error = add.error();
        unlike_reference(lab, "leaves rules and tables [E]", || lab.assert_unchanged(&before));
        only_ours(lab, "has other words");
        error.says(&["route default via 2001:db8::1", "No route to host"]);
    });
}

#[test]
fn a_failed_second_add_puts_back_what_the_first_made() {
    lab_with_plugins(|lab| {
        only_ours(lab, "fails whatever the second is");
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        let before = lab.snapshot();
        let mut config = config(&c, &json!({}));
        config["prevResult"]["ips"][1]["gateway"] = json!("2001:db8::1");
        lab.plugin("sbr").container(&c).config(&config).verb("ADD").run().error();
        lab.assert_unchanged(&before);
        call(lab, "CHECK", &c, &json!({})).run().is_silent();
    });
}
