//! Packets that are not the answer.

use std::net::UdpSocket;
use std::time::Duration;

use netns_fixtures::lab;

use super::packet::{A, query, read, reply};
use super::stage::{Says, Upstream, ask, forwarder, run, set};

/// The packets, right behind each other.
fn one_by_one(packets: Vec<Vec<u8>>) -> Says {
    packets.into_iter().map(|packet| (Duration::ZERO, packet)).collect()
}

#[test]
fn case_43_forged_replies_are_passed_over_until_the_right_one_comes() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|asked| {
                let right = read(asked).id;
                let other = query("other.example", A).id(right).0;
                one_by_one(vec![
                    reply(asked).a("203.0.113.1", 60).id(right.wrapping_add(1)).0,
                    reply(&other).a("203.0.113.2", 60).0,
                    asked.to_vec(),
                    reply(asked).a("203.0.113.3", 60).0[..40].to_vec(),
                    vec![0; 3],
                    reply(asked).a("192.0.2.1", 60).0,
                ])
            })
            .await;
            let set = set(&[&one]);
            let got = ask(&forwarder(), &set, &query("first.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.1"]);
            assert_eq!(set.upstreams()[0].counters.foreign.get(), 5);
        });
    });
}

#[test]
fn case_43_a_reply_from_another_port_is_not_taken() {
    lab(|_| {
        run(async {
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            let ours: std::rc::Rc<std::cell::OnceCell<std::rc::Rc<Upstream>>> =
                std::rc::Rc::default();
            let known = std::rc::Rc::clone(&ours);
            let one = Upstream::new(move |asked| {
                // The port that the question came from is the last one that was seen.
                let port = *known.get().unwrap().ports().last().unwrap();
                let forged = reply(asked).a("203.0.113.1", 60).0;
                stranger.send_to(&forged, ("127.0.0.1", port)).unwrap();
                vec![(Duration::from_millis(100), reply(asked).a("192.0.2.1", 60).0)]
            })
            .await;
            let one = std::rc::Rc::new(one);
            assert!(ours.set(std::rc::Rc::clone(&one)).is_ok());
            let got = ask(&forwarder(), &set(&[&one]), &query("first.example", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.1"]);
        });
    });
}

#[test]
fn case_44_a_mixed_spelling_is_sent_and_given_back_as_it_came() {
    lab(|_| {
        run(async {
            let one = Upstream::knows("192.0.2.1").await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let mixed = query("eXaMpLe.CoM", A);
            let got = ask(&forwarder, &set, &mixed).await;
            assert_eq!(got.question, mixed.0[12..]);
            assert_eq!(read(&one.seen()[0]).question, mixed.0[12..]);

            let other = query("ExAmPlE.cOm", A).id(7);
            let got = ask(&forwarder, &set, &other).await;
            assert_eq!((got.id, &*got.question), (7, &other.0[12..]));
            assert_eq!(one.asked(), 1, "it is the same question all the same");
        });
    });
}

#[test]
fn case_44_an_answer_to_another_spelling_is_not_taken() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|asked| {
                let mut lower = asked.to_vec();
                lower[12..].make_ascii_lowercase();
                one_by_one(vec![
                    reply(&lower).a("203.0.113.1", 60).0,
                    reply(asked).a("192.0.2.1", 60).0,
                ])
            })
            .await;
            let got = ask(&forwarder(), &set(&[&one]), &query("eXaMpLe.CoM", A)).await;
            assert_eq!(got.addresses(), ["192.0.2.1"]);
        });
    });
}
