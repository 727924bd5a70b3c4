//! Published ports.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{Town, Underlay, blue, network};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::uplink::both;

fn publishing(port: u16) -> Value {
    network("blue", &json!({ "runtimeConfig": { "portMappings": both(port, 80) } }))
}

#[test]
fn a_port_of_a_host_leads_to_a_container_on_it_from_everywhere() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let outside = town.plug_in("outside", 99);
        let a = town.resident(1, "c1", &publishing(8080));
        let neighbour = town.resident(1, "c2", &blue());
        let b = town.resident(2, "c3", &blue());
        serve(&a.container, "a", 80);
        a.check();
        assert_answers(&outside, ("10.99.0.1", 8080), "a", "10.99.0.99");
        assert_answers(&outside, ("fd99::1", 8080), "a", "fd99::99");
        assert_answers(&neighbour.container, ("10.99.0.1", 8080), "a", "10.77.1.1");
        // Another host's container leaves its network for it.
        assert_answers(&b.container, ("10.99.0.1", 8080), "a", "10.99.0.2");
        assert_answers(town.host(1), ("127.0.0.1", 8080), "a", "10.77.1.1");
        assert_silent(&outside, ("10.99.0.2", 8080));
        a.del();
        assert_silent(&outside, ("10.99.0.1", 8080));
    });
}

#[test]
fn a_port_that_another_container_has_is_refused_and_nothing_is_left() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let a = town.resident(1, "c1", &publishing(8080));
        let container = lab.container("c2");
        let before = lab.snapshot();
        let error = town.try_add(1, &container, &publishing(8080)).error();
        assert!(error.text().contains("blue/c1/eth0"), "{}", error.text());
        lab.assert_unchanged_but(&before, super::KEPT);
        a.check();
    });
}
