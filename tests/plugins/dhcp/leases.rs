//! What a lease becomes, and what the server is told and asked.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{Daemon, Lan, config, plugged};
use crate::under_test::unlike_reference;

#[test]
fn a_lease_becomes_an_address_with_the_default_route_of_its_router() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &["--dhcp-option=option:router,10.9.0.1"]);
        let _daemon = Daemon::start(lab);
        let result = lab.add("dhcp", &plugged(lab, &lan, "c1"), &config(&json!({})));
        let address = result["ips"][0]["address"].as_str().unwrap();
        assert!(address.starts_with("10.9.0.") && address.ends_with("/24"), "{address}");
        assert_eq!(result["ips"][0]["gateway"], "10.9.0.1");
        assert_eq!(result["routes"], json!([{ "dst": "0.0.0.0/0", "gw": "10.9.0.1" }]));
    });
}

#[test]
fn classless_routes_take_the_place_of_all_others() {
    lab_with_plugins(|lab| {
        let options = [
            "--dhcp-option=option:router,10.9.0.1",
            "--dhcp-option=121,10.8.0.0/16,10.9.0.7,0.0.0.0/0,10.9.0.2",
        ];
        let lan = Lan::new(lab, &options);
        let _daemon = Daemon::start(lab);
        let wanted = config(&json!({ "priority": 50, "request": [{ "option": "121" }] }));
        let result = lab.add("dhcp", &plugged(lab, &lan, "c1"), &wanted);
        assert_eq!(result["ips"][0]["gateway"], "10.9.0.1");
        let routes: Vec<[&Value; 2]> =
            result["routes"].as_array().unwrap().iter().map(|r| [&r["dst"], &r["gw"]]).collect();
        assert_eq!(json!(routes), json!([["10.8.0.0/16", "10.9.0.7"], ["0.0.0.0/0", "10.9.0.2"]]));
        unlike_reference(lab, "of 1.1.1 has no priority", || {
            assert_eq!(result["routes"][0]["priority"], 50);
        });
    });
}

#[test]
fn name_servers_domains_and_mtu_are_used() {
    lab_with_plugins(|lab| {
        let options = [
            "--dhcp-option=option:dns-server,10.9.0.53,10.9.0.54",
            "--dhcp-option=option:domain-name,lan.example",
            "--dhcp-option=option:domain-search,a.example,b.example",
            "--dhcp-option=option:mtu,1400",
        ];
        let lan = Lan::new(lab, &options);
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let result = lab.add("dhcp", &c1, &config(&json!({})));
        unlike_reference(lab, "neither returns nor applies them [E]", || {
            assert_eq!(
                result["dns"],
                json!({
                    "nameservers": ["10.9.0.53", "10.9.0.54"],
                    "domain": "lan.example",
                    "search": ["a.example", "b.example"],
                })
            );
            assert_eq!(c1.link("eth0").unwrap()["mtu"], 1400);
        });
    });
}

#[test]
fn the_server_is_told_what_is_provided_and_the_argument_wins() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let provide = json!([
            { "option": "host-name", "value": "unused", "fromArg": "K8S_POD_NAME" },
            { "option": "60", "value": "cais-test" },
        ]);
        let config = config(&json!({ "provide": provide, "request": [{ "option": "42" }] }));
        let c1 = plugged(lab, &lan, "c1");
        let call = lab.plugin("dhcp").container(&c1).config(&config);
        call.args("IgnoreUnknown=1;K8S_POD_NAME=web-1").verb("ADD").run().succeeded();
        assert!(lan.wait_for("vendor class").ends_with("vendor class: cais-test"));
        assert!(lan.wait_for("client provides name").ends_with("name: web-1"));
        lan.wait_for("requested options: 42:ntp-server");
    });
}

#[test]
fn with_skip_default_nothing_else_is_asked_for() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let request = json!([{ "option": "subnet-mask", "skipDefault": true }]);
        let c1 = plugged(lab, &lan, "c1");
        lab.add("dhcp", &c1, &config(&json!({ "request": request })));
        assert!(lan.wait_for("requested options").ends_with("requested options: 1:netmask"));
    });
}

#[test]
fn a_second_add_gives_the_lease_that_is_held() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let c1 = plugged(lab, &lan, "c1");
        let first = lab.add("dhcp", &c1, &config(&json!({})));
        assert_eq!(lab.add("dhcp", &c1, &config(&json!({}))), first);
    });
}

#[test]
fn two_interfaces_of_two_containers_have_four_leases() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        let mut addresses = Vec::new();
        for (number, ifname) in [("1", "eth0"), ("2", "net1"), ("3", "eth0"), ("4", "net1")] {
            let container = lab.container(&format!("c{number}"));
            lan.plug(&container, ifname);
            let call = lab.plugin("dhcp").container(&container).ifname(ifname);
            let result = call.config(&config(&json!({}))).verb("ADD").run().result();
            addresses.push(super::address(&result));
        }
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 4);
    });
}
