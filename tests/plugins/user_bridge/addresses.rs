//! Addresses of containers: in turn, asked for, and reserved.

use std::fs;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{OF_THE_NETWORK, Resident, network, try_add};
use crate::under_test::with_keys;

/// One subnet of each family.
fn both() -> Value {
    json!({ "subnets": [{ "subnet": "10.5.0.0/24" }, { "subnet": "fd05::/64" }] })
}

#[test]
fn a_container_has_an_address_of_each_subnet_and_routes_to_the_bridge() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", network("web", &both()));
        let addresses = a.container.addresses("eth0");
        for address in ["10.5.0.2/24", "fd05::2/64"] {
            assert!(addresses.iter().any(|one| one == address), "{addresses:?}");
        }
        let routes = a.container.routes();
        for start in ["default via 10.5.0.1 dev eth0", "default via fd05::1 dev eth0"] {
            assert!(routes.iter().any(|route| route.starts_with(start)), "{routes:?}");
        }
        let of_bridge = lab.host().addresses(&a.bridge());
        for address in ["10.5.0.1/24", "fd05::1/64"] {
            assert!(of_bridge.iter().any(|one| one == address), "{of_bridge:?}");
        }
        a.check();
        a.del();
    });
}

#[test]
fn a_released_address_is_not_given_again_at_once() {
    lab_with_plugins(|lab| {
        let first = Resident::new(lab, "a", network("web", &both()));
        first.del();
        let second = Resident::new(lab, "b", network("web", &both()));
        assert_ne!(first.address(), second.address());
        // In a full network there is nothing else, and nothing is given before its time.
        let small = json!({ "subnet": "10.6.0.0/30" });
        let one = Resident::new(lab, "c", network("small", &small));
        one.del();
        let d = lab.container("d");
        try_add(lab, &d, &network("small", &small)).refused(11);
        let at_once = with_keys(network("small", &small), &json!({ "quarantine": 0 }));
        let again = Resident::on(lab, d, "eth0", at_once);
        assert_eq!(again.address(), one.address());
    });
}

#[test]
fn an_address_can_be_asked_for_in_each_of_the_ways_that_runtimes_have() {
    lab_with_plugins(|lab| {
        let keys =
            with_keys(both(), &json!({ "runtimeConfig": { "ips": ["10.5.0.77/24", "fd05::77"] } }));
        let a = Resident::new(lab, "a", network("web", &keys));
        assert_eq!(
            a.addresses(),
            ["10.5.0.77".parse::<std::net::IpAddr>().unwrap(), "fd05::77".parse().unwrap()]
        );
        a.check();
        let args = with_keys(both(), &json!({ "args": { "cni": { "ips": ["10.5.0.78"] } } }));
        let b = Resident::new(lab, "b", network("web", &args));
        assert_eq!(b.address().to_string(), "10.5.0.78");
        let c = lab.container("c");
        let call = lab.plugin("user-bridge").verb("ADD").container(&c);
        let call = call.args("IP=10.5.0.79;MAC=02:00:00:00:00:79;K8S_POD_NAME=web");
        let result = call.config(&network("web", &both())).run().result();
        assert_eq!(result["ips"][0]["address"], "10.5.0.79/24");
        assert_eq!(c.link("eth0").unwrap()["address"], "02:00:00:00:00:79");
    });
}

#[test]
fn a_mac_can_be_asked_for_and_the_runtimes_wins() {
    lab_with_plugins(|lab| {
        let keys = json!({
            "options": { "com.docker.network.endpoint.macaddress": "02:00:00:00:00:01" },
            "args": { "cni": { "mac": "02:00:00:00:00:02" } },
            "runtimeConfig": { "mac": "02:00:00:00:00:03" },
        });
        for (number, taken) in [("3", ""), ("2", "runtimeConfig"), ("1", "args")] {
            let mut config = network("web", &keys);
            for gone in ["runtimeConfig", "args"]
                .iter()
                .filter(|key| !taken.is_empty() && (taken == "args" || **key == taken))
            {
                config.as_object_mut().unwrap().remove(*gone);
            }
            let resident = Resident::new(lab, &format!("c{number}"), config);
            let link = resident.container.link("eth0").unwrap();
            assert_eq!(link["address"], format!("02:00:00:00:00:0{number}"));
        }
    });
}

#[test]
fn an_address_that_is_asked_for_must_be_free_in_a_subnet_and_no_gateway() {
    lab_with_plugins(|lab| {
        let asking = |ip: &str| {
            network("web", &with_keys(both(), &json!({ "runtimeConfig": { "ips": [ip] } })))
        };
        let _held = Resident::new(lab, "a", asking("10.5.0.9"));
        let c = lab.container("c");
        let before = lab.snapshot();
        for (ip, code, says) in [
            ("10.5.0.9", 100, "container `a`"),
            ("10.5.0.1", 7, "gateway"),
            ("fd05::1", 7, "gateway"),
            ("10.6.0.9", 7, "lies in no subnet of network web"),
            ("10.5.0.255", 7, "10.5.0.255"),
            ("10.5.0.0", 7, "10.5.0.0"),
        ] {
            try_add(lab, &c, &asking(ip)).refused(code).says(&[says]);
        }
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
    });
}

#[test]
fn addresses_outside_the_range_are_given_only_to_who_asks() {
    lab_with_plugins(|lab| {
        let keys =
            json!({ "subnet": "10.5.0.0/24", "gateway": "10.5.0.254", "ipRange": "10.5.0.8/30" });
        let residents: Vec<_> =
            (0..4).map(|n| Resident::new(lab, &format!("c{n}"), network("web", &keys))).collect();
        let mut given: Vec<String> =
            residents.iter().map(|resident| resident.address().to_string()).collect();
        given.sort();
        assert_eq!(given, ["10.5.0.10", "10.5.0.11", "10.5.0.8", "10.5.0.9"]);
        assert_eq!(residents[0].result["ips"][0]["gateway"], "10.5.0.254");
        let c = lab.container("one-more");
        try_add(lab, &c, &network("web", &keys)).refused(11);
        let asked = with_keys(keys, &json!({ "runtimeConfig": { "ips": ["10.5.0.100"] } }));
        let asked = Resident::on(lab, c, "eth0", network("web", &asked));
        assert_eq!(asked.address().to_string(), "10.5.0.100");
    });
}

#[test]
fn what_the_container_asks_of_names_is_in_its_result() {
    lab_with_plugins(|lab| {
        let keys = json!({
            "domainName": "dns.podman",
            "dns": { "nameservers": ["192.0.2.1"], "options": ["ndots:1"] },
            "runtimeConfig": { "aliases": { "web": ["www"] } },
        });
        let a = Resident::new(lab, "a", network("web", &keys));
        let gateway = a.result["ips"][0]["gateway"].clone();
        let expected = json!({
            "nameservers": [gateway, "192.0.2.1"],
            "search": ["dns.podman"],
            "options": ["ndots:1"],
        });
        assert_eq!(a.result["dns"], expected);
        let own = json!({ "dns": { "servers": ["192.0.2.2"], "searches": ["a.example"], "options": ["rotate"] } });
        let b = Resident::new(
            lab,
            "b",
            network("web", &with_keys(keys, &json!({ "runtimeConfig": own }))),
        );
        // Its own servers are asked by the resolver of the network, which is asked first.
        let expected = json!({
            "nameservers": [gateway, "192.0.2.1"],
            "search": ["a.example", "dns.podman"],
            "options": ["ndots:1", "rotate"],
        });
        assert_eq!(b.result["dns"], expected);
    });
}

#[test]
fn nothing_is_put_among_the_leases_of_host_local() {
    lab_with_plugins(|lab| {
        Resident::new(lab, "a", network("web", &both()));
        assert!(fs::metadata("/var/lib/cni/networks").is_err());
    });
}
