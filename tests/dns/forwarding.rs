//! What others are asked, and what becomes of their answers: cases 29 to 37, 41 to 44 and 81.

use std::time::{Duration, Instant};

use netns_fixtures::lab_with_plugins;

use super::asking::{Door, PATIENCE, at_each_door};
use super::message::kind::{A, MX, RRSIG, TXT};
use super::message::{Edns, Message, Record, flag, rcode};
use super::town::Town;
use super::upstream::{Asked, Sent, always, failing, knowing, replying, silent, slow};
use crate::echo::{Tcp, Udp};

#[test]
fn case_29_an_answer_is_kept_and_grows_old() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(always("192.0.2.101"));
        at_each_door(&town, |door| {
            let name = door.own("example.com");
            let told = door.ask(&name, A);
            told.addresses(&["192.0.2.101"]);
            told.must(!told.reply.is(flag::AUTHORITATIVE), "not our own word");
            told.must(told.reply.is(flag::RECURSION_AVAILABLE), "recursion available");
            let first = told.reply.answers[0].ttl;
            told.must((95..=100).contains(&first), "U1's TTL");
            let deadline = Instant::now() + PATIENCE;
            loop {
                let told = door.ask(&name, A);
                told.addresses(&["192.0.2.101"]);
                if told.reply.answers[0].ttl < first {
                    break;
                }
                told.must(Instant::now() < deadline, "a TTL that decreases");
            }
            assert_eq!(town.u1.times(&name), 1, "{}", town.report());
        });
        assert_eq!(town.u2.asked().len(), 0, "{}", town.report());
    });
}

#[test]
fn case_30_81_that_there_is_nothing_is_kept_as_well() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        at_each_door(&town, |door| {
            let (none, some) = (door.own("nope.example"), door.own("some.example"));
            town.u1.does(knowing(vec![Record::address(&some, "192.0.2.1", 100)]));
            for _ in 0..3 {
                let told = door.ask(&none, A);
                told.nxdomain().must(told.soa().is_some(), "the SOA record");
                let told = door.ask(&some, MX);
                told.nodata().must(told.soa().is_some(), "the SOA record");
            }
            assert_eq!(town.u1.times(&none), 1, "{}", town.report());
            assert_eq!(town.u1.times(&some), 1, "{}", town.report());
        });
        assert_eq!(town.u2.asked().len(), 0, "U2 was not needed\n{}", town.report());
    });
}

#[test]
fn case_31_32_a_server_that_fails_or_refuses_is_not_the_last_word() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        at_each_door(&town, |door| {
            for code in [rcode::SERVFAIL, rcode::REFUSED, rcode::NOTIMP] {
                town.u1.does(failing(code));
                let name = door.own(&format!("c{code}.example"));
                door.ask(&name, A).addresses(&["192.0.2.202"]);
                assert!(town.u1.times(&name) >= 1, "U1 is the first\n{}", town.report());
            }
        });
    });
}

#[test]
fn case_32_refused_by_all_is_no_answer() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(failing(rcode::SERVFAIL));
        town.u2.does(failing(rcode::REFUSED));
        at_each_door(&town, |door| {
            door.ask(&door.own("example.com"), A).rcode(rcode::SERVFAIL);
        });
    });
}

#[test]
fn case_33_a_silent_server_is_not_waited_for_and_then_passed_over() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(silent());
        let asker = town.receive(super::resident::cli());
        let door = asker.own_door();
        for number in 0..3 {
            let start = Instant::now();
            door.ask(&format!("n{number}.example"), A).addresses(&["192.0.2.202"]);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(4), "{took:?}\n{}", town.report());
            assert_eq!(town.u1.times(&format!("n{number}.example")), 1, "{}", town.report());
        }
        // From now on U2 is the first. U1 may be asked beside it, to see whether it speaks again; who
        // has to wait for U1's silence does so for 250 ms at least.
        let is_first = |number: u32| {
            let name = format!("after{number}.example");
            door.ask(&name, A).addresses(&["192.0.2.202"]);
            let when = |asked: Vec<Asked>| {
                let of_name = asked.iter().find(|asked| asked.message.question().name == name);
                of_name.map(|asked| asked.at)
            };
            let of_u2 = when(town.u2.asked()).expect("U2 answered");
            when(town.u1.asked()).is_none_or(|of_u1| of_u2 < of_u1 + Duration::from_millis(200))
        };
        assert!((0..5).any(is_first), "{}", town.report());
    });
}

#[test]
fn case_33a_the_first_server_is_believed_though_the_second_is_faster() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        at_each_door(&town, |door| {
            let name = door.own("corp.example");
            let known = knowing(vec![Record::address(&name, "192.0.2.50", 100)]);
            town.u1.does(slow(Duration::from_millis(300), known));
            town.u2.does(knowing(vec![]));
            door.ask(&name, A).addresses(&["192.0.2.50"]);
        });
    });
}

#[test]
fn case_34_that_nobody_answers_is_said_in_time() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(silent());
        town.u2.does(silent());
        let asker = town.receive(super::resident::cli());
        let start = Instant::now();
        asker.own_door().ask("example.com", A).rcode(rcode::SERVFAIL);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(9), "{took:?}");
    });
}

#[test]
fn case_35_where_nobody_may_be_asked_that_is_said_at_once() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.host_asks("# nobody\n");
        at_each_door(&town, |door| {
            let start = Instant::now();
            door.ask("example.com", A).rcode(rcode::SERVFAIL);
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        });
        town.assert_nobody_was_asked();
    });
}

/// 1000 bytes of text by TCP, and a mark by UDP that there is more.
fn truncating(length: usize) -> super::upstream::Script {
    replying(move |asked| match asked.protocol {
        Udp => asked.message.reply().flags(flag::TRUNCATED),
        Tcp => {
            let name = &asked.message.question().name;
            asked.message.answered(vec![Record::text_of(name, length, 100)])
        }
    })
}

#[test]
fn case_36_what_is_truncated_is_fetched_by_tcp() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(truncating(1000));
        at_each_door(&town, |door| {
            let name = door.own("example.com");
            let told = door.send(Udp, &Message::query(&name, TXT).edns(1232));
            told.rcode(rcode::NOERROR).must(told.reply.answers.len() == 1, "the whole answer");
            told.must(!told.reply.is(flag::TRUNCATED), "whole");
            let told = door.send(Udp, &Message::query(&name, TXT));
            told.must(told.reply.is(flag::TRUNCATED) && told.size <= 512, "truncated");
            let told = door.send(Tcp, &Message::query(&name, TXT));
            told.must(told.reply.answers.len() == 1, "the whole answer");
            // Once by UDP, once by TCP; then it was kept.
            assert_eq!(town.u1.times(&name), 2, "{}", town.report());
            assert!(town.u1.asked().iter().any(|asked| asked.protocol == Tcp));
        });
    });
}

#[test]
fn case_37_a_long_answer_is_truncated_for_who_takes_a_short_one() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(replying(|asked| {
            let name = &asked.message.question().name;
            asked.message.answered(vec![Record::text_of(name, 1350, 100)])
        }));
        at_each_door(&town, |door| {
            let name = door.own("example.com");
            let told = door.ask(&name, TXT);
            told.must(told.reply.is(flag::TRUNCATED) && told.size <= 512, "truncated");
            let told = door.send(Tcp, &Message::query(&name, TXT));
            told.must(told.reply.answers.len() == 1 && told.size > 1350, "the whole answer");
        });
    });
}

#[test]
fn case_41_signatures_and_the_word_of_who_checked_them_are_passed() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(replying(|asked| {
            let name = &asked.message.question().name;
            let mut answers = vec![Record::address(name, "192.0.2.9", 100)];
            let signed = asked.message.edns_said().is_some_and(|edns| edns.wants_signatures);
            if signed {
                answers.push(Record::new(name, RRSIG, 100, vec![7; 60]));
            }
            let reply = asked.message.answered(answers).flags(flag::AUTHENTIC);
            if signed {
                reply.opt(Edns { size: 1232, version: 0, wants_signatures: true })
            } else {
                reply
            }
        }));
        at_each_door(&town, |door| {
            let name = door.own("example.com");
            let edns = Edns { size: 1232, version: 0, wants_signatures: true };
            for _ in 0..2 {
                let told = door.send(Udp, &Message::query(&name, A).opt(edns));
                told.must(told.reply.answers.len() == 2, "address and signature");
                told.must(told.reply.is(flag::AUTHENTIC), "authenticated");
            }
            // Who does not want them is not given them, kept or not.
            door.ask(&name, A).addresses(&["192.0.2.9"]);
        });
    });
}

#[test]
fn case_42_a_server_that_knows_no_edns_is_asked_without() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let mut known = always("192.0.2.101");
        town.u1.does(Box::new(move |asked| match asked.message.edns_said() {
            Some(_) => {
                let mut reply = asked.message.refused(rcode::FORMERR);
                reply.questions = asked.message.questions.clone();
                vec![Sent::at_once(&reply)]
            }
            None => known(asked),
        }));
        at_each_door(&town, |door| {
            let query = Message::query(&door.own("example.com"), A).edns(1232);
            door.send(Udp, &query).addresses(&["192.0.2.101"]);
        });
    });
}

#[test]
fn case_43_44_only_the_answer_to_the_question_is_believed() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(Box::new(|asked| {
            let name = &asked.message.question().name;
            let good = asked.message.answered(vec![Record::address(name, "192.0.2.101", 100)]);
            let evil = asked.message.answered(vec![Record::address(name, "198.51.100.66", 100)]);
            let mut other_id = evil.clone();
            other_id.id ^= 1;
            let mut other_name = asked.message.answered(vec![]);
            other_name.questions[0].name = "other.example".to_owned();
            other_name.answers.push(Record::address("other.example", "198.51.100.66", 100));
            let mut other_kind = evil.clone();
            other_kind.questions[0].kind = TXT;
            let no_reply = Message { flags: evil.flags & !flag::RESPONSE, ..evil.clone() };
            let elsewhere = Sent { from_elsewhere: true, ..Sent::at_once(&evil) };
            let garbage = Sent { bytes: vec![0xff; 40], ..Sent::at_once(&evil) };
            let torn = Sent { bytes: evil.encode()[..30].to_vec(), ..Sent::at_once(&evil) };
            let mut sent = vec![elsewhere, garbage, torn];
            sent.extend([other_id, other_name, other_kind, no_reply].iter().map(Sent::at_once));
            let after = Duration::from_millis(50);
            sent.push(Sent { after, ..Sent::at_once(&good) });
            sent
        }));
        at_each_door(&town, |door: &Door<'_>| {
            door.ask(&door.own("ExAmPlE.cOm"), A).addresses(&["192.0.2.101"]);
        });
    });
}

#[test]
fn case_37_identical_questions_at_once_are_asked_once() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(slow(Duration::from_millis(200), always("192.0.2.101")));
        let asker = town.receive(super::resident::cli());
        let door = asker.own_door();
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| door.ask("example.com", A).addresses(&["192.0.2.101"]).size);
            }
        });
        // Threads may begin after the first answer was kept, never while nothing is known of it.
        assert_eq!(town.u1.times("example.com"), 1, "{}", town.report());
    });
}
