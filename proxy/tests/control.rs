use std::io::IoSlice;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use netns_fixtures::lab;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use proxy::{Protocol, listen};

use crate::stage::{
    CONTAINER, Stage, asked, assert_udp_echoes, key, open_files, raw_client, refused, some_offer,
    udp_client, wait_until,
};

/// What the daemon answers to a message with these descriptors; empty when it only hangs up.
fn answer(bytes: &[u8], with: &[OwnedFd]) -> String {
    let socket = raw_client();
    let raw: Vec<_> = with.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
    let parts = [IoSlice::new(bytes)];
    sendmsg::<()>(socket.as_raw_fd(), &parts, rights, MsgFlags::MSG_NOSIGNAL, None).unwrap();
    let mut buffer = vec![0; 65_536];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap_or(0);
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn serve_text(protocol: &str, listen: &str) -> String {
    format!(
        r#"{{"layout":1,"verb":"serve","network":"n","container":"c","ifname":"e",
            "mappings":[{{"protocol":"{protocol}","listen":"{listen}","target":"10.9.0.2:7"}}]}}"#
    )
}

fn some_files(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect()
}

#[test]
fn garbage_is_refused_and_harms_nobody() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let address = stage.publish("c1", Protocol::Tcp, stage.echo());
        let (pid, before) = (stage.pid(), open_files(stage.pid()));
        for (bytes, with, expected) in [
            (&b"\xff\0garbage"[..], 0, "error"),
            (b"{}", 3, "layout"),
            (b"", 200, ""),
            (br#"{"layout":1,"verb":"dance"}"#, 253, "not serve, drop or list"),
            (br#"{"layout":2,"verb":"list"}"#, 0, "speaks layout 2, this one 1"),
            (&vec![b'['; 60_000], 0, "error"),
            (&vec![b' '; 100_000], 1, "did not fit"),
            (serve_text("tcp", "[::1]:80").as_bytes(), 0, "1 mappings with 0 sockets"),
            (serve_text("tcp", "[::1]:80").as_bytes(), 2, "1 mappings with 2 sockets"),
            (serve_text("tcp", "[::1]:80").as_bytes(), 1, "operation on non-socket"),
            (serve_text("sctp", "[::1]:80").as_bytes(), 1, "sctp cannot be proxied"),
        ] {
            let answered = answer(bytes, &some_files(with));
            assert!(answered.contains(expected), "no `{expected}` in: {answered}");
        }
        assert_eq!((stage.pid(), stage.served().len()), (pid, 1));
        assert_eq!(asked(address, b"still here"), b"still here");
        wait_until(&stage, "closing what came with garbage", || open_files(pid) == before);
    });
}

#[test]
fn a_socket_that_is_not_what_the_message_says_is_refused() {
    lab(|lab| {
        let stage = Stage::new(lab);
        stage.publish("c1", Protocol::Tcp, stage.echo());
        let tcp = || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let said = |protocol, at: SocketAddr, socket: OwnedFd| {
            answer(serve_text(protocol, &at.to_string()).as_bytes(), &[socket])
        };
        let (socket, elsewhere) = (tcp(), tcp().local_addr().unwrap());
        let own = socket.local_addr().unwrap();
        assert!(said("udp", own, socket.into()).contains("is for another protocol"));
        assert!(said("tcp", elsewhere, tcp().into()).contains("is bound to [::1]:"));
        let listener = tcp();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let own = stream.local_addr().unwrap();
        assert!(said("tcp", own, stream.into()).contains("does not listen"));
        let foreign = stage.container.within(|| {
            // Its IPv6 is on `lo`, which is still down: bound to any address, it can listen.
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap()
        });
        let own = foreign.local_addr().unwrap();
        assert!(said("tcp", own, foreign.into()).contains("of another network namespace"));
        assert_eq!(stage.served().len(), 1);
    });
}

#[test]
fn all_of_a_key_are_served_or_none() {
    lab(|lab| {
        let stage = Stage::new(lab);
        stage.publish("c1", Protocol::Tcp, stage.echo());
        let foreign = stage
            .container
            .within(|| listen(Protocol::Tcp, Ipv6Addr::UNSPECIFIED, 0))
            .unwrap()
            .lead_to(SocketAddr::from((CONTAINER, 7)));
        // The last of several messages is the one that is refused.
        let offers = (0..100).map(|_| some_offer()).chain([foreign]).collect();
        let outcome = stage.client().serve(&key("c2"), offers);
        refused(outcome, 7, "of another network namespace than cais-proxy");
        assert_eq!(stage.served().len(), 1);
    });
}

#[test]
fn a_client_that_says_nothing_keeps_nobody_waiting() {
    lab(|lab| {
        let stage = Stage::new(lab);
        stage.publish("c1", Protocol::Tcp, stage.echo());
        // More than are heard at once: the first are sent away for the last, and these in time.
        let silent: Vec<_> = (0..40).map(|_| raw_client()).collect();
        assert_eq!(stage.served().len(), 1);
        let mut byte = [0; 1];
        for socket in &silent {
            assert_eq!(recv(socket.as_raw_fd(), &mut byte, MsgFlags::empty()), Ok(0));
        }
    });
}

#[test]
fn no_descriptor_stays_behind() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let (tcp, udp) = (stage.echo(), stage.udp_echo());
        stage.publish("stays", Protocol::Tcp, tcp);
        let (pid, before) = (stage.pid(), open_files(stage.pid()));
        for round in 0..5 {
            let stream = stage.publish("streams", Protocol::Tcp, tcp);
            let datagram = stage.publish("datagrams", Protocol::Udp, udp);
            for _ in 0..20 {
                assert_eq!(asked(stream, b"x"), b"x");
                assert_udp_echoes(&udp_client(datagram), b"y");
            }
            if round == 4 {
                assert!(open_files(pid) >= before + 20, "each client has a socket: {before}");
            }
        }
        for name in ["streams", "datagrams"] {
            stage.client().drop(&key(name)).unwrap();
        }
        wait_until(&stage, "closing all that was used", || open_files(pid) == before);
        assert_eq!(stage.pid(), pid);
        // Ours are closed as well: the port is free again.
        let sockets = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0));
        assert!(sockets.is_ok());
    });
}
