//! What gets through on a host that drops what it forwards.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::json;

use super::{
    INSIDE, OUTSIDE, PROGRAMS, attached, both, drop_what_is_forwarded, firewall, rules, walled,
};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::carry_out;
use crate::under_test::{only_ours, unlike_reference};
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
        for program in PROGRAMS {
            lab.host().run(&format!("{program} -A FORWARD -i wan0 -j ACCEPT"));
            lab.host().run(&format!("{program} -A INPUT -i wan0 -j DROP"));
        }
        let before = PROGRAMS.map(|program| rules(lab, program));
        let chain = walled(lab, 1, &json!({}));
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        for (program, before) in PROGRAMS.iter().zip(&before) {
            let now = rules(lab, program);
            assert!(before.iter().all(|line| now.contains(line)), "{before:?}\n{now:?}");
        }
        chain.del(Attach::new(&c, &ports));
        unlike_reference(lab, "keeps its chains", || {
            assert_eq!(PROGRAMS.map(|program| rules(lab, program)), before);
        });
    });
}

/// One rule does for all ports, and comes before those of single containers.
#[test]
fn ports_that_come_after_a_container_without_any_pass_behind_the_administrator_s_chain() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        drop_what_is_forwarded(lab);
        let plain = Chain::new(lab, &[bridge(Family::Dual, 2), firewall(&json!({}))]);
        let none = json!([]);
        let first = attached(lab, &plain, "first", &none);
        let chain = walled(lab, 1, &json!({}));
        let (ports, others) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let c = attached(lab, &chain, "c1", &ports);
        let sibling = attached(lab, &chain, "sibling", &others);
        only_ours(lab, "leaves new connections to the policy of FORWARD [E]");
        for program in PROGRAMS {
            let all = rules(lab, program);
            let of_forward = |line: &&String| line.starts_with("-A CNI-FORWARD ");
            let targets: Vec<&str> = all
                .iter()
                .filter(of_forward)
                .map(|line| line.rsplit(' ').next().unwrap())
                .collect();
            assert_eq!(targets[..3], ["CNI-ADMIN", "CNI-HOSTPORT-PASS", "ACCEPT"], "{all:#?}");
            let passing = all.iter().filter(|line| line.contains("CNI-HOSTPORT-PASS"));
            assert_eq!(passing.count(), 3, "the chain, its rule and its jump: {all:#?}");
        }
        chain.del(Attach::new(&sibling, &others));
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
        chain.del(Attach::new(&c, &ports));
        for program in PROGRAMS {
            let all = rules(lab, program);
            assert!(!all.iter().any(|line| line.contains("CNI-HOSTPORT-PASS")), "{all:#?}");
        }
        plain.del(Attach::new(&first, &none));
    });
}

#[test]
fn ports_of_one_network_pass_when_the_last_of_another_went() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        drop_what_is_forwarded(lab);
        let (web, shop) = (walled(lab, 1, &json!({})), walled(lab, 2, &json!({})).network("shop"));
        let (ports, others) = (both(OUTSIDE, INSIDE), both(9090, INSIDE));
        let _stays = attached(lab, &web, "c1", &ports);
        let goes = attached(lab, &shop, "c2", &others);
        only_ours(lab, "leaves new connections to the policy of FORWARD [E]");
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
        shop.del(Attach::new(&goes, &others));
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "c1", of_lan);
        }
    });
}

#[test]
fn packets_keep_the_marks_of_others_and_lose_ours_at_once() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let chain = walled(lab, 1, &json!({}));
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        carry_out(
            lab,
            "table inet probe {
                chain before { type filter hook forward priority -10; }
                chain after {
                    type filter hook forward priority 10;
                    meta mark 0 counter
                    meta mark 7 counter
                    meta mark != { 0, 7 } counter
                }
            }",
        );
        let seen = || {
            let text = lab.host().run("nft list chain inet probe after");
            let packets = |line: &str| {
                let mut words = line.split_whitespace().skip_while(|word| *word != "packets");
                words.nth(1)?.parse::<u64>().ok()
            };
            text.lines().filter_map(packets).collect::<Vec<_>>()
        };
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "c1", of_lan);
        }
        let [unmarked, 0, 0] = seen()[..] else { panic!("{:?}", seen()) };
        assert!(unmarked > 0);
        carry_out(lab, "add rule inet probe before meta mark set 7");
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
        let [.., marked, 0] = seen()[..] else { panic!("{:?}", seen()) };
        assert!(marked > 0);
    });
}
