//! Who listens, judged by ss(8).

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use kernel::listeners::{Listener, listeners, owner_of};
use kernel::netlink::Socket;
use types::Family;

use crate::isolation::isolated;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

fn here() -> Socket {
    Socket::open_sock_diag("the test's namespace").unwrap()
}

/// As ss(8) writes them, in order: `ADDRESS:PORT uid inode v6only`.
fn listed(protocol: u8, family: Family) -> Vec<String> {
    let mut lines: Vec<String> = listeners(&here(), protocol, family)
        .unwrap()
        .into_iter()
        .map(|Listener { address, port, v6only, inode, uid }| {
            let address =
                if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            format!("{address}:{port} uid {uid} ino {inode} v6only {v6only}")
        })
        .collect();
    lines.sort();
    lines
}

/// The same from ss(8). It leaves out uid 0, and calls IPv6 sockets for both families `*`.
fn as_ss_lists(protocol: &str, family: &str) -> Vec<String> {
    let arguments = ["-H", "-l", "-n", "-e", protocol, family];
    let output = Command::new("ss").args(arguments).output().expect("ss(8) is needed");
    let mut lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
            let address = words[3].replace('*', "[::]");
            let (uid, inode) = (after("uid:").unwrap_or("0"), after("ino:").unwrap());
            let v6only = after("v6only:") == Some("1");
            format!("{address} uid {uid} ino {inode} v6only {v6only}")
        })
        .collect();
    lines.sort();
    lines
}

/// A second loopback address and the others, all up.
fn with_lo_up() {
    for line in ["link set lo up", "addr add 2001:db8::1/128 dev lo nodad"] {
        let done = Command::new("ip").args(line.split(' ')).status().unwrap();
        assert!(done.success(), "{line}");
    }
}

#[test]
fn what_waits_is_listed_as_ss_lists_it_and_what_is_connected_is_not() {
    isolated(|| {
        with_lo_up();
        let addresses = ["0.0.0.0:80", "127.0.0.1:81", "[2001:db8::1]:82", "[::]:83"];
        let tcp = addresses.map(|address| TcpListener::bind(address).unwrap());
        let udp = addresses.map(|address| UdpSocket::bind(address).unwrap());
        let _connected = TcpStream::connect("127.0.0.1:81").unwrap();
        let talker = UdpSocket::bind("127.0.0.1:84").unwrap();
        talker.connect("127.0.0.1:81").unwrap();
        for (protocol, name) in [(TCP, "-t"), (UDP, "-u")] {
            for (family, its_name) in [(Family::V4, "-4"), (Family::V6, "-6")] {
                let ours = listed(protocol, family);
                assert_eq!(ours, as_ss_lists(name, its_name));
                assert_eq!(ours.len(), 2, "{ours:?}");
            }
        }
        drop((tcp, udp));
        for protocol in [TCP, UDP] {
            assert_eq!(listed(protocol, Family::V4), [""; 0]);
            assert_eq!(listed(protocol, Family::V6), [""; 0]);
        }
    });
}

#[test]
fn a_socket_of_ipv6_says_whether_it_serves_ipv4() {
    isolated(|| {
        with_lo_up();
        let both = UdpSocket::bind("[::]:53").unwrap();
        let found = || listeners(&here(), UDP, Family::V6).unwrap();
        assert!(found()[0].serves([127, 0, 0, 1].into()));
        drop(both);

        std::fs::write("/proc/sys/net/ipv6/bindv6only", "1").unwrap();
        let _only = UdpSocket::bind("[::]:53").unwrap();
        let [listener] = found()[..] else { panic!("{:?}", found()) };
        assert!(listener.v6only && !listener.serves([127, 0, 0, 1].into()));
    });
}

#[test]
fn many_sockets_are_all_listed() {
    isolated(|| {
        with_lo_up();
        let sockets: Vec<_> = (0..800).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut ports: Vec<u16> =
            sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        ports.sort_unstable();
        let found = listeners(&here(), UDP, Family::V4).unwrap();
        let mut found: Vec<u16> = found.iter().map(|listener| listener.port).collect();
        found.sort_unstable();
        assert_eq!(found, ports);
    });
}

#[test]
fn without_sctp_nobody_listens_on_it() {
    isolated(|| {
        for family in [Family::V4, Family::V6] {
            assert_eq!(listeners(&here(), SCTP, family).unwrap(), []);
        }
    });
}

#[test]
fn the_owner_of_a_socket_is_named_while_it_is_open() {
    isolated(|| {
        with_lo_up();
        let socket = TcpListener::bind("127.0.0.1:80").unwrap();
        let [listener] = listeners(&here(), TCP, Family::V4).unwrap()[..] else { panic!() };
        let owner = owner_of(listener.inode).unwrap();
        assert_eq!(owner.pid, std::process::id());
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(owner.to_string(), format!("process {} ({})", owner.pid, comm.trim_end()));
        drop(socket);
        assert_eq!(owner_of(listener.inode), None);
    });
}
