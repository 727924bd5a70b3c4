//! Who is asked when: real servers, real time.

use std::time::{Duration, Instant};

use netns_fixtures::lab;
use resolver::upstream::{Options, Server, UpstreamSet};

use super::packet::{A, NXDOMAIN, SERVFAIL, query, reply};
use super::stage::{Upstream, after, ask, at_once, forwarder, run, set, set_with};

#[test]
fn case_33_a_silent_server_costs_little_and_is_asked_last_after_three_times() {
    lab(|_| {
        run(async {
            let one = Upstream::silent().await;
            let two = Upstream::knows("192.0.2.2").await;
            let (forwarder, set) = (forwarder(), set(&[&one, &two]));
            for number in 0..3 {
                let began = Instant::now();
                let got = ask(&forwarder, &set, &query(&format!("n{number}.example"), A)).await;
                assert_eq!(got.addresses(), ["192.0.2.2"]);
                let took = began.elapsed();
                assert!(took < Duration::from_millis(1200), "{took:?}");
                assert!(took > Duration::from_millis(200), "it has its chance: {took:?}");
            }
            let before = two.asked();
            assert!(set.upstreams()[0].is_demoted(tokio::time::Instant::now()));
            let began = Instant::now();
            ask(&forwarder, &set, &query("fourth.example", A)).await;
            assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
            assert_eq!(two.asked(), before + 1);
            assert_eq!(set.upstreams()[0].counters.timeouts.get(), 3);
        });
    });
}

#[test]
fn a_demoted_server_that_speaks_again_is_first_again() {
    lab(|_| {
        run(async {
            let awake = std::rc::Rc::new(std::cell::Cell::new(false));
            let is_awake = std::rc::Rc::clone(&awake);
            let one = Upstream::new(move |query| match is_awake.get() {
                true => at_once(reply(query).a("192.0.2.1", 60)),
                false => Vec::new(),
            })
            .await;
            let two = Upstream::knows("192.0.2.2").await;
            let (forwarder, set) = (forwarder(), set(&[&one, &two]));
            for number in 0..3 {
                ask(&forwarder, &set, &query(&format!("n{number}.example"), A)).await;
            }
            awake.set(true);
            // This one is answered by the other, and the first is tried beside it.
            let got = ask(&forwarder, &set, &query("probe.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.2"]);
            while set.upstreams()[0].is_demoted(tokio::time::Instant::now()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let got = ask(&forwarder, &set, &query("back.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.1"]);
        });
    });
}

#[test]
fn case_33a_the_first_servers_answer_wins_over_a_later_ones_no_such_name() {
    lab(|_| {
        run(async {
            // Its pace is known, so that the second is asked before this one answers.
            let one = Upstream::new(|asked| {
                let answer = reply(asked).a("192.0.2.1", 60);
                if asked[13] == b'w' { at_once(answer) } else { after(350, answer) }
            })
            .await;
            let two = Upstream::new(|query| at_once(reply(query).code(NXDOMAIN).soa(60, 60))).await;
            let (forwarder, set) = (forwarder(), set(&[&one, &two]));
            ask(&forwarder, &set, &query("warm.example", A)).await;
            let got = ask(&forwarder, &set, &query("corp.example", A)).await;
            assert_eq!(two.asked(), 1, "it was asked beside the first");
            assert_eq!((got.rcode, got.addresses()), (0, vec!["192.0.2.1".to_owned()]));
        });
    });
}

#[test]
fn case_34_when_all_are_silent_the_client_is_told_within_its_own_patience() {
    lab(|_| {
        run(async {
            let (one, two) = (Upstream::silent().await, Upstream::silent().await);
            let (forwarder, set) = (forwarder(), set(&[&one, &two]));
            let began = Instant::now();
            let got = ask(&forwarder, &set, &query("a.example", A).opt(1232, false, &[])).await;
            let took = began.elapsed();
            assert_eq!((got.rcode, got.extended_error()), (SERVFAIL, Some(22)));
            assert!(took < Duration::from_millis(4900), "{took:?}");
            assert!(took > Duration::from_millis(3500), "it tries for long: {took:?}");
            assert!(one.asked() > 1 && two.asked() > 1, "a lost packet is sent again");
            assert_eq!(forwarder.in_flight(), 0);
        });
    });
}

#[test]
fn a_packet_lost_on_the_way_to_the_only_server_is_sent_again() {
    lab(|_| {
        run(async {
            let lost = std::cell::Cell::new(false);
            let one = Upstream::new(move |query| match lost.replace(true) {
                false => Vec::new(),
                true => at_once(reply(query).a("192.0.2.1", 60)),
            })
            .await;
            let got = ask(&forwarder(), &set(&[&one]), &query("a.example", A)).await;
            assert_eq!((got.addresses(), one.asked()), (vec!["192.0.2.1".to_owned()], 2));
        });
    });
}

#[test]
fn a_last_resort_is_not_asked_when_the_first_only_fails() {
    lab(|_| {
        run(async {
            let one = Upstream::fails(SERVFAIL).await;
            let two = Upstream::knows("192.0.2.2").await;
            let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let last = Server { last_resort: true, ..two.server() };
            let set =
                |first| UpstreamSet::new([first, last.clone()], Options::default(), |_| false);
            let got = ask(&forwarder(), &set(one.server()), &query("a.example", A)).await;
            assert_eq!((got.rcode, two.asked()), (SERVFAIL, 0));
            let got = ask(&forwarder(), &set(Server::at(closed)), &query("a.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.2"], "when the first is gone it is");
        });
    });
}

#[test]
fn servers_asked_in_parallel_keep_their_order_for_what_is_not_there() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| after(150, reply(query).a("192.0.2.1", 60))).await;
            let two = Upstream::new(|query| at_once(reply(query).code(NXDOMAIN).soa(60, 60))).await;
            let set = set_with(&[&one, &two], Options { parallel: true, ..Options::default() });
            let got = ask(&forwarder(), &set, &query("a.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.1"]);
            assert_eq!((one.asked(), two.asked()), (1, 1));
            assert!(set.upstreams().iter().all(|upstream| upstream.counters.timeouts.get() == 0));
        });
    });
}

#[test]
fn a_server_behind_a_link_is_asked_through_that_link() {
    lab(|lab| {
        // The same address at the far end of two wires: only the link tells which is meant.
        let host = lab.host();
        for (name, link) in [("a", "one"), ("b", "two")] {
            let there = lab.another_host(name);
            lab.wire((host, link), (&there, "eth0"));
            there.run("ip addr add 10.90.1.1/24 dev eth0");
            host.run(&format!("ip addr add 10.90.1.2/24 dev {link}"));
        }
        run(async {
            let server =
                Server { link: Some("two".into()), ..Server::at("10.90.1.1:53".parse().unwrap()) };
            let missing = Server { link: Some("none".into()), ..server.clone() };
            let before = |link: &str| {
                let path = format!("/sys/class/net/{link}/statistics/rx_packets");
                std::fs::read_to_string(path).unwrap().trim().parse::<u64>().unwrap()
            };
            let one = before("one");
            let options =
                Options { timeout: Duration::from_secs(1), attempts: 1, ..Options::default() };
            let set = UpstreamSet::new([missing, server], options, |_| false);
            // Nobody listens there: what comes back is that the port is closed, through that link.
            let got = ask(&forwarder(), &set, &query("a.example", A)).await;
            assert_eq!(got.rcode, SERVFAIL);
            let failures = set.upstreams().iter().map(|upstream| upstream.counters.failures.get());
            assert_eq!(failures.collect::<Vec<_>>(), [1, 1]);
            assert_eq!(before("one"), one);
        });
    });
}
