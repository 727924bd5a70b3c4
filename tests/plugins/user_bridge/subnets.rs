//! Subnets that are picked: free, different, and kept.

use std::fs;
use std::process::Command;
use std::thread;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{OF_THE_NETWORK, Resident, VERSION, network, text, try_add};

/// The file of a network in the registry.
fn entry(name: &str) -> Value {
    let file = format!("/var/lib/cni/cais/networks/{name}.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The subnets that a network was given.
fn subnets(name: &str) -> Vec<String> {
    let subnets = entry(name)["subnets"].as_array().cloned().unwrap_or_default();
    subnets.iter().map(|held| text(&held["subnet"])).collect()
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        let list = include_str!("../../../docs/examples/user-bridge.conflist");
        let page = include_str!("../../../docs/plugins/user-bridge.md");
        let c = lab.container("c1");
        crate::under_test::only_ours(lab, "has no such plugin");
        crate::plugins::example::works(&lab.plugin("user-bridge").container(&c), list, page);
    });
}

#[test]
fn networks_without_a_subnet_get_one_after_the_other_and_their_bridges_are_named_after_them() {
    lab_with_plugins(|lab| {
        let a = Resident::new(lab, "a", network("a", &json!({})));
        let b = Resident::new(lab, "b", network("b", &json!({ "ipv6": true })));
        assert_eq!(subnets("a"), ["172.18.0.0/16"]);
        assert_eq!(a.result["ips"][0]["address"], "172.18.0.2/16");
        assert_eq!(a.result["ips"][0]["gateway"], "172.18.0.1");
        assert_eq!(subnets("b")[0], "172.19.0.0/16");
        assert!(subnets("b")[1].starts_with("fd") && subnets("b")[1].ends_with("::/64"));
        let id = text(&entry("a")["id"]);
        assert_eq!(id.len(), 64);
        assert_eq!(a.bridge(), format!("br-{}", &id[..12]));
        assert_eq!(entry("a")["bridge"], json!(a.bridge()));
        assert_ne!(a.bridge(), b.bridge());
        a.check();
        b.check();
    });
}

#[test]
fn what_routes_addresses_and_name_servers_of_the_host_overlap_is_passed_over() {
    lab_with_plugins(|lab| {
        let host = lab.host();
        host.run("ip link add dev up0 type veth peer name up1");
        host.run("ip addr add 172.18.4.1/24 dev up0");
        host.run("ip link set dev up0 up");
        // A way to a VPN, in a table of its own.
        host.run("ip route add 172.19.7.0/24 dev up0 table 100");
        host.run("ip route add default dev up0");
        host.run("ip -6 addr add fd00:9::1/64 dev up0");
        Resident::new(lab, "a", network("a", &json!({})));
        assert_eq!(subnets("a"), ["172.20.0.0/16"]);
        let pools = json!({ "defaultPools": [{ "base": "172.18.4.0/23", "size": 24 }] });
        Resident::new(lab, "b", network("b", &pools));
        assert_eq!(subnets("b"), ["172.18.5.0/24"]);
        let c = lab.container("c");
        let config =
            network("c", &json!({ "defaultPools": [{ "base": "172.18.4.0/24", "size": 25 }] }));
        try_add(lab, &c, &config)
            .refused(11)
            .says(&["all predefined address pools", "fully subnetted"]);
    });
}

#[test]
fn the_subnet_of_a_name_server_behind_the_default_route_is_passed_over() {
    lab_with_plugins(|lab| {
        crate::under_test::only_ours(lab, "has no such plugin");
        fs::create_dir_all("/run/root/etc").unwrap();
        fs::write("/run/root/etc/resolv.conf", "# office\nnameserver 172.18.0.53\n").unwrap();
        let c = lab.container("c");
        let call =
            lab.plugin("user-bridge").verb("ADD").container(&c).env("CAIS_ROOT", "/run/root");
        let result = call.config(&network("web", &json!({}))).run().result();
        assert_eq!(result["ips"][0]["address"], "172.19.0.2/16");
    });
}

#[test]
fn a_network_whose_configuration_changes_keeps_what_was_picked_for_it() {
    lab_with_plugins(|lab| {
        Resident::new(lab, "a", network("web", &json!({}))).del();
        Resident::new(lab, "o", network("other", &json!({})));
        let picked = subnets("web");
        let b = Resident::new(lab, "b", network("web", &json!({ "ipv6": true, "bridge": "web0" })));
        assert_eq!(subnets("web")[0], picked[0]);
        assert_eq!(subnets("web").len(), 2);
        assert_eq!(b.bridge(), "web0");
        b.check();
        b.del();
        assert!(lab.host().link("web0").is_none());
    });
}

#[test]
fn a_network_keeps_its_subnet_when_the_host_is_started_again() {
    lab_with_plugins(|lab| {
        let other = Resident::new(lab, "o", network("other", &json!({})));
        let web = Resident::new(lab, "a", network("web", &json!({ "ipv6": true })));
        let given = subnets("web");
        let bridge = web.bridge();
        // What a start leaves: no links, no rules, an empty /run; other networks may come first.
        for resident in [&web, &other] {
            resident.container.remove();
            lab.host().run(&format!("ip link del dev {}", resident.bridge()));
        }
        lab.host().run("nft flush ruleset");
        fs::remove_dir_all("/run/cais").unwrap();
        Resident::new(lab, "n", network("new", &json!({ "ipv6": true })));
        let again = Resident::new(lab, "b", network("web", &json!({ "ipv6": true })));
        assert_eq!(subnets("web"), given);
        assert_eq!(again.bridge(), bridge);
        assert!(text(&again.result["ips"][0]["address"]).starts_with("172.19.0."));
    });
}

#[test]
fn twenty_networks_that_begin_at_once_get_twenty_subnets() {
    lab_with_plugins(|lab| {
        let containers: Vec<_> = (0..20).map(|n| lab.container(&format!("c{n}"))).collect();
        let configs: Vec<Value> =
            (0..20).map(|n| network(&format!("net{n}"), &json!({ "ipv6": true }))).collect();
        thread::scope(|scope| {
            let each = containers.iter().zip(&configs);
            let running: Vec<_> = each
                .map(|(container, config)| {
                    scope.spawn(move || {
                        try_add(lab, container, config).succeeded();
                    })
                })
                .collect();
            running.into_iter().for_each(|one| one.join().unwrap());
        });
        let mut all: Vec<String> = (0..20).flat_map(|n| subnets(&format!("net{n}"))).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 40, "{all:?}");
    });
}

#[test]
fn containers_that_begin_one_network_at_once_are_on_one_network() {
    lab_with_plugins(|lab| {
        let config = network("web", &json!({}));
        let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
        let residents: Vec<Resident<'_>> = thread::scope(|scope| {
            let config = &config;
            let running: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(move || Resident::new(lab, name, config.clone())))
                .collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut addresses: Vec<_> = residents.iter().map(Resident::address).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 8);
        residents[0].container.assert_reaches(&residents[7].container);
        thread::scope(|scope| {
            for resident in &residents {
                scope.spawn(|| resident.del());
            }
        });
        assert!(
            lab.host().link(&residents[0].bridge()).is_none() || {
                // The last two may have gone at once; then GC takes it.
                gc(lab, &config);
                lab.host().link(&residents[0].bridge()).is_none()
            }
        );
    });
}

fn gc(lab: &Lab, config: &Value) {
    let mut config = config.clone();
    config["cni.dev/valid-attachments"] = json!([]);
    lab.plugin("user-bridge").verb("GC").config(&config).run().is_silent();
}

#[test]
fn a_subnet_that_is_given_must_be_nobody_elses() {
    lab_with_plugins(|lab| {
        Resident::new(lab, "a", network("a", &json!({ "subnet": "10.5.0.0/16" })));
        let c = lab.container("c");
        let before = lab.snapshot();
        let config = network("b", &json!({ "subnet": "10.5.7.0/24" }));
        let refused = try_add(lab, &c, &config).refused(7);
        refused.says(&["Pool overlaps with other one on this address space", "network a"]);
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
        Resident::on(lab, c, "eth0", network("b", &json!({ "subnet": "10.6.7.0/24" })));
    });
}

#[test]
fn any_free_subnet_of_a_size_can_be_asked_for() {
    lab_with_plugins(|lab| {
        let keys = json!({ "subnets": [{ "subnet": "0.0.0.0/26" }, { "subnet": "::/80" }] });
        Resident::new(lab, "a", network("a", &keys));
        assert_eq!(subnets("a")[0], "172.18.0.0/26");
        assert!(subnets("a")[1].ends_with("/80"));
    });
}

#[test]
fn what_cannot_be_a_subnet_is_refused_with_its_key() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        let before = lab.snapshot();
        for (keys, says) in [
            (json!({ "subnet": "10.5.0.1/16" }), "subnet"),
            (json!({ "subnet": "10.5.0.0/31" }), "subnet"),
            (json!({ "subnet": "127.0.0.0/16" }), "127.0.0.0/8"),
            (json!({ "subnet": "10.5.0.0/16", "gateway": "10.6.0.1" }), "gateway"),
            (json!({ "subnet": "10.5.0.0/16", "gateway": "10.5.255.255" }), "gateway"),
            (json!({ "gateway": "10.6.0.1" }), "gateway"),
            (json!({ "subnet": "10.5.0.0/16", "ipRange": "10.6.0.0/24" }), "ipRange"),
            (
                json!({ "subnets": [{ "subnet": "10.5.0.0/16" }, { "subnet": "10.5.1.0/24" }] }),
                "overlaps",
            ),
            (json!({ "subnets": [{ "gateway": "10.5.0.1" }] }), "subnets[0]"),
            (json!({ "ipv4": false }), "ipv4"),
            (json!({ "subnet": "10.5.0.0/16", "ipv4": false }), "ipv4"),
            (json!({ "defaultPools": [{ "base": "10.0.0.0/8", "size": 31 }] }), "size"),
            (json!({ "defaultPools": [{ "base": "10.0.0.0/8" }] }), "defaultPools[0]"),
            (json!({ "ipv6": true, "mtu": 1000 }), "1280"),
        ] {
            try_add(lab, &c, &network("web", &keys)).refused(7).says(&[says]);
        }
        lab.assert_unchanged_but(&before, OF_THE_NETWORK);
    });
}

#[test]
fn a_registry_of_a_newer_version_or_a_broken_one_is_left_alone() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        for (text, says) in [("{\"layout\": 7}", "layout 7"), ("{", "web.json")] {
            fs::create_dir_all("/var/lib/cni/cais/networks").unwrap();
            fs::write("/var/lib/cni/cais/networks/web.json", text).unwrap();
            try_add(lab, &c, &network("web", &json!({}))).refused(5).says(&[says]);
            let now = fs::read_to_string("/var/lib/cni/cais/networks/web.json").unwrap();
            assert_eq!(now, text);
        }
        // DEL needs nothing of it.
        let call = lab.plugin("user-bridge").container(&c).config(&network("web", &json!({})));
        call.verb("DEL").run().is_silent();
    });
}

#[test]
fn validate_knows_the_plugin_and_names_the_nearest_key() {
    lab_with_plugins(|lab| {
        crate::under_test::only_ours(lab, "has no such plugin");
        let list = json!({ "cniVersion": VERSION, "name": "web", "plugins": [
            { "type": "user-bridge", "intrenal": true },
        ] });
        fs::write("/run/web.conflist", list.to_string()).unwrap();
        let plugins = lab.plugins();
        let outcome = Command::new(plugins.join("cais"))
            .args(["validate", "/run/web.conflist"])
            .env("CNI_PATH", &plugins)
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&outcome.stdout) + String::from_utf8_lossy(&outcome.stderr);
        assert!(said.contains("internal"), "{said}");
    });
}
