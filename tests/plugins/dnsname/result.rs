//! The result is that of the plugins before, with whom to ask.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{add_with, dnsname, eth0, named, named_with};
use crate::battery::{Family, USUAL};
use crate::chain::Chain;
use crate::under_test::{only_ours, with_keys};
use crate::uplink::bridge;

every_version! {
    fn the_result_names_the_gateways_and_the_domain_and_is_otherwise_handed_on(lab, version) {
        let chain = named(lab, Family::Dual).version(version);
        let c = lab.container("c1");
        let before = chain.call(0, "ADD", eth0(&c), None).run().result();
        let mut after = chain.call(1, "ADD", eth0(&c), Some(&before)).run().result();
        let dns = after["dns"].take();
        assert_eq!(dns["nameservers"], json!(["10.1.0.1", "fd00:1::1"]));
        assert_eq!(dns["search"], json!(["dns.podman"]));
        let mut before = before;
        before["dns"].take();
        assert_eq!(after, before);
        chain.del(eth0(&c));
    }

    fn it_must_be_in_a_chain(lab, version) {
        let chain = named(lab, Family::V4).version(version);
        let c = lab.container("c1");
        let error = chain.call(1, "ADD", eth0(&c), None).run().refused(7);
        error.says(&["must be called as chained plugin", "prevResult"]);
        assert!(!std::path::Path::new("/run/cais/dns").exists(), "something was begun");
    }
}

#[test]
fn what_plugins_before_and_the_runtime_said_of_name_service_stays() {
    lab_with_plugins(|lab| {
        only_ours(lab, super::NO_SUCH_PLUGIN);
        let dns = json!({
            "nameservers": ["192.0.2.9"], "domain": "example", "search": ["corp.example"],
            "options": ["ndots:1"],
        });
        let bridge = with_keys(bridge(Family::V4, 1), &json!({ "dns": dns }));
        // As containerd writes it.
        let runtime = json!({ "dns": {
            "Servers": ["192.0.2.8"], "Searches": ["b.example"], "Options": null,
        } });
        let dnsname = with_keys(dnsname(), &json!({ "runtimeConfig": runtime }));
        let chain = Chain::new(lab, &[bridge, dnsname]);
        let c = lab.container("c1");
        let expected = json!({
            "nameservers": ["10.1.0.1", "192.0.2.9"], "domain": "example",
            "search": ["corp.example", "b.example", "dns.podman"], "options": ["ndots:1"],
        });
        assert_eq!(chain.add(eth0(&c))["dns"], expected);
        assert_eq!(super::record_of(&c)["ownServers"], json!(["192.0.2.8"]));
        chain.del(eth0(&c));
    });
}

#[test]
fn a_network_without_a_domain_adds_none() {
    lab_with_plugins(|lab| {
        let chain = named_with(lab, Family::V4, &json!({ "domainName": "" }));
        let c = lab.container("c1");
        let dns = add_with(&chain, &c, "")["dns"].clone();
        assert_eq!(dns, json!({ "nameservers": ["10.1.0.1"] }));
        chain.del(eth0(&c));
    });
}

#[test]
fn the_version_is_told_where_podman_looks_for_it() {
    lab_with_plugins(|lab| {
        only_ours(lab, super::NO_SUCH_PLUGIN);
        let program = lab.plugins().join("dnsname");
        let output = lab.host().try_run(&format!("{} --version", program.display()));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with("CNI dnsname plugin v"), "{told}");
        let known: Value = lab.plugin("dnsname").verb("VERSION").run().result();
        assert!(known["supportedVersions"].as_array().unwrap().contains(&json!(USUAL)));
    });
}
