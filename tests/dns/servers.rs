//! Whom others' names are asked of: cases 64 to 68 and 82.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::asking::{Door, PATIENCE};
use super::message::kind::A;
use super::message::rcode;
use super::resident::{Resident, cli, inner};
use super::town::{N1, N2, Town};
use super::upstream::{U1, U2, Upstream, always, pass};

/// Asks fresh names until the answer is `address`.
#[track_caller]
fn wait_for(door: &Door<'_>, mark: &str, address: &str) {
    let deadline = Instant::now() + PATIENCE;
    for number in 0.. {
        let told = door.ask(&format!("n{number}.{mark}.example"), A);
        if told.said() == [address] {
            return;
        }
        told.must(Instant::now() < deadline, &format!("sooner or later {address}"));
        pass(Duration::from_millis(100));
    }
}

#[test]
fn case_64_a_list_of_servers_that_is_replaced_is_read_again() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        let asker = town.receive(cli());
        let door = asker.own_door();
        wait_for(&door, "first", "192.0.2.101");
        town.host_asks(&format!("nameserver {U2}\n"));
        wait_for(&door, "second", "192.0.2.202");
        town.host_asks(&format!("nameserver {U1}\n"));
        wait_for(&door, "third", "192.0.2.101");
        std::fs::write("/etc/resolv.conf", format!("nameserver {U2}\n")).unwrap();
        wait_for(&door, "fourth", "192.0.2.202");
    });
}

#[test]
fn case_65_the_hosts_own_resolver_is_asked_and_its_servers_only_where_it_is_dead() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let stub = Upstream::start(lab.host(), "stub", "127.0.0.53".parse().unwrap());
        stub.does(always("192.0.2.53"));
        std::fs::create_dir_all("/run/systemd/resolve").unwrap();
        std::fs::write("/run/systemd/resolve/resolv.conf", format!("nameserver {U2}\n")).unwrap();
        town.host_asks("nameserver 127.0.0.53\n");
        let asker = town.receive(cli());
        asker.own_door().ask("host.vpn.example", A).addresses(&["192.0.2.53"]);
        assert_eq!(stub.times("host.vpn.example"), 1, "{}", stub.report());
        town.assert_nobody_was_asked();
        stub.does(super::upstream::silent());
        asker.own_door().ask("www.example", A).addresses(&["192.0.2.202"]);
    });
}

#[test]
fn case_66_a_list_as_people_write_it_is_read_in_its_order() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.internet.run("ip addr add fe80::53/64 dev eth0 nodad");
        town.internet.wait_until_local("fe80::53");
        lab.host().settle_link_local();
        let (u3, u4) = ("203.0.113.3".parse().unwrap(), "203.0.113.4".parse().unwrap());
        let servers = ["U3", "U4"].into_iter().zip([u3, u4]);
        let servers: Vec<Upstream> =
            servers.map(|(name, at)| Upstream::start(&town.internet, name, at)).collect();
        servers[0].does(super::upstream::failing(rcode::REFUSED));
        servers[1].does(always("192.0.2.204"));
        town.u1.does(super::upstream::failing(rcode::SERVFAIL));
        town.host_asks(&format!(
            "# comment\r\n; another\nnonsense here\nnameserver\t{u3}\r\nsearch a b\n\
             nameserver   {U1} # the second\nnameserver fe80::9%up0\nnameserver  {u4}\n"
        ));
        let asker = town.receive(cli());
        let start = Instant::now();
        asker.own_door().ask("example.com", A).addresses(&["192.0.2.204"]);
        assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
        let asked = |asked: &[super::upstream::Asked]| asked.first().map(|asked| asked.at);
        let order = [&servers[0], &town.u1, &servers[1]].map(|server| asked(&server.asked()));
        assert!(order.is_sorted() && order[0].is_some(), "{order:?}\n{}", town.report());
    });
}

#[test]
fn case_66_a_server_of_the_link_is_asked_by_its_link() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.internet.run("ip addr add fe80::53/64 dev eth0 nodad");
        town.internet.wait_until_local("fe80::53");
        lab.host().settle_link_local();
        let server = Upstream::start_on_link(&town.internet, "U6", "fe80::53", "eth0");
        server.does(always("192.0.2.206"));
        town.host_asks("nameserver fe80::53%up0\n");
        let asker = town.receive(cli());
        asker.own_door().ask("example.com", A).addresses(&["192.0.2.206"]);
    });
}

#[test]
fn case_67_a_containers_servers_come_before_its_networks_and_those_before_the_hosts() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let at = |number: u8| IpAddr::from([203, 0, 113, number]);
        let (u3, u4) = (at(3), at(4));
        let of_network = Upstream::start(&town.internet, "U3", u3);
        let of_container = Upstream::start(&town.internet, "U4", u4);
        of_network.does(always("192.0.2.203"));
        of_container.does(always("192.0.2.204"));
        town.u1.does(always("192.0.2.101"));
        let servers = json!({ "servers": [u3] });
        let own = json!({
            "servers": [u3],
            "capabilities": { "dns": true },
            "runtimeConfig": { "dns": { "servers": [u4] } },
        });
        let with = |name: &str, number, keys| {
            let resident = Resident::new(name).on(N1, number, &[]).with(keys);
            town.receive(resident).own_door()
        };
        with("c1", 20, &own).ask("one.example", A).addresses(&["192.0.2.204"]);
        with("c2", 21, &servers).ask("two.example", A).addresses(&["192.0.2.203"]);
        let plain = town.receive(Resident::new("c3").on(N2, 22, &[]));
        plain.own_door().ask("three.example", A).addresses(&["192.0.2.101"]);
        assert_eq!(of_container.times("one.example"), 1);
        assert_eq!(of_network.times("two.example"), 1);
    });
}

#[test]
fn case_68_nobody_asks_himself() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _others = [town.receive(cli()), town.receive(inner())];
        // The gateways, where we answer, and what only containers may ask.
        town.host_asks("nameserver 10.90.1.1\nnameserver 127.0.0.11\nnameserver 10.90.2.1\n");
        let asker = town.receive(Resident::new("asker").on(N1, 20, &[]));
        let start = Instant::now();
        asker.own_door().ask("example.com", A).rcode(rcode::SERVFAIL);
        assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
        let own = Resident::new("own").on(N1, 21, &[]).with(&json!({ "servers": ["10.90.1.1"] }));
        let own = super::resident::Person::born(&town, own);
        // Refused where it can be seen; else nobody is asked in circles.
        if own.attach(0).is_ok() {
            own.own_door().ask("example.org", A).rcode(rcode::SERVFAIL);
        }
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_82_answers_of_different_servers_are_not_mixed() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        let with = |name: &str, network, server: IpAddr| {
            let resident = Resident::new(name).on(network, 20, &[]);
            town.receive(resident.with(&json!({ "servers": [server] })))
        };
        let (one, two) = (with("one", N1, U1), with("two", N2, U2));
        for _ in 0..3 {
            one.own_door().ask("example.com", A).addresses(&["192.0.2.101"]);
            two.own_door().ask("example.com", A).addresses(&["192.0.2.202"]);
        }
        assert_eq!(town.u1.times("example.com"), 1, "{}", town.report());
        assert_eq!(town.u2.times("example.com"), 1, "{}", town.report());
    });
}
