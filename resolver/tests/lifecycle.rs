//! How the daemon begins, dies, comes back and ends.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Instant;

use names::{Record, Store};
use netns_fixtures::lab;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};

use crate::stage::{
    DEADLINE, RUN_DIR, Stage, ask, ask_by_tcp, ask_once, daemons, in_namespace, is_alive, key,
    kill_dead, query, try_to_ask,
};

pub(crate) fn at(number: u8) -> (u8, Option<Ipv4Addr>) {
    (0, Some(Ipv4Addr::new(10, 90, 1, number)))
}

const NOBODY: (u8, Option<Ipv4Addr>) = (3, None);

#[test]
fn a_name_is_found_as_soon_as_it_is_registered_and_not_after_it_was_removed() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let (web, db) = (stage.container("web", 2), stage.container("db", 3));
        let server = stage.register(&web, &stage.record(&web, 2));
        assert_eq!(ask(&web, server, "web"), at(2));
        assert_eq!(stage.register(&db, &stage.record(&db, 3)), server);
        assert_eq!(ask(&web, server, "DB.n1"), at(3));
        assert_eq!(ask_by_tcp(&web, server, "db"), at(3));
        stage.client().remove(&key("n1", "db")).unwrap();
        assert_eq!(ask(&web, server, "db"), NOBODY);
        assert!(stage.status().contains("\"attachments\":1"), "{}", stage.status());
    });
}

#[test]
fn case_60_fifty_first_containers_at_once_have_one_daemon_that_knows_all() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let numbers: Vec<u8> = (2..52).collect();
        let containers: Vec<_> =
            numbers.iter().map(|n| stage.container(&format!("c{n}"), *n)).collect();
        let all: Vec<_> = containers.iter().zip(&numbers).collect();
        let servers: Vec<_> = std::thread::scope(|scope| {
            let stage = &stage;
            let register = |(container, number)| {
                scope.spawn(move || stage.register(container, &stage.record(container, number)))
            };
            let running: Vec<_> = all.iter().map(|(c, n)| register((*c, **n))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(servers.iter().all(|server| *server == servers[0]), "{servers:?}");
        for (container, number) in all {
            assert_eq!(ask(&containers[0], servers[0], container.id()), at(*number));
        }
        assert_eq!(daemons(), 2, "a keeper and a worker");
    });
}

#[test]
fn case_61_a_query_that_comes_while_nobody_answers_waits_until_all_is_known() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let askers: Vec<_> = (2..6).map(|n| (stage.container(&format!("c{n}"), n), n)).collect();
        let mut servers = askers.iter().map(|(c, n)| stage.register(c, &stage.record(c, *n)));
        let server = servers.next().unwrap();
        assert!(servers.all(|other| other == server));
        // More than is told in one go.
        let netns = askers[0].0.path().to_str().unwrap();
        for number in 0..400 {
            let other =
                Record { key: key("n1", &format!("other{number}")), ..stage.record_of(netns, 9) };
            Store::under(Path::new(RUN_DIR)).write(&other).unwrap();
        }
        for _ in 0..5 {
            kill_dead(stage.worker());
            std::thread::scope(|scope| {
                for (asker, number) in &askers {
                    scope.spawn(|| assert_eq!(ask_once(asker, server, asker.id()), at(*number)));
                }
            });
        }
    });
}

#[test]
fn a_thousand_queries_wait_for_a_worker_that_has_no_turn() {
    lab(|lab| {
        let any = UdpSocket::bind("127.0.0.1:0").unwrap();
        if setsockopt(&any, sockopt::RcvBufForce, &(1 << 20)).is_err() {
            netns_fixtures::skip("only root of the machine may let more wait than rmem_max");
        }
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let worker = stage.worker();
        kill(worker, Signal::SIGSTOP).unwrap();
        let answered = in_namespace(&web, || {
            // As many replies as the usual queue of one socket holds.
            let clients: Vec<UdpSocket> =
                (0..10).map(|_| UdpSocket::bind("0.0.0.0:0").unwrap()).collect();
            for client in &clients {
                client.connect(server).unwrap();
                client.set_read_timeout(Some(DEADLINE)).unwrap();
                for _ in 0..100 {
                    client.send(&query("web")).unwrap();
                }
            }
            kill(worker, Signal::SIGCONT).unwrap();
            let replies = |client: &UdpSocket| {
                (0..100).take_while(|_| client.recv(&mut [0; 512]).is_ok()).count()
            };
            clients.iter().map(replies).sum::<usize>()
        });
        assert_eq!(answered, 1000);
    });
}

#[test]
fn case_61_a_worker_that_was_killed_is_back_with_the_same_sockets_and_all_names() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let (worker, keeper) = (stage.worker(), stage.keeper());
        for _ in 0..3 {
            kill_dead(stage.worker());
            assert_eq!(ask(&web, server, "web"), at(2));
        }
        assert_ne!(stage.worker(), worker);
        assert_eq!(stage.keeper(), keeper);
        // The next container is served by what is there.
        let db = stage.container("db", 3);
        assert_eq!(stage.register(&db, &stage.record(&db, 3)), server);
        assert_eq!(ask(&web, server, "db"), at(3));
    });
}

#[test]
fn when_both_were_killed_the_next_container_brings_back_all_names_at_the_same_port() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let (worker, keeper) = (stage.worker(), stage.keeper());
        kill_dead(keeper);
        let begun = Instant::now();
        while is_alive(worker) {
            assert!(begun.elapsed() < DEADLINE, "the worker outlives its keeper");
        }
        assert_eq!(try_to_ask(&web, server, "web"), None);
        let db = stage.container("db", 3);
        assert_eq!(stage.register(&db, &stage.record(&db, 3)), server);
        assert_eq!(ask(&db, server, "web"), at(2));
        assert_eq!(ask(&web, server, "db"), at(3));
    });
}

#[test]
fn an_upgrade_answers_every_query_and_the_new_worker_knows_all() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let worker = stage.worker();
        stage.client().about(names::Topic::Upgrade).unwrap();
        let begun = Instant::now();
        let mut asked = 0;
        while stage.worker() == worker {
            assert_eq!(try_to_ask(&web, server, "web"), Some(at(2)), "after {asked} queries");
            asked += 1;
            assert!(begun.elapsed() < DEADLINE, "no other worker took over");
        }
        assert_eq!(ask(&web, server, "web"), at(2));
    });
}

#[test]
fn a_daemon_without_containers_ends_when_the_time_is_over_and_leaves_nothing() {
    lab(|lab| {
        fs::create_dir_all("/run/other/etc/cais").unwrap();
        fs::write("/run/other/etc/cais/dnsd.json", r#"{"idleExit": 1}"#).unwrap();
        let stage = Stage::new(lab);
        let run_dir = Path::new("/run/other/run/cais");
        let web = stage.container("web", 2);
        let path: Vec<_> =
            vec![Path::new(env!("CARGO_BIN_EXE_cais-dnsd")).parent().unwrap().into()];
        let client = names::Client::new(run_dir, &path);
        let netns = kernel::netns::Netns::open(web.path()).unwrap();
        client.register(&stage.record(&web, 2), &netns).unwrap();
        client.remove(&key("n1", "web")).unwrap();
        let begun = Instant::now();
        while daemons() > 0 {
            assert!(begun.elapsed() < DEADLINE, "it goes on without containers");
        }
        assert!(!run_dir.join("dns.sock").exists());
        assert!(!Path::new(RUN_DIR).exists());
    });
}

/// As Podman removes that of a user who has no container any more.
#[test]
fn a_daemon_whose_run_directory_is_removed_ends_at_once() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        stage.register(&web, &stage.record(&web, 2));
        assert_eq!(daemons(), 2, "a keeper and a worker");
        fs::remove_dir_all(RUN_DIR).unwrap();
        let begun = Instant::now();
        while daemons() > 0 {
            assert!(begun.elapsed() < DEADLINE, "it goes on where nobody finds it");
        }
    });
}

#[test]
fn the_worker_has_no_privilege_and_still_answers() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        assert_eq!(ask_by_tcp(&web, server, "web"), at(2));
        let status = fs::read_to_string(format!("/proc/{}/status", stage.worker())).unwrap();
        let line = |line: &str| status.lines().any(|l| l == line);
        for has in [
            "CapEff:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "Threads:\t1",
        ] {
            assert!(line(has), "{has} is not in\n{status}");
        }
        let said = stage.status();
        assert!(said.contains("system calls: those for answering"), "{said}");
        // A user namespace knows nobody but its root.
        if !said.contains("user: no") {
            assert!(!line("Uid:\t0\t0\t0\t0"), "{status}");
        }
    });
}
