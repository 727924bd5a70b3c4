//! `static`, key by key.

use netns_fixtures::{Call, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::NETWORK;

fn config(mut ipam: Value) -> Value {
    ipam["type"] = json!("static");
    json!({ "cniVersion": USUAL, "name": NETWORK, "type": "static", "ipam": ipam })
}

/// One address in the config.
fn one() -> Value {
    config(json!({ "addresses": [{ "address": "10.1.0.5/24", "gateway": "10.1.0.1" }] }))
}

fn call<'lab>(lab: &'lab Lab, config: &Value) -> Call<'lab> {
    let call = lab.plugin("static").env("CNI_CONTAINERID", "c1").config(config).verb("ADD");
    call.env("CNI_NETNS", "/run/netns/c1")
}

fn add(lab: &Lab, config: &Value) -> Outcome {
    call(lab, config).run()
}

#[test]
fn it_answers_what_is_written() {
    lab_with_plugins(|lab| {
        let config = config(json!({
            "addresses": [
                { "address": "10.1.0.5/24", "gateway": "10.1.0.1" },
                { "address": "fd00:1::5/64", "gateway": "fd00:1::1" },
                { "address": "10.2.0.5/16" },
            ],
            "routes": [
                { "dst": "0.0.0.0/0" },
                { "dst": "10.8.1.2/16", "gw": "10.1.0.9" },
                { "dst": "::/0", "gw": "fd00:1::1" },
            ],
            "dns": {
                "nameservers": ["10.1.0.53"], "domain": "d.test", "search": ["s.test"],
                "options": ["ndots:5"],
            },
        }));
        let result = add(lab, &config).result();
        assert_eq!(result["ips"], config["ipam"]["addresses"]);
        assert_eq!(result["routes"], config["ipam"]["routes"]);
        assert_eq!(result["dns"], config["ipam"]["dns"]);
    });
}

#[test]
fn nothing_is_kept() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        add(lab, &one()).succeeded();
        // Nor is anything compared: the same address is given to everybody.
        add(lab, &one()).succeeded();
        call(lab, &one()).verb("DEL").run().is_silent();
        lab.assert_unchanged(&before);
    });
}

#[test]
fn addresses_can_be_given_by_cni_args() {
    lab_with_plugins(|lab| {
        let config = config(json!({}));
        let args = "IP=10.1.0.7/24,fd00:1::7/64;GATEWAY=10.1.0.1,fd00:1::1";
        let result = call(lab, &config).args(args).run().result();
        let expected = json!([
            { "address": "10.1.0.7/24", "gateway": "10.1.0.1" },
            { "address": "fd00:1::7/64", "gateway": "fd00:1::1" },
        ]);
        assert_eq!(result["ips"], expected);
    });
}

#[test]
fn those_of_cni_args_come_after_those_of_the_config() {
    lab_with_plugins(|lab| {
        let result = call(lab, &one()).args("IP=10.2.0.7/24").run().result();
        assert_eq!(result["ips"][0]["address"], "10.1.0.5/24");
        assert_eq!(result["ips"][1]["address"], "10.2.0.7/24");
    });
}

#[test]
fn a_gateway_belongs_to_the_addresses_whose_subnet_it_is_in() {
    lab_with_plugins(|lab| {
        let config = config(json!({}));
        let args = "IP=10.1.0.7/24,10.2.0.7/24;GATEWAY=10.2.0.1";
        let result = call(lab, &config).args(args).run().result();
        assert!(result["ips"][0].get("gateway").is_none(), "{result}");
        assert_eq!(result["ips"][1]["gateway"], "10.2.0.1");
    });
}

/// Addresses of the config are not looked at, a quirk of the reference that callers know.
#[test]
fn a_gateway_of_cni_args_is_for_addresses_of_cni_args() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "addresses": [{ "address": "10.1.0.5/24" }] }));
        let result = call(lab, &config).args("GATEWAY=10.1.0.1").run().result();
        assert!(result["ips"][0].get("gateway").is_none(), "{result}");
    });
}

#[test]
fn args_replace_all_before_them_and_the_runtime_all_of_those() {
    lab_with_plugins(|lab| {
        let mut config = one();
        config["args"] = json!({ "cni": { "ips": ["10.1.0.8/24", "fd00:1::8/64"] } });
        let result = call(lab, &config).args("IP=10.1.0.7/24").run().result();
        let expected = json!([{ "address": "10.1.0.8/24" }, { "address": "fd00:1::8/64" }]);
        assert_eq!(result["ips"], expected);
        config["runtimeConfig"] = json!({ "ips": ["10.1.0.9/24"] });
        let result = call(lab, &config).args("IP=10.1.0.7/24").run().result();
        assert_eq!(result["ips"], json!([{ "address": "10.1.0.9/24" }]));
    });
}

#[test]
fn an_address_needs_its_length() {
    lab_with_plugins(|lab| {
        for odd in ["10.1.0.5", "nonsense", "10.1.0.5/33", "fd00::5/129", "10.1.0/24", ""] {
            let config = config(json!({ "addresses": [{ "address": odd }] }));
            add(lab, &config).error().says(&[odd]);
        }
        for odd in ["10.1.0.5", "nonsense", "10.1.0.5/33"] {
            let mut by_args = one();
            by_args["args"] = json!({ "cni": { "ips": [odd] } });
            add(lab, &by_args).error().says(&[odd]);
            let mut by_runtime = one();
            by_runtime["runtimeConfig"] = json!({ "ips": [odd] });
            add(lab, &by_runtime).error().says(&[odd]);
            call(lab, &one()).args(&format!("IP={odd}")).run().error().says(&[odd]);
        }
    });
}

#[test]
fn host_bits_stay() {
    lab_with_plugins(|lab| {
        let result = add(lab, &one()).result();
        assert_eq!(result["ips"][0]["address"], "10.1.0.5/24");
    });
}

#[test]
fn an_address_is_told_in_its_shortest_form() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "addresses": [
            { "address": "FD00:0001:0:0::0005/64", "gateway": "FD00:1::0001" },
            { "address": "::ffff:10.1.0.5/120" },
        ]}));
        let outcome = add(lab, &config);
        // The second is IPv4 in the clothes of IPv6, which has no length in IPv4 for the reference.
        if outcome.status.success() {
            let result = outcome.result();
            assert_eq!(result["ips"][0]["address"], "fd00:1::5/64");
            assert_eq!(result["ips"][0]["gateway"], "fd00:1::1");
        }
        let config =
            self::config(json!({ "addresses": [{ "address": "FD00:0001:0:0::0005/64" }] }));
        assert_eq!(add(lab, &config).result()["ips"][0]["address"], "fd00:1::5/64");
    });
}

#[test]
fn no_address_at_all_is_the_callers_business() {
    lab_with_plugins(|lab| {
        let result = add(lab, &config(json!({}))).result();
        assert!(result.get("ips").is_none() || result["ips"] == json!([]), "{result}");
    });
}

#[test]
fn a_config_without_ipam_is_refused() {
    lab_with_plugins(|lab| {
        let mut none = config(json!({}));
        none["ipam"] = Value::Null;
        add(lab, &none).error().says(&["ipam"]);
    });
}

#[test]
fn del_minds_nothing() {
    lab_with_plugins(|lab| {
        call(lab, &one()).verb("DEL").run().is_silent();
        let odd = config(json!({ "addresses": [{ "address": "nonsense" }] }));
        call(lab, &odd).verb("DEL").run().is_silent();
    });
}
