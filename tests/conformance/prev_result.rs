//! The result of the plugins before, as it is read.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use crate::under_test::{least_config, unlike_reference};

/// A result in the shape of `version`.
fn result_of(version: &str) -> Value {
    match version {
        "0.1.0" | "0.2.0" => json!({ "cniVersion": version, "ip4": { "ip": "10.1.0.5/24" } }),
        "0.3.0" | "0.3.1" | "0.4.0" => json!({
            "cniVersion": version,
            "interfaces": [{ "name": "eth0", "sandbox": "/run/netns/c1" }],
            "ips": [{ "version": "4", "address": "10.1.0.5/24", "interface": 0 }],
        }),
        _ => json!({
            "cniVersion": version,
            "interfaces": [{ "name": "eth0", "sandbox": "/run/netns/c1" }],
            "ips": [{ "address": "10.1.0.5/24", "interface": 0 }],
        }),
    }
}

every_version! {
    fn loopback_passes_on_what_was_before_it(lab, version) {
        let c = lab.container("c1");
        let mut config = least_config("loopback", version);
        config["prevResult"] = result_of(version);
        let result = lab.add("loopback", &c, &config);
        assert!(result.to_string().contains("10.1.0.5/24"), "{result}");
        assert!(!result.to_string().contains("127.0.0.1"), "{result}");
    }

    fn a_result_without_version_is_of_the_version_of_the_config(lab, version) {
        let c = lab.container("c1");
        let mut config = least_config("loopback", version);
        config["prevResult"] = result_of(version);
        without_version(&mut config["prevResult"]);
        let result = lab.add("loopback", &c, &config);
        assert!(result.to_string().contains("10.1.0.5/24"), "{result}");
    }

    fn a_result_that_cannot_be_read_fails_add(lab, version) {
        let c = lab.container("c1");
        for odd in [json!("ok"), json!([1]), json!({ "cniVersion": version, "ips": "10.1.0.5/24",
            "ip4": "10.1.0.5/24" })] {
            let mut config = least_config("loopback", version);
            config["prevResult"] = odd.clone();
            let call = lab.plugin("loopback").container(&c).config(&config).verb("ADD");
            call.run().error();
        }
    }
}

#[test]
fn a_result_of_another_version_is_converted() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for (of_config, of_result) in
            [("1.0.0", "0.4.0"), ("1.0.0", "0.2.0"), ("0.4.0", "1.0.0"), ("0.4.0", "0.2.0")]
        {
            let mut config = least_config("loopback", of_config);
            config["prevResult"] = result_of(of_result);
            unlike_reference(lab, "reads results of the same era alone", || {
                let result = lab.add("loopback", &c, &config);
                assert!(result.to_string().contains("10.1.0.5/24"), "{result}");
            });
        }
    });
}

#[test]
fn del_does_not_need_a_result_that_can_be_read() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut config = least_config("bridge", "1.0.0");
        lab.add("bridge", &c, &config);
        config["prevResult"] = json!({ "cniVersion": "1.0.0", "ips": "nonsense" });
        lab.plugin("bridge").container(&c).config(&config).verb("DEL").run().is_silent();
        assert!(c.link("eth0").is_none());
    });
}

fn without_version(result: &mut Value) {
    if let Some(fields) = result.as_object_mut() {
        fields.remove("cniVersion");
    }
}
