//! Containers of one network kept from each other.

use std::net::TcpListener;

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::probe::{Kind, Seen, control, listen, send, watch};
use super::town::{BEHIND_THE_HOST, Frames, PUBLISHED, Resident, Town};
use crate::battery::Family;
use crate::plugins::bridge::host_end;

mod siblings_reach_each_other_by_published_ports_alone {
    use super::*;
    stamp_frames!(siblings);
}

mod siblings_do_not_reach_each_other_where_frames_of_the_other_family_are_shown {
    use super::*;
    stamp!(lab_with_plugins, half_shown, ipv6: Family::V6);
}

fn half_shown(lab: &Lab, family: Family) {
    apart(lab, (family, Frames::HalfShown));
}

fn siblings(lab: &Lab, (family, frames): (Family, Frames)) {
    let Siblings { town, a, b, listeners: _listeners } = apart(lab, (family, frames));
    for resident in [&a, &b] {
        let out = send(&resident.container, town.lan_address(), Kind::Ping, true);
        assert!(out, "{} does not reach the LAN", resident.container.name());
    }
    let by_host = send(&a.container, town.host_address(), Kind::Tcp(8001), true);
    assert!(by_host, "a sibling does not reach the published port of the host");
    lab.plugin("bridge")
        .verb("CHECK")
        .container(&b.container)
        .config(&with_result(&b))
        .run()
        .is_silent();
}

fn with_result(resident: &Resident) -> Value {
    let mut config = resident.config.clone();
    config["prevResult"] = resident.result.clone();
    config
}

struct Siblings<'lab> {
    town: Town<'lab>,
    a: Resident,
    b: Resident,
    listeners: [Vec<TcpListener>; 2],
}

/// Two siblings, after each sent to the other what must not arrive.
fn apart(lab: &Lab, (family, frames): (Family, Frames)) -> Siblings<'_> {
    let town = Town::new(lab, family, frames);
    let keys = json!({ "isolate": "strict", "icc": false });
    let (a, b) = (town.attach(1, 2, &keys), town.attach(1, 3, &keys));
    town.publish(&b, &[(8001, BEHIND_THE_HOST)]);
    for resident in [&a, &b] {
        watch(&resident.container, town.is_v4());
    }
    let ports = [PUBLISHED, BEHIND_THE_HOST];
    let listeners = [&a, &b].map(|one| listen(&one.container, one.address, &ports));
    for (from, to) in [(&a, &b), (&b, &a)] {
        for kind in [Kind::Udp(PUBLISHED), Kind::Tcp(BEHIND_THE_HOST), Kind::Ping] {
            assert!(!send(&from.container, to.address, kind, false), "{kind:?} is answered");
        }
        control(&from.container, lab.host(), town.address(1, 1));
        control(lab.host(), &to.container, to.address);
        let (sent, arrived) = (Seen::by(&from.container), Seen::by(&to.container));
        for kind in [Kind::Udp(PUBLISHED), Kind::Tcp(BEHIND_THE_HOST), Kind::Ping] {
            assert!(sent.has(from.address, to.address, kind), "{kind:?} was not sent");
            assert!(!arrived.has(from.address, to.address, kind), "{kind:?} arrived");
        }
        if frames == Frames::Hidden {
            // Not even asked for: the port itself keeps them apart.
            let known = from.container.run(&format!("ip neigh show {}", to.address));
            assert!(
                known.contains(&to.address.to_string()) && !known.contains("lladdr"),
                "{known}"
            );
        }
    }
    Siblings { town, a, b, listeners }
}

mod icc_alone_keeps_nobody_else_out {
    use super::*;
    stamp!(lab_with_plugins, case, ipv4: Family::V4, ipv6: Family::V6);

    fn case(lab: &Lab, family: Family) {
        let town = Town::new(lab, family, Frames::Hidden);
        let to = town.attach(1, 2, &json!({ "icc": false }));
        let others = [json!({}), json!({ "isolate": "strict" }), json!({ "icc": false })];
        for (network, keys) in (2..).zip(others) {
            let other = town.attach(network, 2, &keys);
            other.container.assert_reaches_at(&to.container, to.address);
        }
        town.lan.assert_reaches_at(&to.container, to.address);
    }
}

#[test]
fn check_finds_a_port_that_lets_siblings_through() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, Family::V4, Frames::Hidden);
        let c = town.attach(1, 2, &json!({ "icc": false }));
        let call = lab.plugin("bridge").container(&c.container).config(&with_result(&c));
        call.clone().verb("CHECK").run().is_silent();
        let port = host_end(lab.host())["ifname"].as_str().unwrap().to_owned();
        lab.host().run(&format!("ip link set dev {port} type bridge_slave isolated off"));
        call.verb("CHECK").run().refused(101).says(&[&port, "isolation is off"]);
    });
}
