//! A plugin that calls another for addresses.

use netns_fixtures::{Call, Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, least_config, unlike_reference};

fn config(ipam: &str) -> Value {
    let mut config = least_config("bridge", USUAL);
    config["ipam"] = json!({ "type": ipam, "key-of-its-own": [1, 2] });
    config
}

/// A call of `bridge` that finds fakes before the plugins under test.
fn call<'lab>(lab: &'lab Lab, c: &Container, config: &Value) -> Call<'lab> {
    let path = Fake::path(&lab.plugins());
    lab.plugin("bridge").container(c).config(config).env("CNI_PATH", path)
}

fn one_address() -> Value {
    json!({ "cniVersion": USUAL, "ips": [{ "address": "10.7.0.5/24", "gateway": "10.7.0.1" }] })
}

#[test]
fn the_delegate_gets_the_whole_config_and_the_environment() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &one_address());
        let config = config("fake");
        let call = call(lab, &c, &config).args("IgnoreUnknown=1;A=B").env("TRACEPARENT", "00-x");
        call.clone().verb("ADD").run().succeeded();
        let got: Value = serde_json::from_str(&ipam.stdin("ADD")).unwrap();
        assert_eq!(got, config, "byte for byte is better still");
        for (key, value) in [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", "/run/netns/c1"),
            ("CNI_ARGS", "IgnoreUnknown=1;A=B"),
            ("TRACEPARENT", "00-x"),
        ] {
            assert_eq!(ipam.variable("ADD", key).as_deref(), Some(value), "{key}");
        }
        call.verb("DEL").run().succeeded();
        assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
    });
}

#[test]
fn its_addresses_routes_and_dns_are_used() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let mut answer = one_address();
        answer["routes"] = json!([{ "dst": "10.8.0.0/16" }]);
        answer["dns"] = json!({ "nameservers": ["10.7.0.53"] });
        Fake::answering("fake", &answer);
        let result = call(lab, &c, &config("fake")).verb("ADD").run().result();
        assert_eq!(result["ips"][0]["interface"], 2);
        unlike_reference(lab, "drops the DNS of its IPAM plugin (1.1.1)", || {
            assert_eq!(result["dns"]["nameservers"], json!(["10.7.0.53"]));
        });
        assert_eq!(c.addresses("eth0"), ["10.7.0.5/24"]);
        let routes = c.routes().join("\n");
        assert!(routes.contains("10.8.0.0/16 via 10.7.0.1 dev eth0"), "{routes}");
    });
}

#[test]
fn a_result_without_version_or_of_an_older_one_is_understood() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for answer in [
            json!({ "ips": [{ "address": "10.7.0.5/24" }] }),
            json!({ "cniVersion": "", "ips": [{ "address": "10.7.0.5/24" }] }),
            json!({ "cniVersion": "0.4.0", "ips": [{ "version": "4", "address": "10.7.0.5/24" }] }),
            json!({ "cniVersion": "0.2.0", "ip4": { "ip": "10.7.0.5/24" } }),
        ] {
            Fake::answering("fake", &answer);
            let call = call(lab, &c, &config("fake"));
            let result = call.clone().verb("ADD").run().result();
            assert_eq!(result["ips"][0]["address"], "10.7.0.5/24", "{answer}");
            call.verb("DEL").run().succeeded();
        }
    });
}

#[test]
fn a_delegate_that_is_nowhere_is_named_with_where_it_was_looked_for() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let call = call(lab, &c, &config("nowhere")).env("CNI_PATH", "/run/fakes:/run/more");
        let error = call.verb("ADD").run().error();
        error.says(&["failed to find plugin \"nowhere\" in path [/run/fakes /run/more]"]);
        unlike_reference(lab, "has made bridge and veth by then, and leaves them [E]", || {
            lab.assert_unchanged_but(&before, BOOKKEEPING);
        });
    });
}

#[test]
fn a_delegate_is_a_name_and_not_a_path() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let error = call(lab, &c, &config("../host-local")).verb("ADD").run().error();
        error.says(&["../host-local"]);
    });
}

#[test]
fn the_error_of_a_delegate_keeps_its_code_and_text() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let answer = json!({ "code": 123, "msg": "no more of that", "details": "since Monday" });
        Fake::failing("fake", "ADD", &answer);
        let error = call(lab, &c, &config("fake")).verb("ADD").run().refused(123);
        error.says(&["no more of that", "since Monday"]);
        unlike_reference(lab, "does not say whose error it passes on", || {
            assert!(error.msg.contains("fake"), "{}", error.msg);
        });
    });
}

#[test]
fn a_delegate_that_failed_to_add_is_asked_to_del() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::failing("fake", "ADD", &json!({ "code": 123, "msg": "no" }));
        call(lab, &c, &config("fake")).verb("ADD").run().refused(123);
        unlike_reference(lab, "does not, though the spec asks for it", || {
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
        });
    });
}

#[test]
fn an_answer_without_addresses_is_an_error() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": USUAL }));
        let error = call(lab, &c, &config("fake")).verb("ADD").run().error();
        error.says(&["IPAM plugin returned missing IP config"]);
        assert_eq!(ipam.verbs(), ["ADD", "DEL"], "what it may have taken is given back");
    });
}

#[test]
fn an_answer_that_is_no_result_is_an_error() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for script in ["echo nonsense", "true", "echo nonsense >&2; exit 3", "kill -9 $$"] {
            Fake::with_script("fake", &format!("[ $CNI_COMMAND = ADD ] || exit 0\n{script}"));
            let call = call(lab, &c, &config("fake"));
            call.clone().verb("ADD").run().error();
            call.verb("DEL").run().succeeded();
        }
    });
}

#[test]
fn del_frees_addresses_by_the_delegate_even_without_a_namespace() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &one_address());
        let call = call(lab, &c, &config("fake"));
        call.clone().verb("ADD").run().succeeded();
        c.remove();
        call.clone().verb("DEL").run().succeeded();
        call.without("CNI_NETNS").verb("DEL").run().succeeded();
        assert_eq!(ipam.verbs(), ["ADD", "DEL", "DEL"]);
    });
}

/// A delegate that cannot free must not keep the link alive; its error is told at the end.
#[test]
fn del_removes_the_link_when_the_delegate_fails() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        Fake::answering("fake", &one_address());
        let call = call(lab, &c, &config("fake"));
        call.clone().verb("ADD").run().succeeded();
        Fake::failing("fake", "DEL", &json!({ "code": 11, "msg": "busy" }));
        call.verb("DEL").run().error().says(&["busy"]);
        assert!(c.link("eth0").is_none());
    });
}
