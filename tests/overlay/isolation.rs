//! Two networks on the same hosts.

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::{Town, Underlay, blue, network};
use crate::echo::{assert_answers, assert_silent, serve};

#[test]
fn networks_do_not_reach_each_other_on_one_host_or_on_several() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        town.list("red", 4104, 78, 2);
        let red = network("red", &json!({}));
        let blue1 = town.resident(1, "blue1", &blue());
        let blue2 = town.resident(2, "blue2", &blue());
        let red1 = town.resident(1, "red1", &red);
        let red2 = town.resident(2, "red2", &red);
        blue1.container.assert_reaches(&blue2.container);
        red2.container.assert_reaches(&red1.container);
        for (from, to) in [(&blue1, &red1), (&blue1, &red2), (&red2, &blue1)] {
            for address in to.addresses() {
                from.container.assert_cannot_reach_at(&to.container, address);
            }
        }
        // A host's gateways are their own network's alone.
        for place in [town.host(1), town.host(2)] {
            serve(place, "host", 99);
        }
        assert_answers(&blue1.container, ("10.77.1.1", 99), "host", "10.77.1.2");
        assert_answers(&blue2.container, ("10.77.1.1", 99), "host", "10.77.2.2");
        assert_silent(&blue1.container, ("10.78.1.1", 99));
        assert_silent(&blue2.container, ("10.78.1.1", 99));
        assert_silent(&blue1.container, ("fd78:0:0:1::1", 99));
        // The guard of one stays when the other goes.
        red1.del();
        assert!(town.host(1).link("ov-001008").is_none());
        blue2.container.assert_reaches(&blue1.container);
        blue1.check();
        let left = town.host(1).run("nft list table inet cais-overlay");
        assert!(!left.contains("red") && left.contains("blue"), "{left}");
    });
}

#[test]
fn without_the_tables_networks_would_reach_each_other() {
    lab_with_plugins(|lab| {
        // What the case before this one claims would be worth nothing else.
        let town = Town::new(lab, 2, Underlay::V4);
        town.list("red", 4104, 78, 2);
        let a = town.resident(1, "blue1", &blue());
        let b = town.resident(1, "red1", &network("red", &json!({})));
        town.host(1).run("nft flush ruleset");
        a.container.assert_reaches(&b.container);
    });
}

#[test]
fn nobody_but_the_network_itself_comes_in() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let a = town.resident(1, "c1", &blue());
        let b = town.resident(2, "c2", &blue());
        serve(&a.container, "a", 80);
        serve(&b.container, "b", 80);
        let outside = town.plug_in("outside", 99);
        outside.run("ip route add 10.77.0.0/16 via 10.99.0.1");
        // By the first host to its own container, and through it to the second's.
        assert_silent(&outside, ("10.77.1.2", 80));
        assert_silent(&outside, ("10.77.2.2", 80));
        assert_answers(&a.container, ("10.77.2.2", 80), "b", "10.77.1.2");
    });
}
