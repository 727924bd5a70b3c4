//! `hairpinMode`, `promiscMode`, `portIsolation`.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{layer2, port, with, with_pool};
use crate::battery::Family;
use crate::under_test::unlike_reference;

fn is_promiscuous(lab: &Lab) -> bool {
    let flags = lab.host().link("cni0").expect("ADD made it")["flags"].to_string();
    flags.contains("PROMISC")
}

#[test]
fn a_port_neither_reflects_nor_is_isolated_unless_asked() {
    lab_with_plugins(|lab| {
        lab.add("bridge", &lab.container("c1"), &layer2());
        assert_eq!(port(lab.host(), "hairpin"), false);
        assert_eq!(port(lab.host(), "isolated"), false);
        assert!(!is_promiscuous(lab));
    });
}

#[test]
fn hairpin_mode_lets_frames_back_through_their_port() {
    lab_with_plugins(|lab| {
        lab.add("bridge", &lab.container("c1"), &with(layer2(), "hairpinMode", json!(true)));
        assert_eq!(port(lab.host(), "hairpin"), true);
    });
}

#[test]
fn promiscuous_mode_is_of_the_bridge_and_never_undone() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let config = with(layer2(), "promiscMode", json!(true));
        lab.add("bridge", &c, &config);
        assert!(is_promiscuous(lab));
        lab.del("bridge", &c, &config);
        assert!(is_promiscuous(lab));
        lab.add("bridge", &c, &layer2());
        assert!(is_promiscuous(lab));
    });
}

#[test]
fn promiscuous_mode_is_set_on_a_bridge_that_is_there() {
    lab_with_plugins(|lab| {
        lab.add("bridge", &lab.container("a"), &layer2());
        lab.add("bridge", &lab.container("b"), &with(layer2(), "promiscMode", json!(true)));
        assert!(is_promiscuous(lab));
    });
}

/// Frames would come twice.
#[test]
fn hairpin_and_promiscuous_mode_exclude_each_other() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        let before = lab.snapshot();
        let config = with(with(layer2(), "promiscMode", json!(true)), "hairpinMode", json!(true));
        let call = lab.plugin("bridge").container(&c).config(&config).verb("ADD");
        let error = call.run().error();
        let text = error.text().to_lowercase();
        assert!(text.contains("hairpin") && text.contains("promisc"), "{text}");
        lab.assert_unchanged(&before);
    });
}

fn isolated(lab: &Lab, name: &str, isolated: bool) -> Container {
    let container = lab.container(name);
    let config = with(with_pool(Family::Dual), "portIsolation", Value::Bool(isolated));
    lab.add("bridge", &container, &with(config, "isGateway", json!(true)));
    container
}

#[test]
fn isolated_ports_reach_the_host_and_open_ports_but_not_each_other() {
    lab_with_plugins(|lab| {
        let (a, b) = (isolated(lab, "a", true), isolated(lab, "b", true));
        let open = isolated(lab, "open", false);
        a.assert_reaches(lab.host());
        a.assert_reaches(&open);
        open.assert_reaches(&b);
        unlike_reference(lab, "has portIsolation since 1.6", || {
            for address in b.all_addresses() {
                a.assert_cannot_reach_at(&b, address);
            }
        });
    });
}
