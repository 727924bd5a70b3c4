//! Who reaches whom, all at once.
//!
//! One network of each class sends to another one of each: a datagram, a connection and a ping to
//! the container's own address, and the first two to a published port of the host. Receivers note
//! what arrives, the host notes what comes by; so a packet that was kept out is known to have been
//! sent, and a single one that leaks is known to have arrived.

use std::net::IpAddr;

use netns_fixtures::{Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::probe::{Kind, Seen, control, listen, send, watch};
use super::town::{BEHIND_THE_HOST, Frames, PUBLISHED, Resident, Town, UNPUBLISHED};
use crate::battery::Family;

/// What one may send to another's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Nothing,
    /// Published ports.
    Ports,
    /// Published ports, and pings.
    PortsAndPing,
    All,
}

const CLASSES: [&str; 7] = ["strict", "true", "open", "internal", "routed", "unprotected", "plain"];

/// Rows send, columns receive, in the order of [`CLASSES`].
const DIRECT: [(&str, [Way; 7]); 9] = {
    use Way::{All as A, Nothing as N, Ports as P, PortsAndPing as I};
    [
        ("strict", [N, N, N, N, P, N, A]),
        ("true", [N, N, A, N, P, N, A]),
        ("open", [N, A, A, N, P, N, A]),
        ("internal", [N, N, N, N, N, N, N]),
        ("routed", [N, N, N, N, P, N, A]),
        ("unprotected", [N, N, N, N, P, N, A]),
        ("plain", [N, N, N, N, I, A, A]),
        ("lan", [N, N, N, N, I, A, A]),
        ("host", [A, A, A, A, A, A, A]),
    ]
};

fn keys(class: &str) -> Value {
    match class {
        "strict" => json!({ "isolate": "strict" }),
        "true" => json!({ "isolate": true }),
        "open" => json!({ "isolate": false }),
        "internal" => json!({ "internal": true }),
        "routed" => json!({ "gatewayMode": "routed" }),
        "unprotected" => json!({ "gatewayMode": "nat-unprotected" }),
        "plain" => json!({}),
        other => panic!("no class {other}"),
    }
}

/// Published ports of a routed network are at its containers, and those of an internal one nowhere.
fn may_by_host(from: &str, to: &str) -> bool {
    from != "internal" && !["internal", "routed"].contains(&to)
}

struct Source<'a> {
    class: &'a str,
    place: &'a Namespace,
    address: IpAddr,
    /// The host's address by which it reaches the host.
    host: IpAddr,
}

struct Receiver {
    class: &'static str,
    resident: Resident,
    sibling: Resident,
    /// Port of the host that leads to [`BEHIND_THE_HOST`].
    host_port: u16,
}

mod networks_reach_each_other_as_their_keys_say {
    use super::*;
    stamp_frames!(case);
}

fn case(lab: &Lab, (family, frames): (Family, Frames)) {
    let town = Town::new(lab, family, frames);
    let senders: Vec<Resident> =
        (1..).zip(CLASSES).map(|(network, class)| town.attach(network, 2, &keys(class))).collect();
    let receivers: Vec<Receiver> =
        (11..).zip(CLASSES).map(|(network, class)| receiver(&town, network, class)).collect();
    let sources = sources(&town, &senders);
    for place in [lab.host(), &town.lan] {
        watch(place, town.is_v4());
    }
    let _listeners: Vec<_> = receivers
        .iter()
        .map(|to| {
            watch(&to.resident.container, town.is_v4());
            let ports = [PUBLISHED, UNPUBLISHED, BEHIND_THE_HOST];
            listen(&to.resident.container, to.resident.address, &ports)
        })
        .collect();
    // Neighbours are known to each other from here on, so that nothing waits for an answer.
    all_controls(&town, &sources, &receivers);
    let mut wrong = Vec::new();
    for source in &sources {
        for to in &receivers {
            wrong.extend(try_directly(source, to));
            wrong.extend(try_by_host(&town, source, to));
        }
        wrong.extend(try_the_lan(&town, source));
    }
    all_controls(&town, &sources, &receivers);
    wrong.extend(arrivals(&town, &sources, &receivers));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for to in &receivers {
        to.sibling.container.assert_reaches_at(&to.resident.container, to.resident.address);
    }
}

fn receiver(town: &Town<'_>, network: u16, class: &'static str) -> Receiver {
    let resident = town.attach(network, 2, &keys(class));
    let host_port = 8000 + network;
    // What has no port of the host is told by another one.
    town.publish(&resident, &[(host_port, BEHIND_THE_HOST), (9000 + network, PUBLISHED)]);
    let sibling = town.attach(network, 3, &keys(class));
    Receiver { class, resident, sibling, host_port }
}

fn sources<'a>(town: &'a Town<'_>, senders: &'a [Resident]) -> Vec<Source<'a>> {
    let mut sources: Vec<Source<'_>> = (1..)
        .zip(CLASSES)
        .zip(senders)
        .map(|((network, class), sender)| Source {
            class,
            place: &sender.container,
            address: sender.address,
            host: town.address(network, 1),
        })
        .collect();
    let host = town.host_address();
    sources.push(Source { class: "lan", place: &town.lan, address: town.lan_address(), host });
    sources.push(Source { class: "host", place: town.lab.host(), address: host, host });
    sources
}

/// Everybody reaches the host, and the host everybody.
fn all_controls(town: &Town<'_>, sources: &[Source<'_>], receivers: &[Receiver]) {
    for source in sources {
        control(source.place, town.lab.host(), source.host);
    }
    for to in receivers {
        control(town.lab.host(), &to.resident.container, to.resident.address);
    }
    control(town.lab.host(), &town.lan, town.lan_address());
}

fn way(from: &str, to: &str) -> Way {
    let row = DIRECT.iter().find(|(class, _)| *class == from).unwrap().1;
    row[CLASSES.iter().position(|class| *class == to).unwrap()]
}

/// Packets to the container's own address, and whether each may arrive.
fn direct(from: &str, to: &str) -> [(Kind, bool); 5] {
    let way = way(from, to);
    let (ports, pings) = (way != Way::Nothing, [Way::PortsAndPing, Way::All].contains(&way));
    [
        (Kind::Udp(PUBLISHED), ports),
        (Kind::Tcp(PUBLISHED), ports),
        (Kind::Udp(UNPUBLISHED), way == Way::All),
        (Kind::Tcp(UNPUBLISHED), way == Way::All),
        (Kind::Ping, pings),
    ]
}

fn try_directly(from: &Source<'_>, to: &Receiver) -> Vec<String> {
    let mut wrong = Vec::new();
    for (kind, may) in direct(from.class, to.class) {
        let answered = send(from.place, to.resident.address, kind, may);
        if answered != may && !matches!(kind, Kind::Udp(_)) {
            wrong.push(format!(
                "{} -> {}: {kind:?} is {}answered",
                from.class,
                to.class,
                if answered { "" } else { "not " }
            ));
        }
    }
    wrong
}

fn try_by_host(town: &Town<'_>, from: &Source<'_>, to: &Receiver) -> Vec<String> {
    let may = may_by_host(from.class, to.class);
    let mut wrong = Vec::new();
    for kind in [Kind::Udp(to.host_port), Kind::Tcp(to.host_port)] {
        let answered = send(from.place, town.host_address(), kind, may);
        if answered != may && matches!(kind, Kind::Tcp(_)) {
            wrong.push(format!(
                "{} -> host -> {}: {kind:?} is {}answered",
                from.class,
                to.class,
                if answered { "" } else { "not " }
            ));
        }
    }
    wrong
}

/// Everybody but internal networks reaches the world.
fn try_the_lan(town: &Town<'_>, from: &Source<'_>) -> Option<String> {
    if from.class == "lan" {
        return None;
    }
    let may = from.class != "internal";
    send(from.place, town.lan_address(), Kind::Udp(PUBLISHED), false);
    let answered = send(from.place, town.lan_address(), Kind::Ping, may);
    (answered != may).then(|| format!("{} -> lan: a ping is answered: {answered}", from.class))
}

/// What arrived and should not have, and the reverse.
fn arrivals(town: &Town<'_>, sources: &[Source<'_>], receivers: &[Receiver]) -> Vec<String> {
    let host = Seen::by(town.lab.host());
    let mut wrong = Vec::new();
    let mut judge = |what: String, came_by: bool, arrived: bool, may: bool| {
        if !came_by {
            wrong.push(format!("{what} did not even come to the host"));
        }
        if arrived != may {
            wrong.push(format!("{what} {}", if arrived { "arrived" } else { "did not arrive" }));
        }
    };
    for to in receivers {
        let seen = Seen::by(&to.resident.container);
        for from in sources {
            let what = |kind, by: &str| format!("{} -> {by}{}: {kind:?}", from.class, to.class);
            // The host sends from its address on the container's own network.
            let address = if from.class == "host" { gateway(to, town) } else { from.address };
            for (kind, may) in direct(from.class, to.class) {
                let came_by = host.has(address, to.resident.address, kind);
                let arrived = seen.has(address, to.resident.address, kind);
                judge(what(kind, ""), came_by, arrived, may);
            }
            let may = may_by_host(from.class, to.class);
            for kind in [Kind::Udp, Kind::Tcp] {
                let came_by = host.has(from.address, town.host_address(), kind(to.host_port));
                let arrived = seen.has(from.address, to.resident.address, kind(BEHIND_THE_HOST));
                judge(what(kind(to.host_port), "host -> "), came_by, arrived, may);
            }
        }
    }
    let seen = Seen::by(&town.lan);
    for from in sources.iter().filter(|from| from.class != "lan") {
        for kind in [Kind::Udp(PUBLISHED), Kind::Ping] {
            let came_by = host.has(from.address, town.lan_address(), kind);
            let arrived = seen.has(from.address, town.lan_address(), kind);
            let what = format!("{} -> lan: {kind:?}", from.class);
            judge(what, came_by, arrived, from.class != "internal");
        }
    }
    wrong
}

fn gateway(to: &Receiver, town: &Town<'_>) -> IpAddr {
    let network = to.host_port - 8000;
    town.address(network, 1)
}
