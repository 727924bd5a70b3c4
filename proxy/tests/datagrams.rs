use std::net::{Ipv6Addr, SocketAddrV6};

use netns_fixtures::lab;
use proxy::Protocol;

use crate::stage::{Stage, assert_udp_echoes, udp_client};

#[test]
fn each_client_gets_its_own_replies() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let address = stage.publish("c1", Protocol::Udp, stage.udp_echo());
        let clients: Vec<_> = (0..20).map(|_| udp_client(address)).collect();
        for round in 0..3 {
            for (number, client) in clients.iter().enumerate() {
                assert_udp_echoes(client, format!("{round} of {number}").as_bytes());
            }
        }
        assert_eq!(stage.served()[0].active, 20);
    });
}

#[test]
fn replies_come_from_the_address_that_was_asked() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let lan = lab.another_host("lan");
        lab.wire((lab.host(), "lan0"), (&lan, "eth0"));
        for address in ["fd99::1", "fd99::11", "fd99::111"] {
            lab.host().run(&format!("ip addr add {address}/64 dev lan0 nodad"));
        }
        lan.run("ip addr add fd99::2/64 dev eth0 nodad");
        let port = stage.udp_echo();
        let published = stage.publish_at("c1", Protocol::Udp, Ipv6Addr::UNSPECIFIED, port);
        for address in ["fd99::1", "fd99::11", "fd99::111"] {
            let to = SocketAddrV6::new(address.parse().unwrap(), published.port(), 0, 0);
            lan.within(|| assert_udp_echoes(&udp_client(to), address.as_bytes()));
        }
        let local = SocketAddrV6::new(Ipv6Addr::LOCALHOST, published.port(), 0, 0);
        assert_udp_echoes(&udp_client(local), b"from the host");
    });
}

#[test]
fn a_link_local_client_is_answered() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let lan = lab.another_host("lan");
        lab.wire((lab.host(), "lan0"), (&lan, "eth0"));
        lab.host().run("ip addr add fe80::1:1/64 dev lan0 nodad");
        lan.run("ip addr add fe80::1:2/64 dev eth0 nodad");
        lan.settle_link_local();
        let link = lan.link("eth0").unwrap()["ifindex"].as_u64().unwrap();
        let link = u32::try_from(link).unwrap();
        let port = stage.udp_echo();
        let published = stage.publish_at("c1", Protocol::Udp, Ipv6Addr::UNSPECIFIED, port);
        let to = SocketAddrV6::new("fe80::1:1".parse().unwrap(), published.port(), 0, link);
        lan.within(|| assert_udp_echoes(&udp_client(to), b"link-local"));
    });
}

#[test]
fn the_largest_and_the_smallest_datagram_pass_whole() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let address = stage.publish("c1", Protocol::Udp, stage.udp_echo());
        let client = udp_client(address);
        // What IPv4 can carry, towards the container.
        for length in [0, 1, 1472, 1473, 65_507] {
            assert_udp_echoes(&client, &vec![7; length]);
        }
    });
}

#[test]
fn a_server_that_comes_late_is_reached_by_the_same_client() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let late = stage.udp_echo();
        let reserved = stage.container.within(|| std::net::UdpSocket::bind("10.9.0.2:0")).unwrap();
        let port = reserved.local_addr().unwrap().port();
        drop(reserved);
        let client = udp_client(stage.publish("late", Protocol::Udp, port));
        client.send(b"lost").unwrap();
        // By the answer to this one, the first has been refused by the container's kernel.
        assert_udp_echoes(&udp_client(stage.publish("other", Protocol::Udp, late)), b"x");
        let socket =
            stage.container.within(|| std::net::UdpSocket::bind(("10.9.0.2", port))).unwrap();
        let server = std::thread::spawn(move || {
            let mut buffer = [0; 16];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..length], from).unwrap();
        });
        assert_udp_echoes(&client, b"there");
        server.join().unwrap();
    });
}
