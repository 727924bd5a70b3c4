//! What is wrong with a message, and with a connection: cases 38 to 40 and 51 to 57.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use netns_fixtures::lab_with_plugins;

use super::asking::{PATIENCE, at_each_door};
use super::message::kind::{A, AXFR, SOA, TXT};
use super::message::{Edns, Message, Question, encoded, flag, rcode};
use super::resident::{Resident, cli, web};
use super::town::{N1, Town};
use super::upstream::{framed, read_framed};
use crate::echo::{Tcp, Udp};

/// `app` of 61 containers.
fn crowd<'t>(town: &'t Town<'_>) -> Vec<super::resident::Person<'t>> {
    let member = |number: u16| Resident::new(&format!("m{number}")).on(N1, number, &["app"]);
    (100..161).map(|number| town.receive(member(number))).collect()
}

#[test]
fn case_38_39_a_reply_fits_what_the_client_takes() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let crowd = crowd(&town);
        at_each_door(&town, |door| {
            let told = door.ask("app", A);
            told.must(told.reply.is(flag::TRUNCATED), "truncated").must(told.size <= 512, "small");
            let told = door.send(Tcp, &Message::query("app", A));
            told.must(!told.reply.is(flag::TRUNCATED), "whole");
            told.must(told.reply.answers.len() == crowd.len(), "all addresses");
            let told = door.send(Udp, &Message::query("app", A).edns(4096));
            told.must(told.size <= 1232, "as big as passes everywhere");
            let said = told.reply.edns_said();
            told.must(said.is_some_and(|said| said.size == 1232), "says what it takes itself");
            told.must(told.reply.answers.len() == crowd.len(), "all addresses");
            let told = door.send(Udp, &Message::query("app", A).edns(600));
            told.must(told.reply.is(flag::TRUNCATED), "truncated").must(told.size <= 600, "small");
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_40_another_version_of_edns_is_refused() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let edns = Edns { size: 1232, version: 1, wants_signatures: false };
            let told = door.send(Udp, &Message::query("web", A).opt(edns));
            told.rcode(rcode::BADVERS).must(told.reply.answers.is_empty(), "no answers");
            let said = told.reply.edns_said();
            told.must(said.is_some_and(|said| said.version == 0), "the version that is known");
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_51_what_is_no_query_is_not_answered() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let query = Message::query("web", A);
            door.assert_ignores(&query.clone().flags(flag::RESPONSE).encode());
            door.assert_ignores(&query.encode()[..11]);
            door.assert_ignores(b"");
            // A name that points to itself: not answered, or as what it is.
            let mut looping = query.encode()[..12].to_vec();
            looping.extend([0xc0, 12, 0, 1, 0, 1]);
            if let Ok(reply) = door.exchange(&looping, Duration::from_millis(500)) {
                let code = reply[3] & 0x0f;
                assert_eq!(u16::from(code), rcode::FORMERR, "{reply:02x?}");
                assert!(reply.len() <= looping.len(), "{reply:02x?}");
            }
            door.ask("web", A).addresses(&["10.90.1.2"]);
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_52_other_operations_are_not_implemented() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let (notify, update) = (4, 5);
            for opcode in [notify, update] {
                for name in ["web", "example.com", "dns.podman"] {
                    let told = door.send(Udp, &Message::query(name, SOA).opcode(opcode));
                    told.must(told.reply.rcode() == rcode::NOTIMP, "not implemented");
                }
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_53_other_classes_are_refused() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        let chaos = 3;
        at_each_door(&town, |door| {
            for name in ["version.bind", "web"] {
                let mut query = Message::query(name, TXT);
                query.questions[0].class = chaos;
                let told = door.send(Udp, &query);
                told.rcode(rcode::REFUSED).must(told.reply.answers.is_empty(), "no answers");
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_54_a_query_has_one_question() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let one = Message::query("web", A);
            let mut two = one.clone();
            two.questions
                .push(Question { name: "example.com".to_owned(), ..one.question().clone() });
            let none = Message { questions: vec![], ..one };
            for query in [none, two] {
                let told = door.send(Udp, &query);
                told.must(told.reply.rcode() == rcode::FORMERR, "malformed");
                told.must(told.reply.answers.is_empty(), "no answers");
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_55_nobody_is_given_the_whole_zone() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            for protocol in [Udp, Tcp] {
                let told = door.send(protocol, &Message::query("dns.podman", AXFR));
                told.rcode(rcode::REFUSED).must(told.reply.answers.is_empty(), "no answers");
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_56_a_connection_carries_several_queries_in_any_pieces() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let mut stream = door.connect();
            stream.set_nodelay(true).unwrap();
            let queries = [Message::query("web", A), Message::query("www", A)];
            let bytes = queries.each_ref().map(|query| framed(&query.encode())).concat();
            // The first byte alone, and the rest in two pieces that end within the second query.
            let (head, rest) = bytes.split_at(1);
            let (middle, tail) = rest.split_at(rest.len() - 7);
            for piece in [head, middle, tail] {
                stream.write_all(piece).unwrap();
            }
            let mut ids = queries.map(|query| query.id).to_vec();
            for _ in 0..2 {
                let reply = Message::decode(&read_framed(&mut stream).unwrap()).unwrap();
                assert_eq!(reply.answers.len(), 1, "{reply}");
                ids.retain(|id| *id != reply.id);
            }
            assert!(ids.is_empty(), "not answered: {ids:?}");
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_56_a_connection_that_stalls_is_closed_and_holds_nobody_up() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let query = framed(&Message::query("web", A).encode());
            let half = query.len() / 2;
            let stalled: Vec<TcpStream> = [&query[..1], &query[..2], &query[..half], &[0, 0]]
                .map(|piece| {
                    let mut stream = door.connect();
                    stream.write_all(piece).unwrap();
                    stream
                })
                .into();
            door.send(Tcp, &Message::query("web", A)).addresses(&["10.90.1.2"]);
            door.ask("web", A).addresses(&["10.90.1.2"]);
            for mut stream in stalled {
                assert_ended(&mut stream);
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_57_idle_connections_slow_nobody_down_and_are_bounded() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (_web, cli) = (town.receive(web()), town.receive(cli()));
        let door = cli.own_door();
        let mut idle: Vec<TcpStream> = (0..500).map(|_| door.connect()).collect();
        let start = Instant::now();
        for _ in 0..100 {
            door.ask("web", A).addresses(&["10.90.1.2"]);
        }
        assert!(start.elapsed() < PATIENCE, "{:?} for 100 queries", start.elapsed());
        // The last of them was one too many.
        assert_ended(idle.last_mut().expect("there are 500"));
        // Somebody else has room.
        let other = town.receive(Resident::new("other").on(N1, 20, &[]));
        other.own_door().send(Tcp, &Message::query("web", A)).addresses(&["10.90.1.2"]);
    });
}

/// Claims that the other side ends the connection and sends nothing more.
#[track_caller]
fn assert_ended(stream: &mut TcpStream) {
    let mut rest = [0; 16];
    match stream.read(&mut rest) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection goes on: {other:?}, {rest:02x?}"),
    }
}

#[test]
fn case_51_a_flood_of_broken_packets_keeps_nobody_from_an_answer() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let socket = door.socket();
            let query = Message::query("web", A).encode();
            for number in 0..2000_usize {
                // Cut anywhere, and a byte of what is left changed.
                let mut packet = query[..number % query.len()].to_vec();
                let length = packet.len();
                if let Some(byte) = packet.get_mut(number * 7 % length.max(1)) {
                    *byte ^= 0x55;
                }
                let _ = socket.send(&packet);
            }
            let long = [&query[..12], &encoded(&"x".repeat(60))[..], &[0xff; 40]].concat();
            let _ = socket.send(&long);
            door.ask("web", A).addresses(&["10.90.1.2"]);
        });
        town.assert_nobody_was_asked();
    });
}
