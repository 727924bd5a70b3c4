//! The MAC of the container's end: asked for in three places.

use netns_fixtures::{Call, Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{layer2, with};
use crate::under_test::unlike_reference;

const BY_RUNTIME: &str = "02:00:00:00:00:01";
const BY_ARGS: &str = "02:00:00:00:00:02";
const BY_CNI_ARGS: &str = "02:00:00:00:00:03";

fn call<'lab>(lab: &'lab Lab, c: &Container, config: &Value) -> Call<'lab> {
    lab.plugin("bridge").container(c).config(config).verb("ADD")
}

fn mac(c: &Container) -> Value {
    c.link("eth0").expect("ADD made it")["address"].clone()
}

fn by_runtime(mac: &str) -> Value {
    with(layer2(), "runtimeConfig", json!({ "mac": mac }))
}

fn by_args(config: Value, mac: &str) -> Value {
    with(config, "args", json!({ "cni": { "mac": mac } }))
}

#[test]
fn each_place_is_read() {
    lab_with_plugins(|lab| {
        let (a, b, c) = (lab.container("a"), lab.container("b"), lab.container("c"));
        let result = call(lab, &a, &by_runtime(BY_RUNTIME)).run().result();
        assert_eq!(mac(&a), BY_RUNTIME);
        assert_eq!(result["interfaces"][2]["mac"], BY_RUNTIME);
        call(lab, &b, &by_args(layer2(), BY_ARGS)).run().succeeded();
        assert_eq!(mac(&b), BY_ARGS);
        call(lab, &c, &layer2()).args(&format!("MAC={BY_CNI_ARGS}")).run().succeeded();
        assert_eq!(mac(&c), BY_CNI_ARGS);
    });
}

#[test]
fn the_runtime_wins_over_args_and_those_over_cni_args() {
    lab_with_plugins(|lab| {
        let (a, b) = (lab.container("a"), lab.container("b"));
        let all = by_args(by_runtime(BY_RUNTIME), BY_ARGS);
        call(lab, &a, &all).args(&format!("MAC={BY_CNI_ARGS}")).run().succeeded();
        assert_eq!(mac(&a), BY_RUNTIME);
        let two = by_args(layer2(), BY_ARGS);
        call(lab, &b, &two).args(&format!("MAC={BY_CNI_ARGS}")).run().succeeded();
        assert_eq!(mac(&b), BY_ARGS);
    });
}

#[test]
fn a_mac_is_read_in_any_case() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        call(lab, &c, &by_runtime("02:AB:CD:EF:00:01")).run().succeeded();
        assert_eq!(mac(&c), "02:ab:cd:ef:00:01");
    });
}

#[test]
fn what_is_no_mac_of_a_link_is_refused_and_nothing_is_made() {
    lab_with_plugins(|lab| {
        for odd in ["nonsense", "02:00:00:00:00", "02:00:00:00:0g:000", "02:00:00:00:00:01:02:03"] {
            let c = lab.container(&format!("c{}", odd.len()));
            let _ = lab.host().try_run("ip link del dev cni0");
            let before = lab.snapshot();
            unlike_reference(lab, "finds out when the bridge is made, and leaves that [E]", || {
                call(lab, &c, &by_runtime(odd)).run().error().says(&[odd]);
                lab.assert_unchanged(&before);
            });
        }
    });
}

#[test]
fn a_group_address_is_refused() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        for odd in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
            call(lab, &c, &by_runtime(odd)).run().error();
            assert!(c.link("eth0").is_none());
        }
    });
}

/// An empty text is what a caller writes who has nothing to ask for.
#[test]
fn an_empty_mac_asks_for_nothing() {
    lab_with_plugins(|lab| {
        let c = lab.container("c");
        call(lab, &c, &by_args(by_runtime(""), "")).run().succeeded();
        assert!(mac(&c).as_str().is_some_and(|mac| mac.len() == 17), "{}", mac(&c));
    });
}
