//! Where names are asked for: beside other servers, behind a host that drops what comes in, and on
//! networks of other kinds.

use std::net::{TcpListener, UdpSocket};

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::asking::Door;
use super::message::kind::A;
use super::resident::{cli, inner, web};
use super::town::{Town, UPLINK};
use crate::under_test::{needs_driver, with_keys};

/// Answers every datagram with these bytes, until the case ends.
fn shout(place: &netns_fixtures::Namespace, address: &'static str, word: &'static [u8]) {
    let socket = place.within(|| UdpSocket::bind((address, 53)).unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(word, from);
        }
    });
}

#[test]
fn case_69_a_server_of_the_host_and_a_published_port_53_take_nothing_away() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        shout(lab.host(), "0.0.0.0", b"the host's");
        let _taken = lab.host().within(|| TcpListener::bind("0.0.0.0:53").unwrap());
        let (web, cli, inner) = (town.receive(web()), town.receive(cli()), town.receive(inner()));
        shout(web.namespace(), "0.0.0.0", b"the container's");
        let ports = json!([{ "hostPort": 53, "containerPort": 53, "protocol": "udp" }]);
        let config = json!({
            "cniVersion": "1.0.0", "name": "n1", "type": "portmap", "prevResult": web.result(0),
            "runtimeConfig": { "portMappings": ports },
        });
        lab.plugin("portmap")
            .verb("ADD")
            .container(&web.container)
            .env("CNI_CONTAINERID", web.id())
            .config(&config)
            .run()
            .result();
        for door in [cli.doors(), inner.doors()].concat() {
            door.ask("web", A).addresses(&["10.90.1.2"]);
        }
        // Published it is, to others.
        let outside = Door::new(&town, "the internet", &town.internet, UPLINK);
        let reply = outside.exchange(b"anything", super::asking::PATIENCE).unwrap();
        assert_eq!(reply, b"the container's");
    });
}

#[test]
fn case_70_a_container_may_serve_names_itself() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        for person in [town.receive(cli()), town.receive(inner())] {
            let place = person.namespace();
            shout(place, "0.0.0.0", b"its own");
            let _streams = place.within(|| TcpListener::bind("0.0.0.0:53").unwrap());
            for door in person.doors() {
                door.ask("web", A).addresses(&["10.90.1.2"]);
            }
            let own = person.door("127.0.0.1");
            assert_eq!(own.exchange(b"anything", super::asking::PATIENCE).unwrap(), b"its own");
        }
    });
}

#[test]
fn case_71_a_host_that_drops_what_comes_in_lets_names_through() {
    lab_with_plugins(|lab| {
        lab.needs(Feature::Iptables);
        let town = Town::new(lab);
        for program in ["iptables", "ip6tables"] {
            lab.host().run(&format!("{program} -P INPUT DROP"));
        }
        let _web = town.receive(web());
        for person in [town.receive(cli()), town.receive(inner())] {
            // Neighbour discovery of IPv6 is dropped by such a host as well.
            for door in person.doors().iter().filter(|door| door.at.is_ipv4()) {
                door.ask("web", A).addresses(&["10.90.1.2"]);
            }
        }
    });
}

/// `container` on a link of the kind that `plugin` makes with the keys `more`, with its own address
/// and no gateway.
fn on_link(
    lab: &Lab,
    (plugin, more): (&str, &Value),
    container: &Container,
    address: &str,
) -> Value {
    let addresses = json!([{ "address": format!("{address}/24") }]);
    let config = json!({
        "cniVersion": "1.0.0", "name": "lan-1", "type": plugin, "master": "lan",
        "ipam": { "type": "static", "addresses": addresses },
    });
    lab.add(plugin, container, &with_keys(config, more))
}

/// Names are found, and others are asked, on links that the host is no gateway of.
fn names_on(lab: &Lab, plugin: &str, more: &Value) {
    needs_driver(lab, plugin);
    let town = Town::new(lab);
    lab.host().run("ip link add lan type veth peer name lan-peer");
    lab.host().run("ip link set dev lan up");
    lab.host().run("ip link set dev lan-peer up");
    let named = |name: &str, address: &str| {
        let container = lab.container(name);
        container.run("ip link set dev lo up");
        let config = json!({
            "cniVersion": "1.0.0", "name": "lan-1", "type": "dnsname",
            "prevResult": on_link(lab, (plugin, more), &container, address),
        });
        let result = lab.add("dnsname", &container, &config);
        assert_eq!(result["dns"]["nameservers"], json!(["127.0.0.11"]));
        container
    };
    let (one, _two) = (named("one", "10.91.0.2"), named("two", "10.91.0.3"));
    let door = Door::new(&town, "one", &one, "127.0.0.11");
    door.ask("two", A).addresses(&["10.91.0.3"]);
    door.ask("two.lan-1", A).addresses(&["10.91.0.3"]);
    door.ask("example.com", A).addresses(&["192.0.2.101"]);
}

#[test]
fn case_72_names_are_found_on_macvlan() {
    lab_with_plugins(|lab| names_on(lab, "macvlan", &json!({})));
}

mod case_72_names_are_found_on_ipvlan {
    use super::*;

    fn case(lab: &Lab, mode: &str) {
        names_on(lab, "ipvlan", &json!({ "mode": mode }));
    }

    stamp!(lab_with_plugins, case, in_mode_l2: "l2", in_mode_l3: "l3", in_mode_l3s: "l3s");
}
