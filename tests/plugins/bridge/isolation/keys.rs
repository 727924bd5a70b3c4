//! The keys themselves: what they take, and what excludes what.

use std::fs;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use crate::plugins::bridge::layer2;
use crate::under_test::{only_ours, with_keys};

#[test]
fn a_wrong_value_is_refused_with_the_known_ones_in_the_text() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no such keys");
        let c = lab.container("c1");
        let isolate: &[&str] = &["isolate", "strict", "true", "false"];
        let mode: &[&str] = &["gatewayMode", "nat-unprotected", "routed", "isolated"];
        let cases = [
            (json!({ "isolate": "yes" }), 7, isolate),
            (json!({ "isolate": 1 }), 6, &["isolate"]),
            (json!({ "gatewayMode": "bridge" }), 7, mode),
            (json!({ "gatewayMode": true }), 6, &["gatewayMode"]),
            (json!({ "internal": "true" }), 6, &["internal", "true or false"]),
            (json!({ "icc": 0 }), 6, &["icc", "true or false"]),
        ];
        for (keys, code, words) in cases {
            let mut config = with_keys(layer2(), &keys);
            let call = lab.plugin("bridge").container(&c);
            call.clone().verb("ADD").config(&config).run().refused(code).says(words);
            config["cniVersion"] = json!("1.1.0");
            call.verb("STATUS").config(&config).run().refused(code).says(words);
            fs::write("/run/net.conf", config.to_string()).unwrap();
            let cais = lab.plugins().join("cais");
            let path = lab.plugins();
            let command = format!(
                "env CNI_PATH={} {} validate /run/net.conf",
                path.display(),
                cais.display()
            );
            let validated = lab.host().try_run(&command);
            let said = String::from_utf8_lossy(&validated.stdout).into_owned()
                + &String::from_utf8_lossy(&validated.stderr);
            assert!(!validated.status.success(), "{keys}: {said}");
            assert!(words.iter().all(|word| said.contains(word)), "{keys}: {said}");
        }
    });
}

/// Keys, and the words by which both sides are named.
const EXCLUDED: [(&str, &str, &str); 15] = [
    (r#"{"internal": true, "gatewayMode": "nat"}"#, "internal", "gatewayMode nat"),
    (
        r#"{"internal": true, "gatewayMode": "nat-unprotected"}"#,
        "internal",
        "gatewayMode nat-unprotected",
    ),
    (r#"{"internal": true, "gatewayMode": "routed"}"#, "internal", "gatewayMode routed"),
    (r#"{"internal": false, "gatewayMode": "isolated"}"#, "internal", "gatewayMode isolated"),
    (r#"{"internal": true, "isolate": true}"#, "internal", "isolate true"),
    (r#"{"internal": true, "isolate": "false"}"#, "internal", "isolate false"),
    (r#"{"gatewayMode": "isolated", "isolate": false}"#, "gatewayMode isolated", "isolate false"),
    (r#"{"gatewayMode": "routed", "isolate": true}"#, "gatewayMode routed", "isolate true"),
    (r#"{"gatewayMode": "routed", "isolate": false}"#, "gatewayMode routed", "isolate false"),
    (
        r#"{"gatewayMode": "nat-unprotected", "isolate": "strict"}"#,
        "gatewayMode nat-unprotected",
        "isolate strict",
    ),
    (r#"{"internal": true, "ipMasq": true}"#, "internal", "ipMasq"),
    (r#"{"gatewayMode": "routed", "ipMasq": true}"#, "gatewayMode routed", "ipMasq"),
    (r#"{"internal": true, "isDefaultGateway": true}"#, "internal", "isDefaultGateway"),
    (r#"{"gatewayMode": "isolated", "isGateway": true}"#, "gatewayMode isolated", "isGateway"),
    (
        r#"{"gatewayMode": "isolated", "isDefaultGateway": true}"#,
        "gatewayMode isolated",
        "isDefaultGateway",
    ),
];

#[test]
fn keys_that_exclude_each_other_are_both_named() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no such keys");
        let c = lab.container("c1");
        for (keys, one, other) in EXCLUDED {
            let keys = serde_json::from_str(keys).unwrap();
            let call =
                lab.plugin("bridge").verb("ADD").container(&c).config(&with_keys(layer2(), &keys));
            call.run().refused(7).says(&[one, other, "hint"]);
        }
        let together = [
            json!({ "internal": true, "gatewayMode": "isolated" }),
            json!({ "internal": true, "isolate": "strict", "icc": false }),
            json!({ "gatewayMode": "routed", "isolate": "strict", "icc": false }),
            json!({ "gatewayMode": "nat", "isolate": false }),
            json!({ "isolate": "", "gatewayMode": "", "internal": null, "icc": null }),
        ];
        for keys in together {
            lab.add("bridge", &c, &with_keys(layer2(), &keys));
            lab.del("bridge", &c, &with_keys(layer2(), &keys));
        }
    });
}

#[test]
fn a_flag_and_the_text_that_spells_it_are_the_same() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no such keys");
        let c = lab.container("c1");
        let table = |isolate: Value| {
            let config = with_keys(layer2(), &json!({ "isolate": isolate }));
            lab.add("bridge", &c, &config);
            let table = lab.host().run("nft list table inet cais");
            lab.del("bridge", &c, &config);
            table
        };
        assert_eq!(table(json!(true)), table(json!("true")));
        assert_eq!(table(json!(false)), table(json!("false")));
        assert_ne!(table(json!(true)), table(json!(false)));
    });
}
