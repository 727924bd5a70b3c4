//! What servers answer, and which of them counts.

use netns_fixtures::lab;
use resolver::upstream::{Options, UpstreamSet};

use super::packet::{A, AA, FORMERR, NOTIMP, NXDOMAIN, RA, RD, REFUSED, SERVFAIL, query, reply};
use super::stage::{Upstream, ask, at_once, forwarder, run, set};

#[test]
fn case_29_an_answer_reaches_the_client_as_the_server_gave_it() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| {
                at_once(reply(query).a("192.0.2.1", 60).a("192.0.2.2", 60).opt(4096, false, &[]))
            })
            .await;
            let asked = query("example.com", A);
            let got = ask(&forwarder(), &set(&[&one]), &asked).await;
            assert_eq!(got.id, 0x1234);
            assert_eq!(got.rcode, 0);
            assert_eq!(got.question, asked.0[12..]);
            assert_eq!(got.addresses(), ["192.0.2.1", "192.0.2.2"]);
            assert!(got.has(RD) && got.has(RA) && !got.has(AA));
            assert_eq!(got.opt(), None, "the client speaks no EDNS");
        });
    });
}

#[test]
fn a_client_that_does_not_ask_for_recursion_is_told_so_back() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let got = ask(&forwarder(), &set(&[&one]), &query("a.example", A).without(RD)).await;
            assert!(!got.has(RD) && got.has(RA));
            assert_eq!(got.addresses(), ["192.0.2.1"]);
        });
    });
}

#[test]
fn case_30_no_such_name_is_final() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| at_once(reply(query).code(NXDOMAIN).soa(60, 60))).await;
            let two = Upstream::knows("192.0.2.2").await;
            let (forwarder, set) = (forwarder(), set(&[&one, &two]));
            let got = ask(&forwarder, &set, &query("nope.example", A)).await;
            assert_eq!((got.rcode, got.authorities.len()), (NXDOMAIN, 1));
            assert_eq!((one.asked(), two.asked()), (1, 0));
        });
    });
}

#[test]
fn case_31_32_a_server_that_fails_is_followed_by_the_next_at_once() {
    lab(|_| {
        run(async {
            for code in [SERVFAIL, REFUSED] {
                let one = Upstream::fails(code).await;
                let two = Upstream::knows("192.0.2.2").await;
                let got = ask(&forwarder(), &set(&[&one, &two]), &query("a.example", A)).await;
                assert_eq!(got.addresses(), ["192.0.2.2"]);
                assert_eq!((one.asked(), two.asked()), (1, 1), "after code {code}");
            }
        });
    });
}

#[test]
fn a_server_whose_port_is_closed_is_followed_by_the_next() {
    lab(|_| {
        run(async {
            let two = Upstream::knows("192.0.2.2").await;
            let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let servers = [resolver::upstream::Server::at(closed), two.server()];
            let set = UpstreamSet::new(servers, Options::default(), |_| false);
            let got = ask(&forwarder(), &set, &query("a.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.2"]);
            assert_eq!(set.upstreams()[0].counters.failures.get(), 1);
        });
    });
}

#[test]
fn when_all_fail_servfail_comes_before_refused() {
    lab(|_| {
        run(async {
            let [refuses, fails] =
                [Upstream::fails(REFUSED).await, Upstream::fails(SERVFAIL).await];
            for (set, code) in [
                (set(&[&refuses, &fails]), SERVFAIL),
                (set(&[&fails, &refuses]), SERVFAIL),
                (set(&[&refuses]), REFUSED),
            ] {
                let asked = query("a.example", A).opt(1232, false, &[]);
                let got = ask(&forwarder(), &set, &asked).await;
                assert_eq!((got.rcode, got.extended_error()), (code, Some(22)));
            }
        });
    });
}

#[test]
fn case_35_without_servers_a_question_fails_at_once() {
    lab(|_| {
        run(async {
            let set = UpstreamSet::new([], Options::default(), |_| false);
            let asked = query("a.example", A).opt(4096, true, &[]);
            let got = ask(&forwarder(), &set, &asked).await;
            assert_eq!((got.rcode, got.extended_error()), (SERVFAIL, Some(22)));
            let opt = got.opt().unwrap();
            assert_eq!((opt.class, got.dnssec_ok()), (1232, true));
            assert_eq!(got.question, query("a.example", A).0[12..]);
        });
    });
}

#[test]
fn case_42_a_server_that_declines_edns_is_asked_without() {
    lab(|_| {
        run(async {
            for code in [FORMERR, NOTIMP] {
                let one = Upstream::new(move |query| {
                    let plain = query[10..12] == [0, 0];
                    at_once(match plain {
                        true => reply(query).a("192.0.2.1", 60),
                        false => reply(query).code(code),
                    })
                })
                .await;
                let two = Upstream::knows("192.0.2.2").await;
                let got = ask(&forwarder(), &set(&[&one, &two]), &query("a.example", A)).await;
                assert_eq!(got.addresses(), ["192.0.2.1"], "after code {code}");
                assert_eq!((one.asked(), two.asked()), (2, 0));
            }
        });
    });
}

#[test]
fn case_42_a_server_that_cannot_even_repeat_the_question_is_asked_without_edns() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| {
                let mut bare = reply(query).code(FORMERR);
                bare.0.truncate(12);
                bare.0[5] = 0;
                at_once(if query[11] == 0 { reply(query).a("192.0.2.1", 60) } else { bare })
            })
            .await;
            let got = ask(&forwarder(), &set(&[&one]), &query("a.example", A)).await;
            assert_eq!((got.addresses(), one.asked()), (vec!["192.0.2.1".into()], 2));
        });
    });
}

#[test]
fn a_query_that_cannot_be_read_gets_a_formerr_or_nothing() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let mut cut = query("a.example", A).0;
            cut.truncate(20);
            let got = forwarder.resolve(&set, &cut).await;
            assert_eq!(got, [0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert!(forwarder.resolve(&set, &cut[..11]).await.is_empty());
            assert_eq!(forwarder.cached(&set, &cut), None);
            assert_eq!(one.asked(), 0);
        });
    });
}
