//! Standard input: what is JSON, which keys are needed, how keys are matched.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{complete_call, least_config, of_a_gone_namespace, unlike_reference};

every_plugin! {
    fn what_is_not_json_is_refused(lab, plugin) {
        for text in [
            "", " ", "x", "{", "[", "{\"name\":\"net\",}", "{'name':'net'}", "\u{feff}{\"name\":\"net\"}",
            "{\"name\":\"net\"} x", "{\"name\":\"net\"}{}", "// c\n{\"name\":\"net\"}", "[]", "1",
            "\"net\"",
        ] {
            let refused = complete_call(lab, plugin).stdin(text).verb("ADD").run().refused(6);
            let says = refused.msg.starts_with("error unmarshall network config: ");
            assert!(says, "{text:?}: {}", refused.msg);
        }
    }

    fn a_network_has_a_name(lab, plugin) {
        for config in [json!({}), json!({ "name": "" }), json!({ "name": null }), Value::Null] {
            let refused = complete_call(lab, plugin).config(&config).verb("ADD").run().refused(7);
            assert_eq!(refused.msg, "missing network name", "{config}");
        }
    }

    fn the_name_of_a_network_has_the_characters_of_a_container_id(lab, plugin) {
        for name in ["-n", ".n", "..", "a/b", "a b", "ñ", "a:b"] {
            let mut config = least_config(plugin, USUAL);
            config["name"] = json!(name);
            for verb in ["ADD", "DEL", "CHECK"] {
                let refused =
                    complete_call(lab, plugin).config(&config).verb(verb).run().refused(7);
                assert_eq!(refused.msg, "invalid characters found in network name");
                assert_eq!(refused.details, name);
            }
        }
    }

    fn a_name_or_version_of_another_type_is_refused(lab, plugin) {
        for config in [
            json!({ "cniVersion": USUAL, "name": 5 }),
            json!({ "cniVersion": USUAL, "name": ["net"] }),
            json!({ "cniVersion": 1, "name": "net" }),
            json!({ "cniVersion": {}, "name": "net" }),
        ] {
            complete_call(lab, plugin).config(&config).verb("ADD").run().refused(6);
        }
    }

    fn an_unknown_key_changes_nothing(lab, plugin) {
        let mut config = least_config(plugin, USUAL);
        config["no-such-key"] = json!({ "a": [1, null] });
        config["cni.dev/no-such-key"] = json!(true);
        of_a_gone_namespace(lab, plugin, || {
            complete_call(lab, plugin).config(&config).verb("DEL").run().succeeded();
        });
    }
}

#[test]
fn keys_are_matched_in_any_case() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = json!({
            "CniVersion": "1.0.0", "NAME": "net", "tYPE": "host-local",
            "IPAM": { "Type": "host-local", "RANGES": [[{ "SubNet": "10.1.0.0/24" }]] },
        });
        let result = lab.add("host-local", &c, &config);
        assert_eq!(result["ips"][0]["address"], "10.1.0.2/24", "{result}");
        assert_eq!(result["cniVersion"], "1.0.0");
    });
}

#[test]
fn of_two_spellings_of_a_key_the_last_counts() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for (first, second) in [("subnet", "SUBNET"), ("SUBNET", "subnet"), ("subnet", "subnet")] {
            let config = format!(
                r#"{{"cniVersion":"1.0.0","name":"net","type":"host-local","ipam":{{
                "type":"host-local","{first}":"10.1.0.0/24","{second}":"10.2.0.0/24"}}}}"#
            );
            let call = lab.plugin("host-local").container(&c).stdin(config);
            let result = call.clone().verb("ADD").run().result();
            assert_eq!(result["ips"][0]["gateway"], "10.2.0.1", "{first} {second}: {result}");
            call.verb("DEL").run().succeeded();
        }
    });
}

#[test]
fn null_means_that_a_key_is_not_there() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = json!({
            "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": null, "mtu": null,
            "isGateway": null, "vlan": null, "ipam": null, "dns": null, "args": null,
            "runtimeConfig": null, "prevResult": null, "vlanTrunk": null,
        });
        let result = lab.add("bridge", &c, &config);
        assert_eq!(result["interfaces"][0]["name"], "cni0", "the default: {result}");
    });
}

#[test]
fn a_value_of_the_wrong_type_is_refused_before_anything_is_made() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        for (key, value) in [
            ("mtu", json!("1500")),
            ("mtu", json!(1500.5)),
            ("bridge", json!(5)),
            ("isGateway", json!("true")),
            ("isGateway", json!(1)),
            ("vlan", json!("5")),
            ("ipam", json!([])),
            ("dns", json!("1.1.1.1")),
            ("hairpinMode", json!([])),
            ("promiscMode", json!("yes")),
        ] {
            let mut config = least_config("bridge", USUAL);
            config[key] = value.clone();
            let outcome = lab.plugin("bridge").container(&c).config(&config).verb("ADD").run();
            let error = outcome.error();
            assert!(error.text().contains(key), "{key}={value}: {}", error.text());
            lab.assert_unchanged(&before);
        }
    });
}

#[test]
fn a_number_with_a_fraction_of_zero_is_no_integer() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config =
            r#"{"cniVersion":"1.0.0","name":"net","type":"bridge","bridge":"cni0","mtu":1500.0}"#;
        let error = lab.plugin("bridge").container(&c).stdin(config).verb("ADD").run().error();
        error.says(&["mtu"]);
    });
}

#[test]
fn the_code_of_a_wrong_type_blames_the_config() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = least_config("bridge", USUAL);
        config["mtu"] = json!("1500");
        let error = lab.plugin("bridge").container(&c).config(&config).verb("ADD").run().error();
        unlike_reference(lab, "has 999 for every error of a plugin's own", || {
            assert!([6, 7].contains(&error.code), "{}", error.code);
        });
    });
}
