//! What is said where a network cannot be had, and what a daemon says of one.

use std::fs;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{KEPT, Town, Underlay, blue, peers};

#[test]
fn a_file_that_is_wrong_is_refused_with_what_is_wrong_and_nothing_is_made() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let whole = fs::read_to_string(peers("blue")).unwrap();
        town.resident(1, "first", &blue()).del();
        let container = lab.container("c1");
        let before = lab.snapshot();
        for (from, to, code, says) in [
            ("{", "", 7, "/run/peers/blue.json"),
            ("\"v\":1", "\"v\":9", 7, "layout 9, this program reads 1"),
            ("10.99.0.1\"", "10.99.0.77\"", 7, "it lists no host with an address of this one"),
            ("10.77.1.0/24", "10.88.1.0/24", 7, "host h1, 10.88.1.0/24: lies in no pool of blue"),
            ("10.77.1.0/24", "10.77.2.0/23", 7, "host h2, 10.77.2.0/24"),
            ("10.77.1.0/24", "10.77.1.0/31", 7, "10.77.1.0/31 has no room for containers"),
            ("4103", "0", 7, "VNI 0 is outside"),
        ] {
            let wrong = whole.replacen(from, to, 1);
            assert_ne!(wrong, whole, "{from}");
            fs::write(peers("blue"), wrong).unwrap();
            let outcome = town.try_add(1, &container, &blue());
            if says.contains("h2") {
                // The first claim in the file stands; the other host is warned of.
                assert!(outcome.stderr.contains(says), "{outcome}");
                town.call(1, &blue()).verb("DEL").container(&container).run().is_silent();
                continue;
            }
            outcome.refused(code).says(&[says]);
            town.call(1, &blue()).verb("STATUS").run().refused(50).says(&[says]);
        }
        fs::remove_file(peers("blue")).unwrap();
        town.try_add(1, &container, &blue()).refused(5).says(&["docs/overlay"]);
        lab.assert_unchanged_but(&before, &[KEPT, &["/run/peers/", "/run/root1"]].concat());
    });
}

#[test]
fn of_more_hosts_than_a_file_may_list_the_first_are_reached_and_the_rest_is_told() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        town.list("blue", 4103, 77, 66);
        let container = lab.container("c1");
        let outcome = town.try_add(1, &container, &blue());
        outcome.succeeded();
        let says = "host h66, 10.77.66.0/24: there are more than 65 hosts; it is not reached";
        assert!(outcome.stderr.contains(says), "{outcome}");
        assert!(!outcome.stderr.contains("host h65"), "{outcome}");
        let routes = town.host(1).run("ip -4 route show proto 202");
        assert_eq!(routes.lines().count(), 64);
    });
}

#[test]
fn what_is_in_the_way_is_named() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let container = lab.container("c1");
        let host = town.host(1);
        host.run("ip link add dev flannel.1 type vxlan id 4103 dstport 4789 local 10.99.0.1");
        let refused = town.try_add(1, &container, &blue()).refused(5);
        refused.says(&["flannel.1 already takes packets of VNI 4103", "ip link del flannel.1"]);
        host.run("ip link del dev flannel.1");
        host.run("ip route add 10.77.200.0/24 via 10.99.0.2");
        let refused = town.try_add(1, &container, &blue()).refused(5);
        refused.says(&["10.77.200.0/24 dev eth0 overlaps its pool 10.77.0.0/16"]);
        assert!(!host.run("nft list ruleset").contains("cais-overlay"));
        host.run("ip route del 10.77.200.0/24");
        town.try_add(1, &container, &blue()).succeeded();
    });
}

/// The network whose peers a daemon knows.
fn of_etcd() -> Value {
    let store = json!({ "type": "etcd", "endpoints": ["https://192.0.2.1:2379"] });
    let mut config = blue();
    config["store"] = store;
    config
}

#[test]
fn where_etcd_cannot_be_reached_the_first_container_is_told_so() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 1, Underlay::V4);
        let container = lab.container("c1");
        let refused = town.try_add(1, &container, &of_etcd()).refused(11);
        refused.says(&["network blue", "etcd is away", "192.0.2.1:2379"]);
        // The daemon runs; whether a container can be added is seen when one is.
        town.call(1, &of_etcd()).verb("STATUS").run().is_silent();
        town.call(1, &of_etcd()).verb("DEL").container(&container).run().is_silent();
    });
}

#[test]
fn what_a_daemon_wrote_is_acted_upon_and_what_it_made_stays() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 1, Underlay::V4);
        let host = town.host(1);
        let dir = "/run/root1/run/cais/overlay";
        fs::create_dir_all(dir).unwrap();
        let node = |allowed: bool| {
            let file = json!({
                "v": 1, "network": "blue", "vni": 4103, "epoch": 1, "hostId": "h1",
                "bridge": "ob-001007", "device": "ov-001007", "mtu": 1400,
                "blocks": [
                    { "cidr": "10.77.1.0/24", "gw": "10.77.1.1", "state": "draining" },
                    { "cidr": "10.77.5.0/24", "gw": "10.77.5.1", "state": "active" },
                ],
                "pool": ["10.77.0.0/16"], "masq": true, "dns": ["10.77.5.1"],
                "addAllowed": allowed, "addDeniedReason": "quarantined: h9 owns 10.77.1.0/24",
            });
            fs::write(format!("{dir}/blue.json"), file.to_string()).unwrap();
        };
        node(true);
        host.run(
            "ip link add dev ov-001007 type vxlan id 4103 dstport 4789 local 10.99.0.1 nolearning",
        );
        let a = town.resident(1, "c1", &of_etcd());
        assert_eq!(a.addresses()[0].to_string(), "10.77.5.2", "not of a block that drains");
        assert_eq!(a.container.link("eth0").unwrap()["mtu"], 1400);
        assert_eq!(a.config["prevResult"]["dns"]["nameservers"], json!(["10.77.5.1"]));
        a.check();
        town.call(1, &of_etcd()).verb("STATUS").run().is_silent();
        node(false);
        let container = lab.container("c2");
        let refused = town.try_add(1, &container, &of_etcd()).refused(11);
        refused.says(&["quarantined: h9 owns 10.77.1.0/24"]);
        town.call(1, &of_etcd()).verb("STATUS").run().refused(51).says(&["quarantined"]);
        a.del();
        assert!(host.link("ov-001007").is_some() && host.link("ob-001007").is_none());
        fs::write(format!("{dir}/blue.json"), "{\"v\": 9}").unwrap();
        town.try_add(1, &container, &of_etcd()).refused(50).says(&["layout 9"]);
    });
}
