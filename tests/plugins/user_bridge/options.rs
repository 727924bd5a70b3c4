//! Options by the names of Docker and Podman, and misspelled ones.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{OF_THE_NETWORK, Resident, network, try_add};

#[test]
fn names_of_docker_and_podman_mean_the_keys() {
    lab_with_plugins(|lab| {
        let docker = json!({
            "com.docker.network.bridge.name": "web0",
            "com.docker.network.driver.mtu": "1400",
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.enable_ipv6": "true",
            "com.docker.network.container_iface_prefix": "eth",
            "com.docker.network.bridge.inhibit_ipv4": "false",
        });
        let a = Resident::new(lab, "a", network("docker", &json!({ "options": docker })));
        assert_eq!(a.bridge(), "web0");
        assert_eq!(a.container.link("eth0").unwrap()["mtu"], 1400);
        assert_eq!(a.addresses().len(), 2);
        let b = Resident::new(lab, "b", a.config.clone());
        a.container.assert_cannot_reach_at(&b.container, b.address());
        let podman = json!({ "mtu": 1300, "metric": "50", "isolate": "strict", "mode": "managed" });
        let c = Resident::new(lab, "c", network("podman", &json!({ "options": podman })));
        assert_eq!(c.container.link("eth0").unwrap()["mtu"], 1300);
        assert_eq!(c.result["routes"][0]["priority"], 50);
        let none = json!({ "options": { "no_default_route": "1" } });
        let d = Resident::new(lab, "d", network("none", &none));
        assert_eq!(d.result.get("routes"), None);
        for resident in [&a, &b, &c, &d] {
            resident.check();
        }
    });
}

#[test]
fn an_unknown_key_or_option_names_the_nearest_and_changes_nothing() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        let before = lab.snapshot();
        let option = |name: &str, value: Value| json!({ "options": { name: value } });
        for (keys, says) in [
            (json!({ "intrenal": true }), "did you mean \"internal\"?"),
            (json!({ "subnetz": [] }), "did you mean \"subnets\"?"),
            (json!({ "ipam": { "type": "host-local" } }), "subnets"),
            (json!({ "somethingElse": 1 }), "docs/plugins/user-bridge.md"),
            (option("isolated", json!("true")), "did you mean \"isolate\"?"),
            (
                option("com.docker.network.bridge.enable_ic", json!("false")),
                "did you mean \"com.docker.network.bridge.enable_icc\"?",
            ),
            (option("enable_icc", json!("false")), "com.docker.network.bridge.enable_icc"),
            (option("vlan", json!("7")), "plugin bridge has VLANs"),
            (option("mode", json!("unmanaged")), "managed"),
            (option("mtu", json!("many")), "options.mtu"),
            (option("com.docker.network.bridge.enable_icc", json!("perhaps")), "perhaps"),
        ] {
            let error = try_add(lab, &c, &network("web", &keys)).refused(7);
            assert!(error.text().contains(says), "{keys}: {}", error.text());
        }
        let twice = json!({ "mtu": 1400, "options": { "mtu": "1300" } });
        try_add(lab, &c, &network("web", &twice)).refused(7).says(&["mtu"]);
        lab.assert_unchanged(&before);
    });
}

#[test]
fn del_and_gc_do_not_care_what_is_unknown() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", network("web", &json!({})));
        let mut config =
            network("web", &json!({ "intrenal": 7, "options": { "x": [] }, "mtu": "no" }));
        lab.plugin("user-bridge")
            .verb("DEL")
            .container(&a.container)
            .config(&config)
            .run()
            .is_silent();
        assert!(a.container.link("eth0").is_none());
        config["cni.dev/valid-attachments"] = json!([]);
        lab.plugin("user-bridge").verb("GC").config(&config).run().is_silent();
        let lists = lab.host().links();
        assert!(!lists.iter().any(|link| link["ifname"] == json!(a.bridge())));
    });
}

#[test]
fn a_labels_key_with_a_slash_is_somebody_elses() {
    lab_with_plugins(|lab| {
        let config = network("web", &json!({ "example.org/label": { "a": 1 } }));
        let a = Resident::new(lab, "a", config);
        a.del();
        let before = lab.snapshot();
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
    });
}
