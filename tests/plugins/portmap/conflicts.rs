//! One port of the host leads to one container.

use std::thread;

use netns_fixtures::{Container, lab_with_plugins};
use serde_json::{Value, json};

use super::{INSIDE, OUTSIDE, at, attached, both, other, web};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::echo::{assert_answers, assert_silent, serve};
use crate::filter::elements_of;
use crate::under_test::only_ours;
use crate::uplink::{HOST, HOST_TOO, LAN, lan};

const SHADOWS: &str = "publishes a port twice, and the oldest rule wins [E]";

/// Claims that `chain` does not publish `ports` for `c`, because of `holder`.
#[track_caller]
fn is_refused(chain: &Chain<'_>, c: &Container, ports: &Value, words: &[&str]) {
    let of = Attach::new(c, ports);
    let error = chain.try_add(of).unwrap_err();
    assert_eq!(error.code, 100, "{}", error.text());
    error.says(&["port is already allocated to"]).says(words);
    chain.del(of);
}

/// Case 12.
#[test]
fn the_second_to_publish_a_port_is_refused_and_told_who_has_it() {
    lab_with_plugins(|lab| {
        only_ours(lab, SHADOWS);
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let first = attached(lab, &chain, "first", &ports);
        let second = lab.container("second");
        let before = lab.snapshot();
        is_refused(&chain, &second, &ports, &["8080/tcp", "net/second/eth0", "net/first/eth0"]);
        lab.assert_unchanged_but(&before, super::OF_THE_POOL);
        let two = other(lab, Family::Dual);
        is_refused(&two, &second, &both(OUTSIDE, 81), &["other/second/eth0", "net/first/eth0"]);
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "first", of_lan);
        }
        chain.del(Attach::new(&first, &ports));
        chain.add(Attach::new(&second, &ports));
        serve(&second, "second", INSIDE);
        assert_answers(&lan, (HOST[0], OUTSIDE), "second", LAN[0]);
    });
}

/// Cases 13, 37 and 38.
#[test]
fn two_containers_have_one_port_at_two_addresses_of_the_host() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        for (family, one, two) in [(0, "first4", "second4"), (1, "first6", "second6")] {
            let (here, there) = (at(HOST[family], 80, INSIDE), at(HOST_TOO[family], 80, INSIDE));
            let first = attached(lab, &chain, one, &here);
            let second = attached(lab, &chain, two, &there);
            assert_answers(&lan, (HOST[family], 80), one, LAN[family]);
            assert_answers(&lan, (HOST_TOO[family], 80), two, LAN[family]);
            chain.del(Attach::new(&first, &here));
            assert_silent(&lan, (HOST[family], 80));
            assert_answers(&lan, (HOST_TOO[family], 80), two, LAN[family]);
            chain.del(Attach::new(&second, &there));
        }
    });
}

/// Case 13 as it is written: 127.0.0.1 is an address of the host as well.
#[test]
fn a_port_at_127_0_0_1_is_reached_by_the_host_alone() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let _local = attached(lab, &chain, "local", &at("127.0.0.1", OUTSIDE, INSIDE));
        let _outer = attached(lab, &chain, "outer", &at(HOST[0], OUTSIDE, INSIDE));
        assert_answers(lab.host(), ("127.0.0.1", OUTSIDE), "local", "10.1.0.1");
        assert_answers(&lan, (HOST[0], OUTSIDE), "outer", LAN[0]);
        assert_silent(&lan, (HOST_TOO[0], OUTSIDE));
    });
}

/// Case 14, in both orders.
#[test]
fn all_addresses_and_one_of_them_exclude_each_other() {
    lab_with_plugins(|lab| {
        only_ours(lab, SHADOWS);
        let chain = web(lab, Family::Dual);
        let (c, late) = (lab.container("c1"), lab.container("late"));
        let holder = "net/c1/eth0";
        let all = ["", "0.0.0.0"];
        let all_v6 = ["", "::"];
        let pairs = all
            .iter()
            .map(|wild| (*wild, HOST[0]))
            .chain(all_v6.iter().map(|wild| (*wild, HOST[1])));
        for (wild, one) in pairs {
            for (early, refused) in [(wild, one), (one, wild)] {
                let ports = at(early, OUTSIDE, INSIDE);
                chain.add(Attach::new(&c, &ports));
                is_refused(&chain, &late, &at(refused, OUTSIDE, INSIDE), &[holder, "8080/tcp"]);
                chain.del(Attach::new(&c, &ports));
            }
        }
        // One family's all are none of the other's.
        let (four, six) = (at("0.0.0.0", OUTSIDE, INSIDE), at("::", OUTSIDE, INSIDE));
        chain.add(Attach::new(&c, &four));
        chain.add(Attach::new(&late, &six));
        let third = lab.container("third");
        is_refused(&chain, &third, &at("", OUTSIDE, INSIDE), &[holder]);
        is_refused(&chain, &third, &at(HOST[1], OUTSIDE, INSIDE), &["net/late/eth0"]);
    });
}

#[test]
fn protocols_do_not_exclude_each_other() {
    lab_with_plugins(|lab| {
        let chain = web(lab, Family::Dual);
        for protocol in ["tcp", "udp", "sctp"] {
            let ports = json!([
                { "hostPort": OUTSIDE, "containerPort": INSIDE, "protocol": protocol },
            ]);
            chain.add(Attach::new(&lab.container(protocol), &ports));
        }
        only_ours(lab, "has no maps");
        for (set, count) in [("dnat4_any", 3), ("dnat6_any", 3), ("published4", 3)] {
            assert_eq!(elements_of(lab, set).len(), count, "{set}");
        }
    });
}

/// A runtime that crashed calls DEL late or never.
#[test]
fn a_holder_whose_namespace_is_gone_makes_way() {
    lab_with_plugins(|lab| {
        only_ours(lab, "keeps the rules of the dead, which win [E]");
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let dead = attached(lab, &chain, "dead", &ports);
        let one = at(HOST_TOO[0], 99, INSIDE);
        let also_dead = attached(lab, &chain, "also-dead", &one);
        dead.remove();
        also_dead.remove();
        let late =
            [ports.as_array().unwrap().clone(), at("", 99, INSIDE).as_array().unwrap().clone()];
        let late = json!(late.concat());
        let next = attached(lab, &chain, "next", &late);
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "next", of_lan);
        }
        assert_answers(&lan, (HOST_TOO[0], 99), "next", LAN[0]);
        // DEL of the dead comes when their ports are others' already.
        chain.del(Attach::new(&dead, &ports));
        chain.del(Attach::new(&also_dead, &one));
        for (host, of_lan) in HOST.iter().zip(LAN) {
            assert_answers(&lan, (host, OUTSIDE), "next", of_lan);
        }
        assert!(chain.check(Attach::new(&next, &late)).is_ok());
    });
}

#[test]
fn the_same_attachment_may_publish_again_and_otherwise() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let c = attached(lab, &chain, "c1", &ports);
        let result = chain.result(Attach::new(&c, &ports)).unwrap();
        let add = |ports: &Value| {
            chain.call(1, "ADD", Attach::new(&c, ports), Some(&result)).run().succeeded();
        };
        only_ours(lab, "appends its rules once more [E]");
        let before = lab.snapshot();
        add(&ports);
        lab.assert_unchanged(&before);
        add(&both(9090, INSIDE));
        assert_answers(&lan, (HOST[0], 9090), "c1", LAN[0]);
        assert_silent(&lan, (HOST[0], OUTSIDE));
        // From single ports to a range around them, to one address, and back.
        for ports in [
            json!([{ "hostPort": 80, "containerPort": 80 }, { "hostPort": 81, "containerPort": 81 }]),
            json!([{ "hostPort": 80, "containerPort": 80, "hostIP": HOST[0] }]),
            json!([{ "hostPort": 81, "containerPort": 81 }, { "hostPort": 80, "containerPort": 80 },
                   { "hostPort": 82, "containerPort": 82 }]),
            ports.clone(),
        ] {
            add(&ports);
            assert!(
                chain
                    .call(1, "CHECK", Attach::new(&c, &ports), Some(&result))
                    .run()
                    .status
                    .success(),
                "{ports}"
            );
        }
        assert_answers(&lan, (HOST[0], OUTSIDE), "c1", LAN[0]);
        assert_eq!(elements_of(lab, "dnat4_any_range").len(), 0);
    });
}

#[test]
fn of_many_that_want_one_port_at_once_one_gets_it() {
    lab_with_plugins(|lab| {
        only_ours(lab, SHADOWS);
        let chain = web(lab, Family::Dual);
        let ports = both(OUTSIDE, INSIDE);
        let containers: Vec<Container> =
            (0..16).map(|number| lab.container(&format!("c{number}"))).collect();
        let outcomes: Vec<_> = thread::scope(|scope| {
            let adding: Vec<_> = containers
                .iter()
                .map(|c| scope.spawn(|| chain.try_add(Attach::new(c, &ports))))
                .collect();
            adding.into_iter().map(|adding| adding.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for error in outcomes.into_iter().filter_map(Result::err) {
            assert_eq!(error.code, 100, "{}", error.text());
            error.says(&["8080/tcp", "net/c"]);
        }
        assert_eq!(elements_of(lab, "dnat4_any").len(), 2);
    });
}
