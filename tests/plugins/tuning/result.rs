//! The result of the earlier plugin, passed on.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{call, config_of, container};
use crate::under_test::{NETWORK, only_ours, result_before, unlike_reference};

/// Without what only some releases print.
fn essential(mut result: Value) -> Value {
    if let Some(fields) = result.as_object_mut() {
        fields.retain(|key, value| key != "dns" || value != &json!({}));
    }
    result
}

every_version! {
    fn without_a_key_the_result_is_passed_on_as_it_is(lab, version) {
        let c = lab.container("c1");
        let result = lab.add("tuning", &c, &config_of(version, &json!({})));
        assert_eq!(essential(result), result_before(version, "/run/netns/c1"));
    }

    fn the_result_names_the_new_mac_and_where_there_is_a_word_for_it_the_new_mtu(lab, version) {
        let c = container(lab, "c1");
        let members = json!({ "mac": "02:00:00:00:00:01", "mtu": 1400 });
        let result = lab.add("tuning", &c, &config_of(version, &members));
        let mut expected = result_before(version, "/run/netns/c1");
        if version >= "0.3.0" {
            expected["interfaces"][0]["mac"] = json!("02:00:00:00:00:01");
        }
        if version >= "1.1.0" {
            expected["interfaces"][0]["mtu"] = json!(1400);
        }
        assert_eq!(essential(result), expected);
    }
}

#[test]
fn an_mtu_in_the_earlier_result_does_not_become_wrong() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know the key (1.1.1)");
        let c = container(lab, "c1");
        let mut config = config_of("1.0.0", &json!({ "mtu": 1400 }));
        config["prevResult"]["interfaces"][0]["mtu"] = json!(1500);
        let result = lab.add("tuning", &c, &config);
        assert_eq!(result["interfaces"][0]["mtu"], 1400);
    });
}

#[test]
fn other_interfaces_keep_their_macs() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let mut config = config_of("1.0.0", &json!({ "mac": "02:00:00:00:00:01" }));
        let interfaces = config["prevResult"]["interfaces"].as_array_mut().unwrap();
        interfaces.push(json!({ "name": "veth1", "mac": "02:00:00:00:00:09" }));
        let result = lab.add("tuning", &c, &config);
        assert_eq!(result["interfaces"][0]["mac"], "02:00:00:00:00:01");
        assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:09");
    });
}

#[test]
fn without_an_earlier_result_add_and_check_say_so_in_the_references_words() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        let config = json!({
            "cniVersion": "1.0.0", "name": NETWORK, "type": "tuning", "mtu": 1400,
            "sysctl": { "net.ipv4.conf.eth0.arp_notify": "1" },
        });
        for verb in ["ADD", "CHECK"] {
            let error = call(lab, verb, &c, &json!({})).config(&config).run().error();
            assert_eq!(error.msg, "Required prevResult missing");
            unlike_reference(lab, "has 999 for every error of a plugin's own", || {
                assert_eq!(error.code, 7);
            });
        }
        lab.assert_unchanged(&before);
        call(lab, "DEL", &c, &json!({})).config(&config).run().is_silent();
    });
}

#[test]
fn what_0_2_0_cannot_say_is_refused_before_anything_is_changed() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        let mut config = config_of("0.2.0", &json!({ "mtu": 1400 }));
        config["prevResult"] = json!({ "cniVersion": "0.2.0", "dns": {} });
        let add = lab.plugin("tuning").verb("ADD").container(&c).config(&config).run();
        unlike_reference(lab, "changes everything first [E]", || {
            add.error().says(&["0.2.0"]);
            lab.assert_unchanged(&before);
        });
    });
}
