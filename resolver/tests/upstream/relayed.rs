//! What of a client's packet reaches a server, and what of its reply the client.

use std::collections::HashSet;

use netns_fixtures::lab;

use super::packet::{A, AD, CD, RD, RRSIG, query, read, reply};
use super::stage::{Upstream, ask, at_once, forwarder, run, set};

/// A client's subnet, RFC 7871: 192.0.2.0/24.
const SUBNET: [u8; 11] = [0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2];

#[test]
fn only_the_question_and_what_it_asks_for_leave_the_host() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            ask(&forwarder, &set, &query("a.example", A).with(CD).opt(4096, true, &SUBNET)).await;
            ask(&forwarder, &set, &query("b.example", A).with(AD)).await;
            let seen: Vec<_> = one.seen().iter().map(|packet| read(packet)).collect();
            assert!(seen[0].has(CD) && seen[0].has(RD) && !seen[0].has(AD));
            assert!(seen[1].has(AD) && !seen[1].has(CD));
            for (packet, dnssec_ok) in seen.iter().zip([true, false]) {
                let opt = packet.opt().unwrap();
                assert_eq!((opt.class, packet.dnssec_ok()), (1232, dnssec_ok));
                assert!(opt.data.is_empty(), "nothing of the client's own");
            }
        });
    });
}

#[test]
fn each_packet_has_an_id_and_a_port_of_its_own() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            for number in 0..64 {
                ask(&forwarder, &set, &query(&format!("n{number}.example"), A)).await;
            }
            let ids: HashSet<u16> = one.seen().iter().map(|packet| read(packet).id).collect();
            let ports: HashSet<u16> = one.ports().into_iter().collect();
            // Some may be equal by chance, but not half of them.
            assert!(ids.len() > 32, "{ids:?}");
            assert!(ports.len() > 32, "{ports:?}");
            let in_order = one.ports().windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
            assert!(in_order < 32, "ports follow each other: {:?}", one.ports());
        });
    });
}

#[test]
fn case_41_signatures_and_ad_are_passed_to_who_asked_for_them() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|asked| {
                let answer = reply(asked).with(AD).a("192.0.2.1", 60);
                let signed = read(asked).dnssec_ok();
                at_once(if signed { answer.answer(RRSIG, 60, &[7; 40]) } else { answer })
            })
            .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let signed = ask(&forwarder, &set, &query("a.example", A).opt(1232, true, &[])).await;
            assert!(signed.has(AD) && signed.dnssec_ok());
            assert_eq!(signed.answers[1].kind, RRSIG);
            assert_eq!(signed.answers[1].data, [7; 40]);

            let plain = ask(&forwarder, &set, &query("a.example", A)).await;
            assert!(!plain.has(AD));
            assert_eq!(plain.answers.len(), 1, "of the same name, and not from the same answer");

            let trusting = ask(&forwarder, &set, &query("a.example", A).with(AD)).await;
            assert!(trusting.has(AD));
            let unchecked = ask(&forwarder, &set, &query("a.example", A).with(CD)).await;
            assert!(unchecked.has(CD));
            assert_eq!(one.asked(), 4, "each of these is a question of its own");
        });
    });
}

#[test]
fn an_opt_that_is_not_the_last_record_is_left_out_with_what_follows() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| {
                // What stands behind OPT is counted, and is a copy of it here.
                let odd = reply(query).a("192.0.2.1", 60).opt(1232, false, &[]);
                at_once(odd.opt(1232, false, &[0, 12, 0, 2, 0, 0]))
            })
            .await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let got = ask(&forwarder, &set, &query("a.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.1"]);
            assert!(got.additionals.is_empty());
        });
    });
}
