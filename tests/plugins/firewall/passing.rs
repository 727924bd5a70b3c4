//! What gets through on a host that drops what it forwards.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{INSIDE, OUTSIDE, attached, both, drop_what_is_forwarded, walled};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::under_test::unlike_reference;
use crate::uplink::{HOST, LAN, bridge, lan};

/// When the host begins to drop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dropping {
    BeforeAdd,
    AfterFirstAdd,
}

/// Where the other host serves.
const PORT: u16 = 7000;
const GATEWAY: [&str; 2] = ["10.1.0.1", "fd00:1::1"];

mod a_host_that_drops_lets_its_containers_through {
    use super::*;

    fn case(lab: &Lab, when: Dropping) {
        let lan = lan(lab);
        serve(&lan, "lan", PORT);
        if when == Dropping::BeforeAdd {
            drop_what_is_forwarded(lab);
        }
        let chain = walled(lab, 1, &json!({}));
        let (ports, others) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let c = attached(lab, &chain, "c1", &ports);
        if when == Dropping::AfterFirstAdd {
            drop_what_is_forwarded(lab);
        }
        let sibling = attached(lab, &chain, "sibling", &others);
        for family in [0, 1] {
            // Out, masqueraded.
            assert_answers(&c, (LAN[family], PORT), "lan", HOST[family]);
            assert_answers(&sibling, (LAN[family], PORT), "lan", HOST[family]);
            // Between two on a bridge, directly and by a published port; and to itself.
            assert_answers(&c, (HOST[family], 9090), "sibling", GATEWAY[family]);
            assert_answers(&sibling, (HOST[family], OUTSIDE), "c1", GATEWAY[family]);
            assert_answers(&c, (HOST[family], OUTSIDE), "c1", GATEWAY[family]);
        }
        c.assert_reaches(&sibling);
        unlike_reference(lab, "leaves new connections to the policy of FORWARD [E]", || {
            for (host, of_lan) in HOST.iter().zip(LAN) {
                assert_answers(&lan, (host, OUTSIDE), "c1", of_lan);
                assert_answers(&lan, (host, 9090), "sibling", of_lan);
            }
        });
        chain.del(Attach::new(&sibling, &others));
        assert_silent(&sibling, (LAN[0], PORT));
        assert_answers(&c, (LAN[0], PORT), "lan", HOST[0]);
        assert_silent(&lan, (HOST[0], 9090));
    }

    stamp!(lab_with_plugins, case,
        before_the_first_add: Dropping::BeforeAdd,
        after_the_first_add: Dropping::AfterFirstAdd);
}

/// So that the case above does not pass for another reason.
#[test]
fn without_the_plugin_nothing_gets_out_of_such_a_host() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        serve(&lan, "lan", PORT);
        drop_what_is_forwarded(lab);
        let chain = Chain::new(lab, &[bridge(Family::Dual, 1)]);
        let c = attached(lab, &chain, "c1", &json!([]));
        for address in LAN {
            assert_silent(&c, (address, PORT));
        }
    });
}

#[test]
fn what_nobody_asked_for_does_not_come_in() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        drop_what_is_forwarded(lab);
        let chain = walled(lab, 1, &json!({}));
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        let _plain = attached(lab, &chain, "plain", &json!([]));
        for (subnet, host) in [("10.1.0.0/24", HOST[0]), ("fd00:1::/64", HOST[1])] {
            lan.run(&format!("ip route add {subnet} via {host}"));
        }
        for address in ["10.1.0.3", "fd00:1::3"] {
            assert_silent(&lan, (address, INSIDE));
        }
    });
}

#[test]
fn the_policy_and_the_rules_of_others_stay_as_they_are() {
    lab_with_plugins(|lab| {
        drop_what_is_forwarded(lab);
        for program in super::PROGRAMS {
            lab.host().run(&format!("{program} -A FORWARD -i wan0 -j ACCEPT"));
            lab.host().run(&format!("{program} -A INPUT -i wan0 -j DROP"));
        }
        let before = super::PROGRAMS.map(|program| super::rules(lab, program));
        let chain = walled(lab, 1, &json!({}));
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        for (program, before) in super::PROGRAMS.iter().zip(&before) {
            let now = super::rules(lab, program);
            assert!(before.iter().all(|line| now.contains(line)), "{before:?}\n{now:?}");
        }
        chain.del(Attach::new(&c, &ports));
        unlike_reference(lab, "keeps its chains", || {
            assert_eq!(super::PROGRAMS.map(|program| super::rules(lab, program)), before);
        });
    });
}
