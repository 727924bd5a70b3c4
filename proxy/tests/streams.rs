use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddrV6};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netns_fixtures::lab;
use nix::sys::signal::{Signal, kill};
use proxy::Protocol;

use crate::stage::{
    CONTAINER, DEADLINE, HOST, Stage, asked, assert_echoes, connect, patient, process, wait_until,
};

/// More than all buffers on the way hold.
const MUCH: usize = 24 << 20;

/// Bytes in which a lost, doubled or moved piece shows.
fn pattern(length: usize, step: usize) -> Vec<u8> {
    (0..length).map(|at| (at * step % 251) as u8).collect()
}

#[test]
fn the_hosts_loopback_reaches_a_container_that_has_only_ipv4() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.server(|mut stream| {
            let peer = stream.peer_addr().unwrap().ip().to_string();
            stream.write_all(peer.as_bytes()).unwrap();
        });
        let address = stage.publish("c1", Protocol::Tcp, port);
        assert_eq!(*address.ip(), Ipv6Addr::LOCALHOST);
        assert_eq!(asked(address, b""), HOST.to_string().as_bytes());
    });
}

#[test]
fn a_client_of_the_lan_with_ipv6_alone_reaches_it() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let lan = lab.another_host("lan");
        lab.wire((lab.host(), "lan0"), (&lan, "eth0"));
        lab.host().run("ip addr add fd99::1/64 dev lan0 nodad");
        lan.run("ip addr add fd99::2/64 dev eth0 nodad");
        let published = stage.publish_at("c1", Protocol::Tcp, Ipv6Addr::UNSPECIFIED, stage.echo());
        let address = SocketAddrV6::new("fd99::1".parse().unwrap(), published.port(), 0, 0);
        assert_eq!(lan.within(|| asked(address, b"from the lan")), b"from the lan");
    });
}

#[test]
fn a_container_with_ipv6_is_served_as_well() {
    lab(|lab| {
        let stage = Stage::new(lab);
        lab.host().run("ip addr add fd98::1/64 dev veth0 nodad");
        stage.container.set_sysctl("ipv6/conf/eth0/disable_ipv6", "0");
        stage.container.run("ip addr add fd98::2/64 dev eth0 nodad");
        let server = stage.container.within(|| std::net::TcpListener::bind("[fd98::2]:0")).unwrap();
        let target = server.local_addr().unwrap();
        let listener = proxy::listen(Protocol::Tcp, Ipv6Addr::LOCALHOST, 0).unwrap();
        let address = listener.address();
        stage.client().serve(&crate::stage::key("c1"), vec![listener.lead_to(target)]).unwrap();
        let answer = thread::spawn(move || server.accept().unwrap().0.write_all(b"six"));
        assert_eq!(asked(address, b""), b"six");
        answer.join().unwrap().unwrap();
    });
}

#[test]
fn much_passes_both_ways_at_once_and_each_way_ends_by_itself() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let (sender, seen) = mpsc::channel();
        let port = stage.server(move |mut stream| {
            let mut writer = stream.try_clone().unwrap();
            let down = thread::spawn(move || {
                writer.write_all(&pattern(MUCH, 7)).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut up = Vec::new();
            stream.read_to_end(&mut up).unwrap();
            down.join().unwrap();
            sender.send(up).unwrap();
        });
        let mut stream = connect(stage.publish("c1", Protocol::Tcp, port));
        let mut writer = stream.try_clone().unwrap();
        let up = thread::spawn(move || {
            writer.write_all(&pattern(MUCH, 3)).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut down = Vec::new();
        stream.read_to_end(&mut down).unwrap();
        up.join().unwrap();
        assert!(down == pattern(MUCH, 7), "other bytes came down than were sent");
        let up = seen.recv_timeout(DEADLINE).unwrap();
        assert!(up == pattern(MUCH, 3), "other bytes came up than were sent");
        wait_until(&stage, "the end of the connection", || stage.served()[0].active == 0);
    });
}

#[test]
fn an_end_that_arrives_with_any_number_of_full_chunks_is_passed_on() {
    lab(|lab| {
        let stage = Stage::new(lab);
        // Room for everything in the daemon's queues: all arrives while it does not read, and all
        // can be written when it does.
        lab.host().set_sysctl("ipv4/tcp_rmem", "4096 4194304 4194304");
        lab.host().set_sysctl("ipv4/tcp_wmem", "4096 4194304 4194304");
        let (sender, seen) = mpsc::channel();
        let port = stage.server(move |mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            sender.send(all.len()).unwrap();
        });
        let address = stage.publish("c1", Protocol::Tcp, port);
        let daemon = process(stage.pid());
        for chunks in 12..=20 {
            let mut stream = connect(address);
            // One that is known to the daemon, and then all the rest at once with the end.
            stream.write_all(b"x").unwrap();
            wait_until(&stage, "the connection", || stage.served()[0].active == 1);
            kill(daemon, Signal::SIGSTOP).unwrap();
            stream.write_all(&pattern(chunks << 15, 3)).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            kill(daemon, Signal::SIGCONT).unwrap();
            assert_eq!(seen.recv_timeout(DEADLINE).unwrap(), (chunks << 15) + 1, "{chunks}");
            drop(stream);
            wait_until(&stage, "the connection's end", || stage.served()[0].active == 0);
        }
    });
}

#[test]
fn a_side_that_has_ended_still_receives() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let (sender, seen) = mpsc::channel();
        let port = stage.server(move |mut stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            sender.send(all).unwrap();
        });
        let mut stream = connect(stage.publish("c1", Protocol::Tcp, port));
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the container has ended its side");
        stream.write_all(b"and yet it listens").unwrap();
        drop(stream);
        assert_eq!(seen.recv_timeout(DEADLINE).unwrap(), b"and yet it listens");
    });
}

#[test]
fn a_slow_container_slows_its_client_and_fills_no_memory() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let (start, wait) = mpsc::channel::<()>();
        let (sender, seen) = mpsc::channel();
        let wait = std::sync::Mutex::new(wait);
        let port = stage.server(move |mut stream| {
            wait.lock().unwrap().recv().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            sender.send(all.len()).unwrap();
        });
        let mut stream = connect(stage.publish("c1", Protocol::Tcp, port));
        let before = resident_kilobytes(stage.pid());
        // Ends when nothing more is taken. That it was only slow would do no harm.
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (chunk, mut sent) = (vec![1; 1 << 16], 0);
        loop {
            match stream.write(&chunk) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            assert!(sent < 1 << 30, "somebody takes a gigabyte and reads nothing");
        }
        let grown = resident_kilobytes(stage.pid()).saturating_sub(before);
        assert!(grown < 1024, "{grown} KB more for one connection");
        start.send(()).unwrap();
        drop(stream);
        assert_eq!(seen.recv_timeout(DEADLINE).unwrap(), sent);
    });
}

#[test]
fn a_client_that_is_gone_keeps_nobody_awake_while_the_container_is_slow() {
    lab(|lab| {
        let stage = Stage::new(lab);
        // Small buffers, so that it takes little to fill what lies behind the daemon.
        for namespace in [lab.host(), &stage.container] {
            namespace.set_sysctl("ipv4/tcp_wmem", "4096 16384 16384");
            namespace.set_sysctl("ipv4/tcp_rmem", "4096 131072 131072");
        }
        let (hold, held) = mpsc::channel();
        let port = stage.server(move |stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            hold.send(stream).unwrap();
        });
        let address = stage.publish("c1", Protocol::Tcp, port);
        // The client's end arrives while its bytes wait for the container: both directions of its
        // side have ended then, and yet it is not over. Where exactly that begins depends on the
        // kernel, so it is tried in steps that are smaller than what the daemon's side can queue.
        let mut streams = Vec::new();
        for step in 1..=16 {
            let mut stream = connect(address);
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
            stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            // What does not fit stays away.
            let _ = stream.write_all(&pattern(step * 24 * 1024, 3));
            drop(stream);
            streams.push(held.recv_timeout(DEADLINE).unwrap());
        }
        let pid = stage.pid();
        let end = Instant::now() + DEADLINE;
        while !sleeps(pid) {
            assert!(Instant::now() < end, "the daemon never sleeps");
            thread::yield_now();
        }
        assert!(stage.served()[0].active > 0, "bytes wait for the container");
        drop(streams);
        wait_until(&stage, "the end of all connections", || stage.served()[0].active == 0);
    });
}

/// Whether a process waits for something; one that polls in vain never does.
fn sleeps(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.contains("State:\tS")
}

fn resident_kilobytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_port_that_nobody_listens_on_and_a_reset_are_resets_to_the_client() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let unused = stage.container.within(|| {
            std::net::TcpListener::bind((CONTAINER, 0)).unwrap().local_addr().unwrap().port()
        });
        let mut stream = connect(stage.publish("closed", Protocol::Tcp, unused));
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);

        let port = stage.server(|mut stream| {
            // Closing with bytes unread is a reset.
            stream.write_all(b"x").unwrap();
            stream.peek(&mut [0; 1]).unwrap();
        });
        let mut stream = patient(connect(stage.publish("reset", Protocol::Tcp, port)));
        stream.write_all(b"unread").unwrap();
        let mut all = Vec::new();
        let error = stream.read_to_end(&mut all).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(all, b"x", "what was said before the reset arrives");
    });
}

#[test]
fn many_connections_at_once_keep_their_bytes_apart() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let address = stage.publish("c1", Protocol::Tcp, stage.echo());
        let mut streams: Vec<_> = (0..100).map(|_| connect(address)).collect();
        for round in 0..3_usize {
            for (number, stream) in streams.iter_mut().enumerate() {
                assert_echoes(stream, &pattern(100 + number, number + round + 1));
            }
        }
        assert_eq!(stage.served()[0].active, 100);
    });
}
