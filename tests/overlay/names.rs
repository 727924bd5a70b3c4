//! Names across hosts: a container finds one on another host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netns_fixtures::lab_with_plugins;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::agent::{await_that, by_etcd, followers, pause};
use super::faults::{Logs, daemon};
use super::{Resident, Town, Underlay, blue};
use crate::dns::message::{Message, kind};
use crate::under_test::with_keys;

/// What `from` finds under `name` of one type, at the first server that its result names.
fn ask(from: &Resident<'_>, name: &str, kind: u16) -> Vec<IpAddr> {
    let servers = &from.config["prevResult"]["dns"]["nameservers"];
    let server: IpAddr = servers[0].as_str().expect("names have a server").parse().unwrap();
    let query = Message::query(name, kind).encode();
    let reply = from.container.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(&query, SocketAddr::new(server, 53)).unwrap();
        let mut reply = vec![0; 4096];
        let length = socket.recv(&mut reply).unwrap_or_default();
        reply.truncate(length);
        Ok::<_, String>(reply)
    });
    let Ok(reply) = Message::decode(&reply.unwrap()) else { return Vec::new() };
    let address = |data: &[u8]| match data.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).unwrap()).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap()).into()),
        _ => None,
    };
    reply.answers.iter().filter_map(|record| address(&record.data)).collect()
}

/// All addresses that `from` finds under `name`.
fn found(from: &Resident<'_>, name: &str) -> Vec<IpAddr> {
    let mut all = [ask(from, name, kind::A), ask(from, name, kind::AAAA)].concat();
    all.sort_unstable();
    all
}

/// Waits until `from` finds just these containers under `name`.
#[track_caller]
fn finds(from: &Resident<'_>, name: &str, of: &[&Resident<'_>]) -> Duration {
    let mut wanted: Vec<IpAddr> = of.iter().flat_map(|of| of.addresses()).collect();
    wanted.sort_unstable();
    await_that(&format!("{name} is {wanted:?}"), || found(from, name) == wanted)
}

/// The configuration of a network in etcd, for a container with an alias.
fn called(network: &str, pool: u8, alias: &str) -> Value {
    let aliases = json!({ "runtimeConfig": { "aliases": { network: [alias] } } });
    with_keys(by_etcd(network, pool, 1), &aliases)
}

#[test]
fn a_container_is_found_on_another_host_within_a_second_until_it_goes() {
    lab_with_plugins(|lab| {
        let _logs = Logs;
        let (town, _etcd) = followers(lab, 2, 1);
        let b = town.resident(2, "b", &called("blue", 77, "back"));
        let other = town.resident(2, "other", &called("red", 78, "back"));
        let mut took: Vec<Duration> = Vec::new();
        for number in 0..100 {
            let id = format!("a{number}");
            let a = town.resident(1, &id, &called("blue", 77, "front"));
            let begun = Instant::now();
            finds(&b, a.container.id(), &[&a]);
            took.push(begun.elapsed());
            if number == 0 {
                finds(&b, "front", &[&a]);
                finds(&b, "FRONT.blue", &[&a]);
                finds(&a, "back", &[&b]);
                assert_eq!(found(&other, "front"), [] as [IpAddr; 0], "it is on another network");
                assert_eq!(found(&other, a.container.id()), [] as [IpAddr; 0]);
                a.check();
            }
            a.del();
            a.container.remove();
            if number == 0 {
                finds(&b, "front", &[]);
            }
        }
        took.sort_unstable();
        println!(
            "\nfrom ADD's return to the right answer: p50 {:?}, worst {:?}",
            took[50], took[99]
        );
        assert!(took[99] < Duration::from_secs(1), "{took:?}");
    });
}

#[test]
fn containers_of_two_hosts_that_are_called_the_same_are_both_found() {
    lab_with_plugins(|lab| {
        let _logs = Logs;
        let (town, _etcd) = followers(lab, 2, 1);
        let [a, b] = [1, 2].map(|n| town.resident(n, &format!("c{n}"), &called("blue", 77, "www")));
        finds(&a, "www", &[&a, &b]);
        finds(&b, "www", &[&a, &b]);
    });
}

#[test]
fn names_stay_while_etcd_and_daemons_are_away() {
    lab_with_plugins(|lab| {
        let _logs = Logs;
        let (town, mut etcd) = followers(lab, 2, 1);
        let config = called("blue", 77, "front");
        let a = town.resident(1, "a", &config);
        let b = town.resident(2, "b", &by_etcd("blue", 77, 1));
        finds(&b, "front", &[&a]);
        etcd.kill(0);
        let sibling = town.resident(2, "sibling", &by_etcd("blue", 77, 1));
        finds(&b, sibling.container.id(), &[&sibling]);
        let pid = daemon(2);
        kill(pid, Signal::SIGKILL).unwrap();
        await_that("it is gone", || kill(pid, None).is_err());
        let late = town.resident(2, "late", &by_etcd("blue", 77, 1));
        pause(Duration::from_millis(500));
        finds(&late, "front", &[&a]);
        finds(&b, "front", &[&a]);
        a.del();
        etcd.restart(0);
        finds(&b, "front", &[]);
    });
}

#[test]
fn a_host_that_names_an_address_which_is_not_its_own_is_not_listened_to() {
    lab_with_plugins(|lab| {
        let _logs = Logs;
        let (town, etcd) = followers(lab, 2, 1);
        let a = town.resident(1, "a", &by_etcd("blue", 77, 1));
        let b = town.resident(2, "b", &by_etcd("blue", 77, 1));
        finds(&b, "a", &[&a]);
        let key = etcd.keys("names/blue/").into_iter().find(|key| key.ends_with("/a@eth0"));
        let key = key.expect("a is published");
        let own = b.addresses()[0];
        let (forged, right) = (key.replace("/a@", "/forged@"), key.replace("/a@", "/right@"));
        etcd.put(&forged, &json!({ "v": 1, "names": ["bank"], "ips": [own] }).to_string());
        let address = a.addresses()[0];
        etcd.put(&right, &json!({ "v": 1, "names": ["shop"], "ips": [address] }).to_string());
        await_that("what came later is known", || ask(&b, "shop", kind::A) == [address]);
        assert_eq!(found(&b, "bank"), [] as [IpAddr; 0]);
    });
}

#[test]
fn without_a_store_names_are_those_of_one_host_and_off_is_off() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        let a = town.resident(1, "a", &blue());
        let b = town.resident(1, "b", &blue());
        finds(&a, "b", &[&b]);
        b.check();
        b.del();
        finds(&a, "b", &[]);
        let quiet = with_keys(blue(), &json!({ "names": "off" }));
        let c = town.resident(2, "c", &quiet);
        assert_eq!(c.config["prevResult"]["dns"]["nameservers"], Value::Null);
        c.check();
        let wrong = with_keys(blue(), &json!({ "names": "wach" }));
        let outcome = town.try_add(2, &lab.container("d"), &wrong);
        outcome.refused(7).says(&["names", "wach", "did you mean \"watch\"?"]);
    });
}
