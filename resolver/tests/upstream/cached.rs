//! What was answered before.

use std::time::Duration;

use netns_fixtures::lab;
use resolver::upstream::{Forwarder, Limits};
use tokio::time::{advance, pause, resume};

use super::packet::{A, NXDOMAIN, Packet, SERVFAIL, query, read, reply};
use super::stage::{Upstream, ask, at_once, forwarder, run, set};

/// Turns the clock by so many seconds, while nobody waits for a socket.
async fn later(seconds: u64) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
}

#[test]
fn case_29_the_second_time_the_cache_answers_and_ttls_have_run_down() {
    lab(|_| {
        run(async {
            let one =
                Upstream::new(|query| at_once(reply(query).a("192.0.2.1", 60).a("192.0.2.2", 90)))
                    .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let asked = query("example.com", A);
            assert_eq!(forwarder.cached(&set, &asked.0), None);
            ask(&forwarder, &set, &asked).await;
            later(20).await;
            let again = asked.clone().id(0x7777).opt(4096, false, &[]);
            let got = read(&forwarder.cached(&set, &again.0).unwrap());
            assert_eq!((got.id, got.opt().unwrap().class), (0x7777, 1232));
            assert_eq!(got.addresses(), ["192.0.2.1", "192.0.2.2"]);
            let ttls: Vec<u32> = got.answers.iter().map(|record| record.ttl).collect();
            assert!((38..=40).contains(&ttls[0]) && ttls[1] == ttls[0] + 30, "{ttls:?}");
            assert_eq!((one.asked(), forwarder.counters.hits.get()), (1, 1));
            later(41).await;
            assert_eq!(forwarder.cached(&set, &asked.0), None);
        });
    });
}

#[test]
fn an_answer_is_kept_for_at_most_five_minutes_and_not_at_all_with_a_ttl_of_zero() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|asked| {
                let zero = asked[13] == b'z';
                at_once(reply(asked).a("192.0.2.1", if zero { 0 } else { 86_400 }))
            })
            .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let (long, zero) = (query("long.example", A), query("zero.example", A));
            ask(&forwarder, &set, &long).await;
            ask(&forwarder, &set, &zero).await;
            assert_eq!(forwarder.cached(&set, &zero.0), None);
            later(298).await;
            assert!(forwarder.cached(&set, &long.0).is_some());
            later(3).await;
            assert_eq!(forwarder.cached(&set, &long.0), None);
        });
    });
}

#[test]
fn case_81_absences_come_from_the_cache_as_they_came_from_the_server() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|asked| {
                let gone = asked[13] == b'g';
                let absent = reply(asked).soa(3600, 30);
                at_once(if gone { absent.code(NXDOMAIN) } else { absent })
            })
            .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            for (name, rcode) in [("gone.example", NXDOMAIN), ("empty.example", 0)] {
                let asked = query(name, A);
                ask(&forwarder, &set, &asked).await;
                later(10).await;
                let got = read(&forwarder.cached(&set, &asked.0).unwrap());
                assert_eq!((got.rcode, got.answers.len()), (rcode, 0));
                let soa = &got.authorities[0];
                assert_eq!(soa.kind, 6);
                assert!((3588..=3590).contains(&soa.ttl), "{}", soa.ttl);
                later(21).await;
                assert_eq!(forwarder.cached(&set, &asked.0), None, "{name} after its minimum");
            }
            assert_eq!(one.asked(), 2);
        });
    });
}

#[test]
fn case_30_an_absence_is_kept_for_at_most_a_minute_and_not_without_a_soa() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|asked| {
                let bare = reply(asked).code(NXDOMAIN);
                at_once(if asked[13] == b'b' { bare } else { bare.soa(86_400, 86_400) })
            })
            .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let (long, bare) = (query("long.example", A), query("bare.example", A));
            ask(&forwarder, &set, &long).await;
            ask(&forwarder, &set, &bare).await;
            assert_eq!(forwarder.cached(&set, &bare.0), None);
            later(58).await;
            assert!(forwarder.cached(&set, &long.0).is_some());
            later(3).await;
            assert_eq!(forwarder.cached(&set, &long.0), None);
        });
    });
}

#[test]
fn a_failure_is_remembered_for_a_second() {
    lab(|_| {
        run(async {
            let one = Upstream::fails(SERVFAIL).await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            pause();
            resume();
            let asked = query("bad.example", A);
            assert_eq!(ask(&forwarder, &set, &asked).await.rcode, SERVFAIL);
            let again = read(&forwarder.cached(&set, &asked.0).unwrap());
            assert_eq!((again.rcode, one.asked()), (SERVFAIL, 1));
            later(2).await;
            assert_eq!(forwarder.cached(&set, &asked.0), None);
        });
    });
}

#[test]
fn case_82_sets_with_different_servers_never_share_an_answer() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let two = Upstream::knows("192.0.2.2").await;
            let forwarder = forwarder();
            let (first, second) = (set(&[&one]), set(&[&two]));
            let asked = query("corp.example", A);
            for _ in 0..2 {
                let pair =
                    tokio::join!(ask(&forwarder, &first, &asked), ask(&forwarder, &second, &asked));
                assert_eq!(pair.0.addresses(), ["192.0.2.1"]);
                assert_eq!(pair.1.addresses(), ["192.0.2.2"]);
            }
            assert_eq!((one.asked(), two.asked()), (1, 1));
        });
    });
}

#[test]
fn flushing_forgets_everything() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let asked = query("a.example", A);
            ask(&forwarder, &set, &asked).await;
            assert_eq!(forwarder.cache_size().1, 1);
            forwarder.flush();
            assert_eq!(forwarder.cache_size(), (0, 0));
            assert_eq!(forwarder.cached(&set, &asked.0), None);
            ask(&forwarder, &set, &asked).await;
            assert_eq!(one.asked(), 2);
        });
    });
}

#[test]
fn the_cache_stays_within_its_bytes_and_keeps_what_is_asked_often() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let limits = Limits { cache_bytes: 16 << 10, ..Limits::default() };
            let (forwarder, set) = (Forwarder::new(limits), set(&[&one]));
            let often = query("often.example", A);
            ask(&forwarder, &set, &often).await;
            for number in 0..300 {
                ask(&forwarder, &set, &query(&format!("n{number}.example"), A)).await;
                assert!(forwarder.cache_size().0 <= 16 << 10);
                assert!(forwarder.cached(&set, &often.0).is_some(), "after {number} others");
            }
            let is_kept = |name: &str| {
                let asked: Packet = query(name, A);
                forwarder.cached(&set, &asked.0).is_some()
            };
            assert!(!is_kept("n0.example"));
            assert!(is_kept("n299.example"));
        });
    });
}
