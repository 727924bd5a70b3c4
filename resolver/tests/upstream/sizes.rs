//! Answers that do not fit.

use netns_fixtures::lab;
use resolver::upstream::fit;

use super::packet::{A, Packet, TC, TXT, query, read, reply};
use super::stage::{Upstream, ask, at_once, forwarder, run, set};

/// An answer of about `records` times 212 bytes.
fn large(query: &[u8], records: usize) -> Packet {
    let text = [&[199][..], &[b'x'; 199]].concat();
    (0..records).fold(reply(query), |packet, _| packet.answer(TXT, 60, &text))
}

#[test]
fn case_36_what_is_truncated_is_fetched_over_tcp() {
    lab(|_| {
        run(async {
            let one = Upstream::with_tcp(
                |query| at_once(reply(query).with(TC)),
                |query| at_once(large(query, 20).opt(1232, false, &[])),
            )
            .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let asked = query("big.example", TXT).opt(1232, false, &[]);
            let whole = forwarder.resolve(&set, &asked.0).await;
            let got = read(&whole);
            assert_eq!((got.answers.len(), got.has(TC)), (20, false));
            assert_eq!((one.asked(), one.connections()), (1, 1));
            assert_eq!(set.upstreams()[0].counters.tcp.get(), 1);

            let over_udp = read(&fit(whole.clone(), 1232));
            assert!(over_udp.has(TC));
            assert_eq!((over_udp.answers.len(), over_udp.opt().unwrap().class), (0, 1232));
            assert_eq!(over_udp.question, asked.0[12..asked.0.len() - 11]);

            assert!(forwarder.cached(&set, &asked.0).is_some(), "the whole answer is kept");
        });
    });
}

#[test]
fn case_36_an_answer_over_tcp_that_fits_is_given_whole() {
    lab(|_| {
        run(async {
            let one = Upstream::with_tcp(
                |query| at_once(reply(query).with(TC)),
                |query| at_once(large(query, 5)),
            )
            .await;
            let asked = query("big.example", TXT).opt(1232, false, &[]);
            let reply = forwarder().resolve(&set(&[&one]), &asked.0).await;
            assert!(reply.len() <= 1232 && reply.len() > 1000);
            assert_eq!(fit(reply.clone(), 1232), reply);
            assert_eq!(read(&reply).answers.len(), 5);
        });
    });
}

#[test]
fn case_37_a_long_packet_over_udp_is_taken_and_cut_for_who_cannot_take_it() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| at_once(large(query, 7))).await;
            let asked = query("long.example", TXT);
            let reply = forwarder().resolve(&set(&[&one]), &asked.0).await;
            assert!(reply.len() > 1400);
            assert_eq!(read(&reply).answers.len(), 7, "over TCP it is complete");
            let cut = fit(reply, 512);
            assert!(cut.len() <= 512);
            let cut = read(&cut);
            assert!(cut.has(TC) && cut.answers.is_empty() && cut.opt().is_none());
            assert_eq!(cut.question, asked.0[12..]);
        });
    });
}

#[test]
fn a_server_without_tcp_is_followed_by_the_next() {
    lab(|_| {
        run(async {
            let one =
                Upstream::with_tcp(|query| at_once(reply(query).with(TC)), |_| Vec::new()).await;
            let two = Upstream::knows("192.0.2.2").await;
            let got = ask(&forwarder(), &set(&[&one, &two]), &query("a.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.2"]);
        });
    });
}

#[test]
fn what_cannot_be_read_is_cut_to_its_header() {
    let mut garbage = vec![0xff; 600];
    garbage[2] = 0x80;
    let cut = fit(garbage, 512);
    assert_eq!(cut.len(), 12);
    assert_eq!(cut[4..], [0; 8]);
    assert_eq!(fit(vec![1, 2, 3], 0), [1, 2, 3]);
}
