//! Many at once.

use std::rc::Rc;

use netns_fixtures::lab;
use resolver::upstream::{Forwarder, Limits, Options, Server, UpstreamSet};
use tokio::net::UdpSocket;
use tokio::task::{spawn_local, yield_now};

use super::packet::{A, SERVFAIL, query, read, reply};
use super::stage::{Upstream, after, ask, forwarder, run, set};

#[test]
fn the_same_question_of_many_clients_is_asked_once_and_each_gets_its_own_reply() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| after(100, reply(query).a("192.0.2.1", 60))).await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let clients: Vec<_> = (0..100_u16)
                .map(|number| {
                    let name = if number % 2 == 0 { "same.example" } else { "SAME.Example" };
                    let asked = query(name, A).id(number);
                    let (forwarder, set) = (Rc::clone(&forwarder), Rc::clone(&set));
                    spawn_local(async move {
                        let got = ask(&forwarder, &set, &asked).await;
                        assert_eq!((got.id, &*got.question), (number, &asked.0[12..]));
                        assert_eq!(got.addresses(), ["192.0.2.1"]);
                    })
                })
                .collect();
            for client in clients {
                client.await.unwrap();
            }
            assert_eq!(one.asked(), 1);
            assert_eq!(forwarder.counters.coalesced.get(), 99);
            assert_eq!(forwarder.in_flight(), 0);
        });
    });
}

#[test]
fn a_client_that_leaves_costs_the_others_nothing() {
    lab(|_| {
        run(async {
            let one = Upstream::new(|query| after(100, reply(query).a("192.0.2.1", 60))).await;
            let (forwarder, set) = (forwarder(), set(&[&one]));
            let first = {
                let (forwarder, set) = (Rc::clone(&forwarder), Rc::clone(&set));
                spawn_local(async move { ask(&forwarder, &set, &query("same.example", A)).await })
            };
            while forwarder.in_flight() == 0 {
                yield_now().await;
            }
            first.abort();
            let got = ask(&forwarder, &set, &query("same.example", A)).await;
            assert_eq!((got.addresses(), one.asked()), (vec!["192.0.2.1".to_owned()], 1));
        });
    });
}

#[test]
fn the_oldest_question_is_given_up_for_one_too_many() {
    lab(|_| {
        run(async {
            let one = Upstream::silent().await;
            let forwarder = Forwarder::new(Limits { forwards: 8, ..Limits::default() });
            let set = set(&[&one]);
            let clients: Vec<_> = (0..9_u16)
                .map(|number| {
                    let (forwarder, set) = (Rc::clone(&forwarder), Rc::clone(&set));
                    let asked = query(&format!("n{number}.example"), A).id(number);
                    spawn_local(async move { ask(&forwarder, &set, &asked).await })
                })
                .collect();
            let mut clients = clients.into_iter();
            let shed = clients.next().unwrap().await.unwrap();
            assert_eq!((shed.id, shed.rcode), (0, SERVFAIL));
            assert_eq!((forwarder.in_flight(), forwarder.counters.shed.get()), (8, 1));
            assert!(clients.all(|client| !client.is_finished()));
            let asked = query("n0.example", A);
            assert_eq!(forwarder.cached(&set, &asked.0), None, "that says nothing about the name");
        });
    });
}

#[test]
fn case_68_a_question_that_comes_back_to_us_ends_there() {
    lab(|_| {
        run(async {
            let forwarder = forwarder();
            let ours = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let server = Server::at(ours.local_addr().unwrap());
            let set = UpstreamSet::new([server], Options::default(), |_| false);
            // A listener of ours that somebody named as a server, for another network.
            let elsewhere =
                UpstreamSet::new([set.upstreams()[0].server().clone()], Options::default(), |_| {
                    false
                });
            let (listening, listener) = (Rc::clone(&forwarder), Rc::clone(&ours));
            spawn_local(async move {
                let mut buffer = [0; 2048];
                loop {
                    let (length, from) = listener.recv_from(&mut buffer).await.unwrap();
                    let (forwarder, set) = (Rc::clone(&listening), Rc::clone(&elsewhere));
                    let (packet, socket) = (buffer[..length].to_vec(), Rc::clone(&listener));
                    spawn_local(async move {
                        let reply = forwarder.resolve(&set, &packet).await;
                        socket.send_to(&reply, from).await.unwrap();
                    });
                }
            });
            let began = std::time::Instant::now();
            let got = read(&forwarder.resolve(&set, &query("a.example", A).0).await);
            assert_eq!(got.rcode, SERVFAIL);
            assert!(began.elapsed().as_secs() < 3, "it is seen and not waited for");
            assert_eq!(forwarder.counters.loops.get(), 1);
        });
    });
}
