//! From the first container to the last, and what goes wrong in between.

use std::fs;

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{KEPT, Town, Underlay, blue, network, peers};

#[test]
fn del_of_the_last_container_leaves_nothing() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let first = town.resident(1, "first", &blue());
        first.del();
        let before = lab.snapshot();
        let (a, b) = (town.resident(1, "c1", &blue()), town.resident(1, "c2", &blue()));
        a.del();
        b.check();
        assert!(town.host(1).link("ov-001007").is_some());
        // A file that went wrong keeps nobody from leaving.
        fs::write(peers("blue"), "{").unwrap();
        b.del();
        b.del();
        fs::write(peers("blue"), "{").unwrap();
        lab.assert_unchanged_but(&before, &[KEPT, &["/run/peers/"]].concat());
    });
}

#[test]
fn an_add_that_fails_leaves_nothing() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let first = town.resident(1, "first", &blue());
        first.del();
        let container = lab.container("c1");
        container.run("ip link add dev eth0 type bridge");
        let before = lab.snapshot();
        // The container has such an interface already.
        town.try_add(1, &container, &blue()).error().says(&["eth0"]);
        lab.assert_unchanged_but(&before, KEPT);
        let taken = town.resident(1, "c2", &blue());
        let before = lab.snapshot();
        town.try_add(1, &container, &blue()).error();
        lab.assert_unchanged_but(&before, KEPT);
        taken.check();
    });
}

#[test]
fn del_and_gc_need_neither_records_nor_namespaces() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let first = town.resident(1, "first", &blue());
        first.del();
        let before = lab.snapshot();
        let a = town.resident(1, "c1", &blue());
        a.container.remove();
        a.call("DEL").without("CNI_NETNS").run().is_silent();
        lab.assert_unchanged_but(&before, KEPT);
        let b = town.resident(1, "c2", &blue());
        let mut config = blue();
        config["cni.dev/valid-attachments"] = json!([{ "containerID": "c2", "ifname": "eth0" }]);
        town.call(1, &config).verb("GC").run().is_silent();
        b.check();
        config["cni.dev/valid-attachments"] = json!([]);
        town.call(1, &config).verb("GC").run().is_silent();
        assert!(town.host(1).link("ov-001007").is_none());
        assert!(b.container.link("eth0").is_none());
        lab.assert_unchanged_but(&before, &[KEPT, &["c2 "]].concat());
    });
}

#[test]
fn what_others_took_away_check_notices_status_tells_and_the_next_add_makes() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let a = town.resident(1, "c1", &blue());
        let b = town.resident(2, "c2", &blue());
        let status = || town.call(1, &blue()).verb("STATUS").run();
        status().is_silent();
        for command in [
            "ip link del dev ov-001007",
            "ip link set dev ov-001007 down",
            "ip route flush proto 202",
            "ip neigh flush dev ov-001007 nud permanent",
            "bridge fdb flush dev ov-001007",
            "nft delete table inet cais-overlay",
            "nft flush chain inet cais-overlay over4",
            "nft flush ruleset",
        ] {
            // Not every version of these tools can flush.
            if !town.host(1).try_run(command).status.success() {
                assert!(command.contains("flush"), "{command}");
                continue;
            }
            let refused = a.call("CHECK").run().refused(101);
            println!("{command}: {}", refused.text());
            status().refused(51);
            let again = town.resident(1, "c3", &blue());
            a.container.assert_reaches(&b.container);
            status().is_silent();
            again.del();
            again.container.remove();
        }
    });
}

#[test]
fn a_guard_that_an_administrator_saved_and_loaded_is_the_same() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let a = town.resident(1, "c1", &blue());
        let b = town.resident(2, "c2", &blue());
        let host = town.host(1);
        let list = "nft -s list table inet cais-overlay";
        let saved = host.run(list);
        fs::write("/run/saved.nft", &saved).unwrap();
        host.run("nft delete table inet cais-overlay");
        host.run("nft -f /run/saved.nft");
        assert_eq!(host.run(list), saved);
        a.check();
        b.container.assert_reaches(&a.container);
        // And the next ADD has nothing to do.
        let again = town.resident(1, "c3", &blue());
        assert_eq!(host.run(list), saved);
        again.del();
    });
}

#[test]
fn a_second_add_of_the_same_attachment_is_refused_and_the_first_stays() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let a = town.resident(1, "c1", &blue());
        let before = lab.snapshot();
        town.try_add(1, &a.container, &blue()).error();
        lab.assert_unchanged_but(&before, KEPT);
        a.check();
    });
}

#[test]
fn twenty_containers_at_once_share_one_device() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let before = {
            town.resident(1, "first", &blue()).del();
            lab.snapshot()
        };
        let containers: Vec<_> = (0..20).map(|n| lab.container(&format!("c{n}"))).collect();
        let both = |verb: &str| {
            std::thread::scope(|scope| {
                for container in &containers {
                    let call = town.call(1, &blue()).verb(verb).container(container);
                    scope.spawn(move || call.run().succeeded().status);
                }
            });
        };
        both("ADD");
        let routes = town.host(1).run("ip -4 route show proto 202");
        assert_eq!(routes.lines().count(), 1, "{routes}");
        both("DEL");
        for container in &containers {
            container.remove();
        }
        lab.assert_unchanged_but(&before, KEPT);
    });
}

#[test]
fn an_mtu_that_is_given_and_a_requested_address_are_had() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let keys = json!({
            "mtu": 1300,
            "runtimeConfig": { "ips": ["10.77.1.40"], "mac": "02:00:00:00:00:40" },
        });
        let a = town.resident(1, "c1", &network("blue", &keys));
        assert_eq!(a.addresses()[0].to_string(), "10.77.1.40");
        let link = a.container.link("eth0").unwrap();
        assert_eq!((&link["mtu"], &link["address"]), (&1300.into(), &"02:00:00:00:00:40".into()));
        assert_eq!(town.host(1).link("ov-001007").unwrap()["mtu"], 1300);
        let other = network("blue", &json!({ "runtimeConfig": { "ips": ["10.77.2.40"] } }));
        let container = lab.container("c2");
        let refused = town.try_add(1, &container, &other).refused(7);
        refused.says(&["10.77.2.40 lies in no block of this host", "10.77.1.0/24"]);
    });
}
