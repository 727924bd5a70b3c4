//! Starting, ending and changing, of the daemon and of containers: cases 59 to 63 and 77 to 80.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::asking::{Door, PATIENCE};
use super::daemon::{self, Control, wait_until};
use super::message::Message;
use super::message::kind::A;
use super::resident::{Person, Resident, api, both, cli, db, inner, iso, web};
use super::town::{N1, N2, Town};
use crate::echo::Tcp;

#[test]
fn case_59_a_name_is_found_as_soon_as_add_has_returned() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let cli = town.receive(cli());
        let socket = cli.own_door().socket();
        // The network stays; it is the name that comes and goes.
        let guest = town.receive(Resident::new("guest").on(N1, 30, &[]));
        let result = guest.result(0);
        for round in 0..1000 {
            let name = format!("guest{round}");
            guest.call("dnsname", "DEL", 0, Some(&result)).run().succeeded();
            let args = format!("IgnoreUnknown=1;K8S_POD_NAME={name}");
            guest.call("dnsname", "ADD", 0, Some(&result)).args(&args).run().result();
            let query = Message::query(&name, A);
            socket.send(&query.encode()).unwrap();
            let mut packet = [0; 512];
            let length = socket.recv(&mut packet).unwrap();
            let reply = Message::decode(&packet[..length]).unwrap();
            assert_eq!(reply.id, query.id);
            assert!(reply.answers.len() == 1, "{name}: {reply}\n{}", town.report());
        }
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_60_fifty_first_containers_at_once_have_one_daemon() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        // The bridge is there; else fifty would wait for its lock, and not for the daemon's.
        let first = Person::born(&town, Resident::new("first").on(N1, 99, &[]));
        first.call("bridge", "ADD", 0, None).run().succeeded();
        assert!(daemon::processes().is_empty());
        let all: Vec<Person<'_>> = thread::scope(|scope| {
            let town = &town;
            let add = |number: u16| {
                scope.spawn(move || {
                    town.receive(Resident::new(&format!("c{number}")).on(N1, number, &[]))
                })
            };
            let adding: Vec<_> = (100..150).map(add).collect();
            adding.into_iter().map(|adding| adding.join().unwrap()).collect()
        });
        let door = all[0].own_door();
        for number in 100..150 {
            door.ask(&format!("c{number}"), A).addresses(&[&format!("10.90.1.{number}")]);
        }
        // The one that answers, and the one that keeps it alive.
        wait_until("one daemon", PATIENCE, || daemon::processes().len() == 2);
        assert_eq!(daemon::status()["networks"][0]["attachments"], 50, "{}", daemon::status());
        town.assert_nobody_was_asked();
    });
}

/// Claims that everybody is found as the town's table says.
#[track_caller]
fn assert_all_found(doors: &[Door<'_>]) {
    for door in doors {
        door.ask("web", A).addresses(&["10.90.1.2"]).owned();
        door.ask("app", A).addresses(&["10.90.1.2", "10.90.1.3"]);
        door.ask("api", A).addresses(&["10.90.1.3"]);
        door.ask("dbhost", A).addresses(&["10.90.2.4"]);
        door.ask("nope.dns.podman", A).nxdomain();
    }
}

/// `web`, `api` and `db`, and at which doors these are asked for.
fn whole<'t>(town: &'t Town<'_>) -> (Vec<Person<'t>>, Vec<Door<'t>>) {
    let residents = [web(), api(), db(), iso(), both(), cli(), inner()];
    let people: Vec<_> = residents.into_iter().map(|resident| town.receive(resident)).collect();
    let doors = people[5..].iter().flat_map(Person::doors).collect();
    (people, doors)
}

#[test]
fn case_61_a_daemon_that_was_killed_is_back_and_knows_all() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (_people, doors) = whole(&town);
        assert_all_found(&doors);
        let before = daemon::worker();
        for _ in 0..3 {
            daemon::end(daemon::worker());
            let start = Instant::now();
            assert_all_found(&doors);
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        }
        assert_ne!(daemon::worker(), before);
        wait_until("one daemon", PATIENCE, || daemon::processes().len() == 2);
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_61_when_nothing_of_it_is_left_the_next_container_brings_all_back() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (_people, doors) = whole(&town);
        daemon::end_all();
        let _next = town.receive(Resident::new("next").on(N2, 40, &[]));
        assert_all_found(&doors);
        doors[0].ask("next", A).addresses(&["10.90.2.40"]);
        wait_until("one daemon", PATIENCE, || daemon::processes().len() == 2);
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_62_no_query_is_lost_while_another_program_takes_over() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (_web, cli, inner) = (town.receive(web()), town.receive(cli()), town.receive(inner()));
        let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        let doors = [cli.doors(), inner.doors()].concat();
        thread::scope(|scope| {
            let asking: Vec<_> = doors
                .iter()
                .map(|door| {
                    scope.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            assert!(is_answered(door), "{:?}\n{}", door.at, town.report());
                            asked.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let wait = |more: usize| {
                let goal = asked.load(Ordering::Relaxed) + more;
                wait_until("queries are answered", PATIENCE, || {
                    asked.load(Ordering::Relaxed) >= goal
                        || asking.iter().any(thread::ScopedJoinHandle::is_finished)
                });
            };
            for _ in 0..3 {
                wait(500);
                let before = daemon::worker();
                daemon::tell("upgrade").unwrap_or_else(|error| panic!("upgrade: {error}"));
                wait(500);
                assert_ne!(daemon::worker(), before, "another process answers now");
            }
            stop.store(true, Ordering::Relaxed);
            asking.into_iter().for_each(|asking| asking.join().unwrap());
        });
        for door in &doors {
            door.send(Tcp, &Message::query("web", A)).addresses(&["10.90.1.2"]);
        }
        wait_until("one daemon", PATIENCE, || daemon::processes().len() == 2);
        town.assert_nobody_was_asked();
    });
}

/// Whether `web` is found, at the second try at the latest.
fn is_answered(door: &Door<'_>) -> bool {
    let query = Message::query("web", A).encode();
    (0..2).any(|_| {
        let packet = door.exchange(&query, Duration::from_secs(5));
        packet.is_ok_and(|packet| Message::decode(&packet).is_ok_and(|m| m.answers.len() == 1))
    })
}

#[test]
fn case_63_a_broken_file_costs_nobody_else_and_is_told() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (people, doors) = whole(&town);
        let path = daemon::record("n1", &people[0].id(), "eth0");
        fs::write(&path, "{ torn").unwrap();
        daemon::tell("reload").unwrap_or_else(|error| panic!("reload: {error}"));
        // What was known of it is still known.
        assert_all_found(&doors);
        let status = daemon::status();
        let broken = status["broken"].to_string();
        assert!(broken.contains(path.file_name().unwrap().to_str().unwrap()), "{status}");
        // A process that never knew it knows all others.
        daemon::end(daemon::worker());
        for door in &doors {
            door.ask("api", A).addresses(&["10.90.1.3"]);
            door.ask("dbhost", A).addresses(&["10.90.2.4"]);
        }
        assert!(daemon::status()["broken"].to_string().contains("n1"), "{}", daemon::status());
    });
}

#[test]
fn case_77_ten_thousand_containers_slow_nothing_down() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (web, cli) = (town.receive(web()), town.receive(cli()));
        let door = cli.own_door();
        let one = fs::read(daemon::record("n1", &web.id(), "eth0")).unwrap();
        let one: Value = serde_json::from_slice(&one).unwrap();
        let before = typical(|| assert!(door.ask("web", A).addresses(&["10.90.1.2"]).size > 0));
        let control = Control::connect().unwrap();
        let put = |number: usize| {
            let mut record = one.clone();
            record["container"] = json!(format!("{number:064x}"));
            record["names"] = json!([format!("many{number}")]);
            let address = format!("10.90.{}.{}/16", 100 + number / 250, 1 + number % 250);
            record["addresses"] = json!([address]);
            let reply = control.ask(&json!({ "layout": 1, "verb": "put", "record": record }));
            assert!(reply.get("ports").is_some(), "{reply}");
        };
        (0..10_000).for_each(put);
        door.ask("many9999", A).addresses(&["10.90.139.250"]);
        let mut number = 10_000;
        let upsert = typical(|| {
            put(number);
            number += 1;
        });
        let after = typical(|| assert!(door.ask("web", A).addresses(&["10.90.1.2"]).size > 0));
        // A program that is not optimised, on a machine that does other things as well.
        assert!(upsert < Duration::from_millis(20), "{upsert:?} for one more");
        let most = before * 5 + Duration::from_millis(5);
        assert!(after < most, "{before:?} for a lookup became {after:?}");
    });
}

/// The median of how long 100 calls took.
fn typical(mut call: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..100)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    took.sort();
    took[50]
}

#[test]
fn case_78_who_leaves_a_network_sees_it_no_more() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (_db, cli, inner) = (town.receive(db()), town.receive(cli()), town.receive(inner()));
        let sockets = |person: &Person<'_>| {
            let listed = person.namespace().run("ss -Hlun") + &person.namespace().run("ss -Hltn");
            listed.lines().filter(|line| line.contains("127.0.0.11:")).count()
        };
        assert_eq!((sockets(&cli), sockets(&inner)), (0, 4));
        for person in [&cli, &inner] {
            person.own_door().ask("db", A).addresses(&["10.90.2.4"]);
            person.detach(1);
            person.own_door().ask("db", A).nxdomain();
            person.own_door().ask("db.n2", A).nxdomain();
        }
        assert_eq!(sockets(&inner), 2, "those of n1");
        assert!(town.u1.times("db.n2") == 0, "{}", town.report());
    });
}

#[test]
fn case_78_the_last_container_of_a_network_takes_its_listener_along() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (cli, db) = (town.receive(cli()), town.receive(db()));
        let listens = |network: &str| {
            let host = lab.host();
            let listed = host.run("ss -Hlun") + &host.run("ss -Hltn");
            listed.lines().filter(|line| line.contains(network)).count()
        };
        assert_eq!((listens("10.90.1.1"), listens("10.90.2.1")), (2, 2));
        cli.detach(1);
        assert_eq!(listens("10.90.2.1"), 2, "db is still there");
        db.leave();
        assert_eq!((listens("10.90.1.1"), listens("10.90.2.1")), (2, 0));
        let rules = lab.host().run("nft list ruleset");
        assert!(!rules.contains("10.90.2.1"), "{rules}");
        cli.own_door().ask("cli", A).addresses(&["10.90.1.9"]);
    });
}

#[test]
fn case_79_a_container_that_leaves_while_nobody_answers_is_not_found_later() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (web, _api, cli) = (town.receive(web()), town.receive(api()), town.receive(cli()));
        daemon::end_all();
        web.leave();
        assert!(daemon::processes().is_empty(), "DEL starts nothing");
        let _next = town.receive(Resident::new("next").on(N1, 40, &[]));
        let door = cli.own_door();
        door.ask("web", A).nxdomain();
        door.ask("web.n1", A).nxdomain();
        door.ask("app", A).addresses(&["10.90.1.3"]);
    });
}

#[test]
fn case_80_a_namespace_that_is_deleted_without_del_is_let_go() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (inner, cli) = (town.receive(inner()), town.receive(cli()));
        cli.own_door().ask("inner", A).addresses(&["10.90.1.10"]);
        let host_end = inner.host_end(0);
        assert!(lab.host().link(&host_end).is_some());
        inner.container.remove();
        // The kernel takes the link away with the namespace, which the daemon's sockets hold.
        let gone = || lab.host().link(&host_end).is_none();
        wait_until("the namespace is freed", Duration::from_secs(120), gone);
        wait_until("its name is forgotten", PATIENCE, || {
            !daemon::tell("dump").unwrap().contains(&inner.id())
        });
        cli.own_door().ask("cli", A).addresses(&["10.90.1.9"]);
    });
}
