//! Interfaces that join and leave.

use netns_fixtures::Lab;
use serde_json::{Value, json};

use super::{OF_THE_KERNEL, call, config, container, lab_with_vrfs, routes, table};
use crate::under_test::{BOOKKEEPING, only_ours, unlike_reference};

const ROUTES: [&str; 3] = [
    "10.8.0.0/16 via 10.1.0.5 dev eth0",
    "default via 10.1.0.1 dev eth0",
    "default via fd00:1::1 dev eth0",
];

fn starts(lines: &[String]) -> Vec<&str> {
    let cut = |line| ROUTES.iter().find(|route| str::starts_with(line, **route)).copied();
    lines.iter().map(|line| cut(line).unwrap_or(line)).collect()
}

#[test]
fn an_interface_joins_with_its_addresses_and_routes() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        call(lab, "ADD", &c, &json!({ "table": 77 })).run().succeeded();
        assert_eq!(c.link("eth0").unwrap()["master"], "blue");
        assert_eq!(table(&c, "blue"), Some(77));
        assert!(c.link("blue").unwrap()["flags"].as_array().unwrap().contains(&json!("UP")));
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
        assert!(!c.run("ip addr show dev eth0 scope global").contains("tentative"));
        assert!(c.run("ip -6 route show table 77 type local").contains("fd00:1::2"));
        assert_eq!(starts(&routes(&c, "77")), ROUTES);
        assert_eq!(routes(&c, "main"), [""; 0]);
    });
}

#[test]
fn a_kept_address_is_usable_when_add_returns() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        c.run("ip addr add fd00:2::2/64 dev eth0");
        std::fs::metadata("/proc/sys/net/ipv6").unwrap();
        c.within(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down", "1").unwrap());
        c.settle();
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        let shown = c.run("ip addr show dev eth0 scope global");
        assert!(shown.contains("fd00:2::2/64") && shown.contains("fd00:1::2/64"), "{shown}");
        unlike_reference(lab, "leaves it tentative", || assert!(!shown.contains("tentative")));
    });
}

#[test]
fn two_interfaces_share_a_vrf_which_goes_with_the_last() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        c.run("ip link add dev net1 type veth peer name net1p");
        c.run("ip link set dev net1 up");
        let of = |verb: &str, ifname: &str| {
            call(lab, verb, &c, &json!({})).ifname(ifname).run().succeeded();
        };
        of("ADD", "eth0");
        of("ADD", "net1");
        assert_eq!(c.link("net1").unwrap()["master"], "blue");
        of("DEL", "eth0");
        assert_eq!(c.link("eth0").unwrap().get("master"), None);
        assert_eq!(table(&c, "blue"), Some(1));
        for _ in 0..2 {
            of("DEL", "net1");
            assert!(c.link("blue").is_none());
        }
    });
}

#[test]
fn a_second_vrf_takes_the_next_table() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        c.run("ip link add dev net1 type veth peer name net1p");
        c.run("ip link add dev red type vrf table 1");
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        assert_eq!(table(&c, "blue"), Some(2));
    });
}

#[test]
fn a_vrf_with_another_table_is_refused_and_left() {
    lab_with_vrfs(|lab| {
        let c = container(lab, "c1");
        c.run("ip link add dev blue type vrf table 9");
        c.settle_link_local();
        let before = lab.snapshot();
        let error = call(lab, "ADD", &c, &json!({ "table": 10 })).run();
        error.error();
        lab.assert_unchanged_but(&before, BOOKKEEPING);
        only_ours(lab, "has other words");
        error.refused(7).says(&["it has table 9, not 10"]);
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        assert_eq!(table(&c, "blue"), Some(9));
    });
}

/// The second default route cannot be made in a table that has one of its metric.
#[test]
fn a_failed_add_leaves_no_vrf_and_gives_everything_back() {
    lab_with_vrfs(|lab| {
        only_ours(lab, "leaves VRF and member");
        let c = container(lab, "c1");
        // Once, so that what the kernel keeps of VRFs is there.
        call(lab, "ADD", &c, &json!({})).run().succeeded();
        call(lab, "DEL", &c, &json!({})).run().is_silent();
        let c = container(lab, "c2");
        c.settle_link_local();
        let before = lab.snapshot();
        let main = routes(&c, "main");
        let add = call(lab, "ADD", &c, &json!({})).env("CAIS_PANIC_AT", "done").run();
        if add.status.success() {
            netns_fixtures::skip("only debug builds panic when told to");
        }
        c.settle_link_local();
        assert_eq!(routes(&c, "main"), main);
        lab.assert_unchanged_but(&before, &[BOOKKEEPING, &[OF_THE_KERNEL]].concat());
    });
}

#[test]
fn results_pass_as_they_came() {
    lab_with_vrfs(|lab: &Lab| {
        let c = container(lab, "c1");
        let passed: Value = call(lab, "ADD", &c, &json!({})).run().result();
        assert_eq!(passed["routes"], config(&c, &json!({}))["prevResult"]["routes"]);
    });
}
