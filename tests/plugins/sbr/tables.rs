//! Which rules and tables are made of which keys.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{call, config, container, routes, rules};
use crate::under_test::only_ours;

#[test]
fn each_address_has_a_rule_and_a_table_and_the_main_one_is_left() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let result = call(lab, "ADD", &c, &json!({})).run().result();
        assert_eq!(result["ips"].as_array().unwrap().len(), 2);
        assert_eq!(rules(&c), ["from 10.1.0.2 lookup 100", "from fd00:1::2 lookup 101"]);
        assert_eq!(routes(&c, "main"), [""; 0]);
        only_ours(lab, "copies routes of IPv6 as well");
        let expected = [
            "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2",
            "10.8.0.0/16 via 10.1.0.5 dev eth0",
            "default via 10.1.0.1 dev eth0",
        ];
        assert_eq!(routes(&c, "100"), expected);
        let seen = routes(&c, "101");
        assert!(seen[0].starts_with("default via fd00:1::1 dev eth0"), "{seen:?}");
        assert!(seen[1].starts_with("fd00:1::/64 dev eth0") && seen.len() == 2, "{seen:?}");
        let way = c.run("ip route get 192.0.2.1 from 10.1.0.2");
        assert!(way.contains("via 10.1.0.1 dev eth0 table 100"), "{way}");
    });
}

#[test]
fn with_a_table_of_others_there_are_rules_alone() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know the key in 1.1.1");
        let c = container(lab, "c1");
        let (main, members) = (routes(&c, "main"), json!({ "table": 5000 }));
        for _ in 0..2 {
            call(lab, "ADD", &c, &members).run().result();
            assert_eq!(rules(&c), ["from 10.1.0.2 lookup 5000", "from fd00:1::2 lookup 5000"]);
        }
        assert_eq!(routes(&c, "main"), main);
        call(lab, "CHECK", &c, &members).run().is_silent();
        let other = call(lab, "CHECK", &c, &json!({ "table": 5001 })).run();
        other.refused(101).says(&["no rule leads from 10.1.0.2 to table 5001 in /run/netns/c1"]);
        c.run("ip rule add from 10.1.0.2 lookup 7000");
        call(lab, "DEL", &c, &members).run().is_silent();
        assert_eq!(rules(&c), ["from 10.1.0.2 lookup 7000"]);
        let stronger = json!({ "table": 5000, "args": { "cni": { "table": 6000 } } });
        call(lab, "ADD", &c, &stronger).run().result();
        assert!(rules(&c).contains(&"from fd00:1::2 lookup 6000".to_owned()), "{:?}", rules(&c));
    });
}

#[test]
fn gateways_that_are_written_down_win_over_those_of_ipam() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know the key in 1.1.1");
        let c = container(lab, "c1");
        c.run("ip route flush default");
        c.run("ip -6 route del default");
        let members = json!({ "gateways": ["10.1.0.9", "fd00:1::9"] });
        call(lab, "ADD", &c, &members).run().result();
        assert!(routes(&c, "100").contains(&"default via 10.1.0.9 dev eth0".to_owned()));
        assert!(c.run("ip -6 route show table 101").contains("default via fd00:1::9 dev eth0"));
        call(lab, "CHECK", &c, &members).run().is_silent();
        call(lab, "CHECK", &c, &json!({})).run().refused(101).says(&["default route via 10.1.0.1"]);
    });
}

#[test]
fn source_hints_leave_subnets_in_the_main_table() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know the key in 1.1.1");
        let c = container(lab, "c1");
        let members = json!({ "addSourceHints": true });
        call(lab, "ADD", &c, &members).run().result();
        let main = routes(&c, "main");
        assert_eq!(main[0], "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2");
        assert!(main[1].starts_with("fd00:1::/64 dev eth0") && main.len() == 2, "{main:?}");
        assert!(main[1].contains("src fd00:1::2"), "{main:?}");
        call(lab, "CHECK", &c, &members).run().is_silent();
    });
}

#[test]
fn addresses_of_other_interfaces_are_left_alone() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let mut config = config(&c, &json!({}));
        let net1 = json!({ "name": "net1", "sandbox": "/run/netns/c1" });
        config["prevResult"]["interfaces"].as_array_mut().unwrap().push(net1);
        config["prevResult"]["ips"][1]["interface"] = json!(1);
        lab.plugin("sbr").container(&c).config(&config).verb("ADD").run().result();
        assert_eq!(rules(&c), ["from 10.1.0.2 lookup 100"]);
    });
}

#[test]
fn without_an_address_there_is_nothing_to_route_and_add_says_so() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        let mut config = config(&c, &json!({}));
        config["prevResult"]["ips"] = json!([]);
        let add = lab.plugin("sbr").container(&c).config(&config).verb("ADD").run();
        let error = add.error();
        config["prevResult"] = Value::Null;
        let alone = lab.plugin("sbr").container(&c).config(&config).verb("ADD").run().error();
        lab.assert_unchanged(&before);
        only_ours(lab, "has other words");
        error.says(&["prevResult has no address of eth0", "hint"]);
        alone.says(&["prevResult missing"]);
    });
}

#[test]
fn an_interface_that_is_missing_is_named() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let error = call(lab, "ADD", &c, &json!({})).run().error();
        only_ours(lab, "has other words");
        error.says(&["route by source: eth0 is missing in /run/netns/c1", "hint"]);
    });
}
