//! Where containers ask: at their gateway where it is this host's, else within.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{NO_SUCH_PLUGIN, dnsname, eth0, named, named_with, record_of};
use crate::battery::{Family, USUAL};
use crate::chain::Chain;
use crate::under_test::{NETWORK, only_ours, with_keys};
use crate::uplink::bridge;

/// Name servers of the result and places of the record, the latter as link, address, or `within`.
fn doors(chain: &Chain<'_>, c: &Container) -> (Value, Vec<String>) {
    let result = chain.add(eth0(c));
    let shown = shown_places(c);
    assert!(chain.check(eth0(c)).is_ok());
    chain.del(eth0(c));
    (result["dns"]["nameservers"].clone(), shown)
}

fn shown_places(c: &Container) -> Vec<String> {
    let record = record_of(c);
    let places = record["places"].as_array().expect("a record has places");
    let shown = |place: &Value| match place["address"].as_str() {
        Some(address) => format!("{} {address}", place["link"].as_str().unwrap()),
        None => "within".to_owned(),
    };
    let ports = places.iter().map(|place| place["port"].as_u64().unwrap());
    assert!(ports.into_iter().all(|port| (1..1024).contains(&port)), "{places:?}");
    places.iter().map(shown).collect()
}

every_family! {
    fn containers_of_a_bridge_ask_at_its_addresses(lab, family) {
        let chain = named(lab, family);
        let c = lab.container("c1");
        let (v4, v6) = ("cni1 10.1.0.1".to_owned(), "cni1 fd00:1::1".to_owned());
        let (servers, places) = match family {
            Family::V4 => (json!(["10.1.0.1"]), vec![v4]),
            // Nothing leads from 127.0.0.11 to an IPv6 address.
            Family::V6 => (json!(["fd00:1::1"]), vec![v6, "within".to_owned()]),
            Family::Dual => (json!(["10.1.0.1", "fd00:1::1"]), vec![v4, v6]),
        };
        assert_eq!(doors(&chain, &c), (servers, places));
    }

    fn they_ask_within_where_the_configuration_says_so(lab, family) {
        let chain = named_with(lab, family, &json!({ "resolver": "netns" }));
        let c = lab.container("c1");
        assert_eq!(doors(&chain, &c), (json!(["127.0.0.11"]), vec!["within".to_owned()]));
    }

    fn they_ask_within_where_the_bridge_has_no_address(lab, family) {
        only_ours(lab, NO_SUCH_PLUGIN);
        let no_gateway = json!({ "isDefaultGateway": false, "isGateway": false, "ipMasq": false });
        let bridge = with_keys(bridge(family, 1), &no_gateway);
        let chain = Chain::new(lab, &[bridge, dnsname()]);
        let c = lab.container("c1");
        assert_eq!(doors(&chain, &c), (json!(["127.0.0.11"]), vec!["within".to_owned()]));
    }
}

#[test]
fn a_gateway_that_is_another_hosts_is_not_asked() {
    lab_with_plugins(|lab| {
        only_ours(lab, NO_SUCH_PLUGIN);
        // A router on the network, and an address of the host that is not on the bridge.
        lab.host().run("ip addr add 10.1.0.254/32 dev lo");
        let elsewhere = json!({
            "isDefaultGateway": false,
            "ipam": { "type": "host-local", "subnet": "10.1.0.0/24", "gateway": "10.1.0.254" },
        });
        let bridge = with_keys(bridge(Family::V4, 1), &elsewhere);
        let c = lab.container("c1");
        let chain = Chain::new(lab, &[bridge.clone(), dnsname()]);
        assert_eq!(doors(&chain, &c), (json!(["127.0.0.11"]), vec!["within".to_owned()]));

        let forced = with_keys(dnsname(), &json!({ "resolver": "gateway" }));
        let chain = Chain::new(lab, &[bridge, forced]);
        let result = chain.call(0, "ADD", eth0(&c), None).run().result();
        let before = lab.snapshot();
        let error = chain.call(1, "ADD", eth0(&c), Some(&result)).run().refused(7);
        error.says(&["no bridge of this host has the gateway's address 10.1.0.254", "isGateway"]);
        lab.assert_unchanged(&before);
        chain.del(eth0(&c));
    });
}

/// A container that another plugin gave a link of `kind`, and that plugin's result.
fn made_by_another(lab: &Lab, name: &str, make: &str) -> (Container, Value) {
    let c = lab.container(name);
    lab.host().run(make);
    c.run("ip addr add 10.7.0.2/24 dev eth0");
    c.run("ip link set dev eth0 up");
    let sandbox = c.path().display().to_string();
    let result = json!({
        "cniVersion": USUAL,
        "interfaces": [
            { "name": "peer0" },
            { "name": "eth0", "mac": c.link("eth0").unwrap()["address"], "sandbox": sandbox },
        ],
        "ips": [{ "address": "10.7.0.2/24", "gateway": "10.7.0.1", "interface": 1 }],
    });
    (c, result)
}

#[test]
fn containers_on_links_of_their_own_ask_within() {
    lab_with_plugins(|lab| {
        only_ours(lab, NO_SUCH_PLUGIN);
        lab.host().run("ip link add dev up0 type veth peer name up1");
        for (name, make) in [
            ("m1", "ip link add dev eth0 link up0 netns m1 type macvlan mode bridge"),
            // As `ptp` has it: the host's end has the gateway's address, for one container alone.
            ("p1", "ip link add dev peer0 type veth peer name eth0 netns p1"),
        ] {
            let (c, result) = made_by_another(lab, name, make);
            if name == "p1" {
                lab.host().run("ip addr add 10.7.0.1/32 dev peer0");
                lab.host().run("ip link set dev peer0 up");
            }
            let mut config = dnsname();
            config["cniVersion"] = json!(USUAL);
            config["name"] = json!(NETWORK);
            config["prevResult"] = result;
            let call = |verb| lab.plugin("dnsname").container(&c).verb(verb).config(&config);
            let before = lab.snapshot();
            let result = call("ADD").run().result();
            assert_eq!(result["dns"]["nameservers"], json!(["127.0.0.11"]), "{name}");
            assert_eq!(shown_places(&c), ["within"], "{name}");
            call("CHECK").run().is_silent();
            call("DEL").run().is_silent();
            lab.assert_unchanged_but(&before, &["/run/cais/"]);
        }
    });
}

#[test]
fn a_network_whose_bridge_is_internal_asks_nobody() {
    lab_with_plugins(|lab| {
        only_ours(lab, NO_SUCH_PLUGIN);
        let c = lab.container("c1");
        let internal = json!({
            "internal": true, "ipMasq": false, "isDefaultGateway": false, "isGateway": true,
        });
        let apart = with_keys(bridge(Family::V4, 1), &internal);
        let here = with_keys(dnsname(), &json!({ "internal": true }));
        for (plugins, expected) in [
            ([bridge(Family::V4, 1), dnsname()], Value::Null),
            ([apart, dnsname()], json!(true)),
            ([bridge(Family::V4, 1), here], json!(true)),
        ] {
            let chain = Chain::new(lab, &plugins);
            chain.add(eth0(&c));
            assert_eq!(record_of(&c)["internal"], expected, "{plugins:?}");
            chain.del(eth0(&c));
        }
    });
}

#[test]
fn keys_of_the_network_are_written_down_for_the_daemon() {
    lab_with_plugins(|lab| {
        let keys = json!({
            "servers": ["192.0.2.1", "[2001:db8::1]:5353"], "multiNetwork": "merge",
            "gwPriority": -7,
        });
        let chain = named_with(lab, Family::Dual, &keys);
        let c = lab.container("c1");
        chain.add(eth0(&c));
        let record = record_of(&c);
        assert_eq!(record["servers"], keys["servers"]);
        assert_eq!((&record["merge"], &record["priority"]), (&json!(true), &json!(-7)));
        assert_eq!(record["suffix"], "dns.podman");
        assert_eq!(record["gateways"], json!(["10.1.0.1", "fd00:1::1"]));
        assert_eq!(record["addresses"], json!(["10.1.0.2/24", "fd00:1::2/64"]));
        chain.del(eth0(&c));
        assert_eq!(record_of(&c), Value::Null);
    });
}
