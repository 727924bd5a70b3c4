//! `conditionsV4` and `conditionsV6`: a port that is not for everybody.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{INSIDE, OUTSIDE, attached, both, web_with};
use crate::chain::Attach;
use crate::echo::{assert_answers, assert_silent};
use crate::filter::elements;
use crate::under_test::only_ours;
use crate::uplink::{HOST, LAN, lan};

/// Claims that with these conditions the neighbour at [`LAN`] alone is served, and not when it
/// comes from another address.
#[track_caller]
fn serves_the_right_client_alone(keys: &Value) {
    lab_with_plugins(|lab| {
        if keys.get("backend").is_some() {
            only_ours(lab, "of Debian knows the words of iptables alone");
        }
        let lan = lan(lab);
        let chain = web_with(lab, keys);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "c1", of_lan);
        }
        // A sibling and the host itself come by other links, from other addresses.
        assert_silent(lab.host(), (HOST[0], OUTSIDE));
        lan.run("ip addr flush dev eth0 scope global");
        lan.run("ip addr add 192.0.2.3/24 dev eth0");
        lan.run("ip addr add 2001:db8::3/64 dev eth0 nodad");
        lan.settle();
        for host in HOST {
            assert_silent(&lan, (host, OUTSIDE));
        }
        chain.del(Attach::new(&c, &ports));
        only_ours(lab, "keeps its chains");
        assert!(elements(lab).is_empty());
        assert!(!lab.host().run("nft list ruleset").contains("cais"));
    });
}

#[test]
fn the_words_of_iptables_let_the_right_client_through() {
    serves_the_right_client_alone(&json!({
        "conditionsV4": ["-s", "192.0.2.2", "!", "-d", "192.0.2.99"],
        "conditionsV6": ["-s", "2001:db8::2/128", "-i", "up+"],
    }));
}

#[test]
fn negated_words_of_iptables_keep_the_wrong_client_out() {
    serves_the_right_client_alone(&json!({
        "conditionsV4": ["-i", "up0", "!", "-s", "192.0.2.3/32"],
        "conditionsV6": ["!", "-s", "2001:db8::3", "-i", "up0"],
    }));
}

#[test]
fn the_words_of_nft_let_the_right_client_through() {
    serves_the_right_client_alone(&json!({
        "backend": "nftables",
        "conditionsV4": ["ip", "saddr", "192.0.2.2", "iifname", "up0"],
        "conditionsV6": ["ip6", "saddr", "!=", "2001:db8::3", "iifname", "\"up*\""],
    }));
}

#[test]
fn two_containers_share_a_port_whose_conditions_tell_them_apart() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let ports = both(OUTSIDE, INSIDE);
        let from = |source: &str| {
            web_with(lab, &json!({ "conditionsV4": ["-s", source], "conditionsV6": ["-i", "no"] }))
        };
        let (here, there) = (from("192.0.2.2"), from("192.0.2.3"));
        let a = attached(lab, &here, "a", &ports);
        only_ours(lab, "leads all clients to the oldest container [E]");
        let _b = attached(lab, &there, "b", &ports);
        assert_answers(&lan, (HOST[0], OUTSIDE), "a", LAN[0]);
        lan.run("ip addr flush dev eth0 scope global");
        lan.run("ip addr add 192.0.2.3/24 dev eth0");
        assert_answers(&lan, (HOST[0], OUTSIDE), "b", "192.0.2.3");
        here.del(Attach::new(&a, &ports));
        assert_answers(&lan, (HOST[0], OUTSIDE), "b", "192.0.2.3");
        assert!(there.check(Attach::new(&_b, &ports)).is_ok());
    });
}

#[test]
fn a_condition_that_nobody_meets_takes_no_port_of_others_away() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let never = web_with(lab, &json!({ "conditionsV4": ["!", "-s", "0.0.0.0/0"] }));
        let here = web_with(lab, &json!({ "conditionsV4": ["-s", "192.0.2.2"] }));
        let (unmet, met) = (both(OUTSIDE + 1, INSIDE), both(OUTSIDE, INSIDE));
        let a = attached(lab, &never, "a", &unmet);
        let b = attached(lab, &here, "b", &met);
        assert_answers(&lan, (HOST[0], OUTSIDE), "b", LAN[0]);
        assert_silent(&lan, (HOST[0], OUTSIDE + 1));
        never.del(Attach::new(&a, &unmet));
        assert_answers(&lan, (HOST[0], OUTSIDE), "b", LAN[0]);
        here.del(Attach::new(&b, &met));
    });
}
