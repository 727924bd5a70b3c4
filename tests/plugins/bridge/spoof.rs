//! `macspoofchk`: frames of a container bear its own address.

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{host_end, with, with_pool};
use crate::battery::Family;
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::elements;
use crate::under_test::only_ours;

const PORT: u16 = 7000;
const FORGED: &str = "02:00:00:00:00:66";

fn checked() -> Value {
    with(with_pool(Family::Dual), "macspoofchk", json!(true))
}

/// A sibling that serves, and a container with this configuration.
fn pair(lab: &Lab, config: &Value) -> (Container, Container) {
    let (sibling, c) = (lab.container("sibling"), lab.container("c1"));
    lab.add("bridge", &sibling, &with_pool(Family::Dual));
    lab.add("bridge", &c, config);
    sibling.settle();
    c.settle();
    serve(&sibling, "sibling", PORT);
    (sibling, c)
}

/// Gives the container's end another address, as a container with rights over its own can.
fn forge(c: &Container, mac: &str) {
    c.run(&format!("ip link set dev eth0 address {mac}"));
    c.settle();
}

#[test]
fn frames_with_a_forged_source_do_not_pass_and_own_ones_do() {
    lab_with_plugins(|lab| {
        let (sibling, c) = pair(lab, &checked());
        let own = c.link("eth0").unwrap()["address"].as_str().unwrap().to_owned();
        let at = [("10.1.0.2", "10.1.0.3"), ("fd00:1::2", "fd00:1::3")];
        let pass = || {
            for (to, from) in at {
                assert_answers(&c, (to, PORT), "sibling", from);
            }
        };
        pass();
        forge(&c, FORGED);
        for (to, _) in at {
            assert_silent(&c, (to, PORT));
        }
        forge(&c, &own);
        pass();
        // Nor may it use the sibling's.
        let others = sibling.link("eth0").unwrap()["address"].as_str().unwrap().to_owned();
        forge(&c, &others);
        assert_silent(&c, (at[0].0, PORT));
    });
}

#[test]
fn without_the_key_a_container_may_use_any_address() {
    lab_with_plugins(|lab| {
        let (_sibling, c) = pair(lab, &with_pool(Family::Dual));
        forge(&c, FORGED);
        assert_answers(&c, ("10.1.0.2", PORT), "sibling", "10.1.0.3");
    });
}

#[test]
fn the_address_that_was_asked_for_is_the_own_one() {
    lab_with_plugins(|lab| {
        let config = with(checked(), "runtimeConfig", json!({ "mac": "02:00:00:00:00:01" }));
        let (_sibling, c) = pair(lab, &config);
        assert_answers(&c, ("10.1.0.2", PORT), "sibling", "10.1.0.3");
    });
}

#[test]
fn del_takes_the_check_back_and_keeps_those_of_others() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has chains for each");
        let (one, other) = (lab.container("one"), lab.container("other"));
        lab.add("bridge", &one, &checked());
        let port = host_end(lab.host())["ifname"].clone();
        lab.add("bridge", &other, &checked());
        let of_bridge = || {
            let all = elements(lab).into_iter().filter(|element| element.family == "bridge");
            all.filter(|element| element.set != "layout_2").collect::<Vec<_>>()
        };
        assert_eq!(of_bridge().len(), 4);
        lab.del("bridge", &other, &checked());
        let left = of_bridge();
        assert_eq!(left.len(), 2);
        assert!(left.iter().all(|element| element.comment == "net/one/eth0"), "{left:?}");
        assert!(left.iter().any(|element| element.key == port), "{left:?} and {port}");
        lab.del("bridge", &one, &checked());
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    });
}
