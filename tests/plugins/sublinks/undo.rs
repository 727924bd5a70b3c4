//! An ADD that fails has changed nothing.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{attached, pool, with, with_addresses};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, are_ours, unlike_reference};

const LEAVES: &str = "leaves the link in the container when ADD with addresses fails [E]";

/// Claims that ADD fails, and that all is as it was.
#[track_caller]
pub(crate) fn fails_without_a_trace(lab: &Lab, c: &Container, config: &Value) {
    let before = lab.snapshot();
    let plugin = config["type"].as_str().expect("a config names its plugin");
    let call = lab.plugin(plugin).container(c).config(config).verb("ADD");
    call.env("CNI_PATH", Fake::path(&lab.plugins())).run().error();
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat());
}

fn of_fake(plugin: &str) -> Value {
    with(pool(plugin, Family::V4), "ipam", json!({ "type": "fake" }))
}

every_sublink! {
    fn all_is_taken_back_when_the_ipam_plugin_fails(lab, plugin) {
        let c = lab.container("c1");
        Fake::failing("fake", "ADD", &json!({ "code": 11, "msg": "no" }));
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &of_fake(plugin)));
    }

    fn all_is_taken_back_when_ipam_gives_no_address(lab, plugin) {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": USUAL, "ips": [] }));
        unlike_reference(lab, "leaves link and lease when IPAM gives no address [E]", || {
            fails_without_a_trace(lab, &c, &of_fake(plugin));
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
        });
    }

    fn all_is_taken_back_when_a_route_cannot_be_made(lab, plugin) {
        let c = lab.container("c1");
        let mut config = pool(plugin, Family::Dual);
        config["ipam"]["routes"] = json!([{ "dst": "10.8.0.0/16", "gw": "10.77.0.1" }]);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    }

    fn all_is_taken_back_when_an_address_cannot_be_added(lab, plugin) {
        let c = lab.container("c1");
        // The same twice; `static` does not compare.
        let twice = &["10.1.0.5/24", "10.1.0.5/24"];
        let config = with_addresses(pool(plugin, Family::V4), twice);
        unlike_reference(lab, LEAVES, || fails_without_a_trace(lab, &c, &config));
    }

    fn an_interface_that_somebody_else_made_is_left_alone(lab, plugin) {
        let c = lab.container("c1");
        c.run("ip link add dev eth0 type veth peer name other");
        let config = pool(plugin, Family::V4);
        fails_without_a_trace(lab, &c, &config);
        if are_ours(lab) {
            let call = lab.plugin(plugin).container(&c).config(&config).verb("ADD");
            call.run().refused(4).says(&[
                &format!("create {plugin} eth0 over lan0 in /run/netns/c1"),
                "eth0 already exists",
                "run DEL",
            ]);
        }
    }

    fn a_second_add_is_refused_and_the_first_link_stays(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = attached(lab, "c1", &config);
        fails_without_a_trace(lab, &c, &config);
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
    }

    fn add_and_del_leave_what_was_there_before(lab, plugin) {
        let c = lab.container("c1");
        for family in [Family::V4, Family::V6, Family::Dual] {
            let config = pool(plugin, family);
            let before = lab.snapshot();
            for _ in 0..2 {
                lab.add(plugin, &c, &config);
                lab.del(plugin, &c, &config);
            }
            lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING].concat());
        }
    }
}
