//! What the link stands on: named, found, or missing.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{attached, lan, layer2, link, master, with, with_addresses};
use crate::plugins::sublinks::other_link;
use crate::under_test::{MASTER, are_ours, only_ours};

const UNKNOWN: &str = "does not know STATUS (1.1.1)";

/// Without the name of a master.
fn unnamed() -> Value {
    with(layer2(), "master", Value::Null)
}

/// Index of the link that the container's stands on.
#[track_caller]
fn stands_on(lab: &Lab, name: &str, config: &Value) -> Value {
    let c = attached(lab, name, config);
    link(&c)["link_index"].clone()
}

fn index(lab: &Lab, name: &str) -> Value {
    lab.host().link(name).expect("the case made it")["ifindex"].clone()
}

#[test]
fn without_a_master_it_is_the_link_of_the_default_route() {
    lab_with_plugins(|lab| {
        master(lab);
        other_link(lab);
        lab.host().run("ip route add default via 10.7.0.254");
        assert_eq!(stands_on(lab, "a", &unnamed()), index(lab, "other0"));
        assert_eq!(
            stands_on(lab, "b", &with(unnamed(), "master", json!(""))),
            index(lab, "other0")
        );
    });
}

#[test]
fn without_ipv4_the_default_route_of_ipv6_counts() {
    lab_with_plugins(|lab| {
        master(lab);
        other_link(lab);
        lab.host().run("ip -6 route add default via fd00:7::254");
        assert_eq!(stands_on(lab, "a", &unnamed()), index(lab, "other0"));
    });
}

#[test]
fn of_two_default_routes_the_one_in_use_counts() {
    lab_with_plugins(|lab| {
        master(lab).run("ip addr add 10.8.0.1/24 dev lan0");
        other_link(lab);
        lab.host().run("ip route add default via 10.8.0.254 metric 200");
        lab.host().run("ip route add default via 10.7.0.254 metric 100");
        assert_eq!(stands_on(lab, "a", &unnamed()), index(lab, "other0"));
    });
}

#[test]
fn without_master_and_default_route_add_and_status_say_what_to_write() {
    lab_with_plugins(|lab| {
        master(lab);
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c).config(&unnamed());
        let error = call.clone().verb("ADD").run().error();
        only_ours(lab, UNKNOWN);
        error.says(&["key \"master\" is missing", "no default route", "name a link"]);
        let config = with(unnamed(), "cniVersion", json!("1.1.0"));
        let call = lab.plugin("macvlan").config(&config).verb("STATUS");
        call.run().refused(50).says(&["no default route"]);
    });
}

#[test]
fn a_container_on_a_master_that_is_down_is_reached_when_that_is_up() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        lab.host().run("ip link set dev lan0 down");
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c).config(&with_addresses(&["10.1.0.5/24"]));
        let outcome = call.verb("ADD").run();
        outcome.succeeded();
        if are_ours(lab) {
            assert!(outcome.stderr.contains("lan0 is down"), "{}", outcome.stderr);
        }
        lab.host().run("ip link set dev lan0 up");
        lan.assert_reaches(&c);
    });
}

#[test]
fn a_link_that_is_no_master_is_refused_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let before = lab.snapshot();
        let c = lab.container("c1");
        let call = lab.plugin("macvlan").container(&c);
        let config = with(layer2(), "master", json!("lo"));
        call.clone().config(&config).verb("ADD").run().error();
        lab.host().run("ip link add dev br0 type bridge");
        master(lab).run("ip link set dev lan0 master br0");
        let error = call.config(&layer2()).verb("ADD").run().error();
        only_ours(lab, "says no more than the kernel");
        error.says(&["create macvlan eth0 over lan0 in /run/netns/c1: EBUSY", "a bridge"]);
        lab.host().run("ip link del dev br0");
        lab.host().run("ip link del dev lan0");
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_master_within_the_container_is_taken_when_asked_for() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know linkInContainer (1.1.1)");
        let neighbour = lab.another_host("neighbour");
        let c = lab.container("c1");
        lab.wire((&c, MASTER), (&neighbour, "eth0"));
        neighbour.run("ip addr add 10.1.0.9/24 dev eth0");
        let before = lab.snapshot();
        let config = with(with_addresses(&["10.1.0.5/24"]), "linkInContainer", json!(true));
        let mut checked = config.clone();
        checked["prevResult"] = lab.add("macvlan", &c, &config);
        assert_eq!(link(&c)["link"], MASTER);
        c.assert_reaches(&neighbour);
        let call = lab.plugin("macvlan").container(&c).config(&checked);
        call.clone().verb("CHECK").run().is_silent();
        call.verb("DEL").run().is_silent();
        lab.assert_unchanged_but(&before, crate::under_test::BOOKKEEPING);
        // And by the default route that the container has there.
        c.run("ip addr add 10.1.0.6/24 dev lan0");
        c.run("ip route add default via 10.1.0.9");
        lab.add("macvlan", &c, &with(config, "master", Value::Null));
        assert_eq!(link(&c)["link"], MASTER);
    });
}
