//! Networks that ask nobody, and askers whom nobody knows: cases 45 to 50.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netns_fixtures::{Namespace, lab_with_plugins};
use serde_json::json;

use super::asking::{Door, SILENCE};
use super::message::kind::{A, AAAA, ANY, AXFR, HTTPS, MX, NS, PTR, SOA, TXT};
use super::message::{Edns, Message, rcode};
use super::resident::{Person, Resident, both, cli, iso, web};
use super::town::{INT1, Town, UPLINK};
use super::upstream::always;
use crate::echo::{Tcp, Udp, assert_answers, serve_at};

/// Counts packets to port 53 that leave the host by its uplink, whatever they bear.
fn watch_uplink(town: &Town<'_>) {
    let host = town.lab.host();
    for command in [
        "add table inet watch",
        "add chain inet watch out { type filter hook postrouting priority 300 ; }",
        "add rule inet watch out oifname up0 udp dport { 53, 853, 5353 } counter",
        "add rule inet watch out oifname up0 tcp dport { 53, 853, 5353 } counter",
    ] {
        host.run(&format!("nft {command}"));
    }
}

/// Claims that nothing has left since then.
#[track_caller]
fn assert_nothing_left(town: &Town<'_>) {
    let listed = town.lab.host().run("nft list table inet watch");
    assert_eq!(listed.matches("counter packets 0 ").count(), 2, "{listed}\n{}", town.report());
    town.assert_nobody_was_asked();
}

#[test]
fn case_45_an_internal_network_asks_nobody() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        watch_uplink(&town);
        let inner = Resident::new("inner").on(INT1, 5, &[]).with(&json!({ "resolver": "netns" }));
        let (iso, inner) = (town.receive(iso()), town.receive(inner));
        for door in [iso.doors(), inner.doors()].concat() {
            let start = Instant::now();
            door.ask("example.com", A).nxdomain();
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
            // Others of the network are found all the same.
            door.ask("iso", A).addresses(&["10.90.3.2"]).owned();
            door.ask("inner", A).addresses(&["10.90.3.5"]).owned();
            let told = door.send(Udp, &Message::query("example.com", A).edns(1232));
            told.nxdomain();
            let why =
                told.reply.additional.iter().any(|opt| opt.data.starts_with(&[0, 15, 0, 2, 0, 18]));
            told.must(why, "extended error 18, prohibited");
        }
        assert_nothing_left(&town);
        // What is counted there is what others ask.
        town.receive(cli()).own_door().ask("example.com", A).addresses(&["192.0.2.101"]);
        let listed = town.lab.host().run("nft list table inet watch");
        assert_eq!(listed.matches("counter packets 0 ").count(), 1, "{listed}");
    });
}

#[test]
fn case_46_an_address_that_nobody_was_given_learns_of_its_own_network_alone() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        watch_uplink(&town);
        let residents = [iso(), both(), web(), cli()];
        let [iso, _both, _web, cli] = residents.map(|resident| town.receive(resident));
        let ask = |of: &Person<'_>, source: &str, network: &str, name: &str| {
            let source: Ipv4Addr = source.parse().unwrap();
            let gateway = SocketAddr::new(network.parse().unwrap(), 53);
            ask_from(of.namespace(), source, gateway, &Message::query(name, A))
        };
        iso.namespace().run("ip addr add 10.90.3.99/24 dev eth0");
        cli.namespace().run("ip addr add 10.90.1.99/24 dev eth0");
        for (of, source, network, known, unknown) in [
            (&iso, "10.90.3.99", "10.90.3.1", ("iso", "10.90.3.2"), "web"),
            (&cli, "10.90.1.99", "10.90.1.1", ("web", "10.90.1.2"), "iso"),
        ] {
            let reply = ask(of, source, network, known.0).expect("a neighbour is answered");
            assert_eq!(reply.answers[0].said(), known.1, "{reply}");
            for name in ["example.com", unknown] {
                if let Some(reply) = ask(of, source, network, name) {
                    assert!(reply.answers.is_empty(), "{reply}");
                    assert_ne!(reply.rcode(), rcode::NOERROR, "{reply}");
                }
            }
        }
        // One that is not even of the network is not heard.
        iso.namespace().run("ip addr add 10.77.0.1/32 dev eth0");
        assert!(ask(&iso, "10.77.0.1", "10.90.3.1", "iso").is_none());
        assert_nothing_left(&town);
    });
}

/// Asks by UDP with this source address.
fn ask_from(
    place: &Namespace,
    source: Ipv4Addr,
    at: SocketAddr,
    query: &Message,
) -> Option<Message> {
    place.within(|| {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.send_to(&query.encode(), at).unwrap();
        let mut packet = [0; 2048];
        let (length, _) = socket.recv_from(&mut packet).ok()?;
        Some(Message::decode(&packet[..length]).unwrap())
    })
}

#[test]
fn case_47_nothing_leaves_an_internal_network_whatever_is_asked_how() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        watch_uplink(&town);
        let iso = town.receive(iso());
        for door in iso.doors() {
            for kind in [A, AAAA, ANY, MX, NS, PTR, SOA, TXT, HTTPS, 65280] {
                for name in ["exfil.example", "8.8.8.8.in-addr.arpa", "a.com", ".", "secret"] {
                    for protocol in [Udp, Tcp] {
                        let told = door.send(protocol, &Message::query(name, kind));
                        told.must(told.reply.answers.is_empty(), "no answers");
                    }
                }
            }
            let (notify, update) = (4, 5);
            for opcode in [1, 2, notify, update, 6, 15] {
                let query = Message::query("exfil.example", SOA).opcode(opcode);
                door.send(Udp, &query).must(true, "any answer");
            }
            door.send(Tcp, &Message::query("exfil.example", AXFR)).rcode(rcode::REFUSED);
            let edns = Edns { size: 4096, version: 0, wants_signatures: true };
            door.send(Udp, &Message::query("exfil.example", TXT).opt(edns)).nxdomain();
        }
        assert_nothing_left(&town);
    });
}

#[test]
fn case_47_servers_of_its_own_do_not_open_an_internal_network() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        watch_uplink(&town);
        let keys = json!({
            "servers": ["203.0.113.2"],
            "capabilities": { "dns": true },
            "runtimeConfig": { "dns": { "servers": ["203.0.113.1"] } },
        });
        let iso = town.receive(iso().with(&keys));
        for door in iso.doors() {
            let told = door.ask("example.com", A);
            told.must(told.reply.answers.is_empty(), "no answers");
        }
        assert_nothing_left(&town);
    });
}

#[test]
fn case_48_49_who_is_on_another_network_as_well_may_ask_and_only_he() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        let (both, iso) = (town.receive(both()), town.receive(iso()));
        let at_int1 = both.door("10.90.3.1");
        for door in [both.doors(), vec![at_int1]].concat() {
            door.ask(&door.own("example.com"), A).addresses(&["192.0.2.101"]);
            door.ask("iso", A).addresses(&["10.90.3.2"]);
        }
        town.forget();
        for door in iso.doors() {
            door.ask("other.example", A).nxdomain();
            // Not even what is kept already.
            door.ask(&both.own_door().own("example.com"), A).nxdomain();
        }
        town.assert_nobody_was_asked();
        // With the network that may ask goes the right to.
        both.detach(0);
        both.door("10.90.3.1").ask("third.example", A).nxdomain();
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_50_a_host_of_the_lan_is_not_answered_at_the_gateway() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (_web, cli) = (town.receive(web()), town.receive(cli()));
        cli.own_door().ask("web", A).addresses(&["10.90.1.2"]);
        town.internet.run(&format!("ip route add 10.90.0.0/16 via {UPLINK}"));
        serve_at(lab.host(), "host", "10.90.1.1:5000".parse().unwrap());
        assert_answers(&town.internet, ("10.90.1.1", 5000), "host", "203.0.113.1");
        for address in ["10.90.1.1", UPLINK] {
            for port in [53, 1021, 1020] {
                let mut door = Door::new(&town, "LAN", &town.internet, address);
                door.at.set_port(port);
                door.assert_ignores(&Message::query("web", A).encode());
            }
        }
        // Whether a container of another network may ask there is up to isolation; it is not told
        // of what it does not see.
        let stranger = town.receive(Resident::new("stranger").on(INT1, 9, &[]));
        let told = stranger.door("10.90.1.1").exchange(&Message::query("web", A).encode(), SILENCE);
        if let Ok(reply) = told {
            let reply = Message::decode(&reply).unwrap();
            assert!(reply.answers.is_empty(), "{reply}");
        }
    });
}
