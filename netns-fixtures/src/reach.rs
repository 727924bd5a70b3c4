//! Does traffic get through? TCP and UDP, there and back, which a ping would not prove.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::Namespace;

/// How long a reply may take. It is there to end a test, not to measure.
const DEADLINE: Duration = Duration::from_secs(2);

/// More than one segment, so that a wrong MTU shows; less than a socket buffer, so that one thread
/// can play both ends.
const TCP_BYTES: usize = 8 * 1024;
/// Fits every MTU that IPv6 allows.
const UDP_BYTES: usize = 1000;

impl Namespace {
    /// Claims that TCP and UDP of every family get from here to each address of `other` and back.
    ///
    /// # Panics
    /// When one does not, and when `other` has no address.
    #[track_caller]
    pub fn assert_reaches(&self, other: &Namespace) {
        self.settle();
        other.settle();
        let addresses = other.all_addresses();
        assert!(!addresses.is_empty(), "{} has no address to be reached at", other.name());
        for address in addresses {
            self.assert_reaches_at(other, address);
        }
    }

    /// Claims that TCP and UDP get from here to `other` at `address` and back.
    #[track_caller]
    pub fn assert_reaches_at(&self, other: &Namespace, address: IpAddr) {
        if let Err(why) = self.try_reach(other, address) {
            panic!(
                "{} ({}) cannot reach {} ({address}): {why}",
                self.name(),
                words(&self.all_addresses()),
                other.name(),
            );
        }
    }

    /// Claims that neither TCP nor UDP gets from here to `other` at `address`.
    #[track_caller]
    pub fn assert_cannot_reach_at(&self, other: &Namespace, address: IpAddr) {
        let (tcp, udp) = thread::scope(|scope| {
            let tcp = scope.spawn(|| tcp_echo(self, other, address));
            let udp = udp_echo(self, other, address);
            (tcp.join().expect("an echo reports what goes wrong"), udp)
        });
        for (protocol, tried) in [("TCP", tcp), ("UDP", udp)] {
            assert!(
                tried.is_err(),
                "{} reaches {} ({address}) by {protocol}, and should not",
                self.name(),
                other.name()
            );
        }
    }

    /// All addresses but loopback and link-local ones.
    #[must_use]
    #[track_caller]
    pub fn all_addresses(&self) -> Vec<IpAddr> {
        let names = self.link_names();
        let addresses = names.iter().flat_map(|link| self.addresses(link));
        addresses
            .filter_map(|cidr| cidr.split('/').next().and_then(|address| address.parse().ok()))
            .collect()
    }

    fn try_reach(&self, other: &Namespace, address: IpAddr) -> Result<(), String> {
        tcp_echo(self, other, address).map_err(|why| format!("TCP: {why}"))?;
        udp_echo(self, other, address).map_err(|why| format!("UDP: {why}"))
    }
}

fn tcp_echo(from: &Namespace, to: &Namespace, address: IpAddr) -> Result<(), String> {
    let listener = to
        .within(|| TcpListener::bind((any(address), 0)))
        .map_err(|error| format!("listen in {}: {error}", to.name()))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let target = SocketAddr::new(address, port);
    let mut client = from
        .within(|| TcpStream::connect_timeout(&target, DEADLINE))
        .map_err(|error| format!("connect: {error}"))?;
    let (mut server, _) = listener.accept().map_err(|error| format!("accept: {error}"))?;
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
    }
    let sent = payload(TCP_BYTES);
    let mut got = vec![0; TCP_BYTES];
    client.write_all(&sent).map_err(|error| format!("send: {error}"))?;
    server.read_exact(&mut got).map_err(|error| format!("no bytes there: {error}"))?;
    server.write_all(&got).map_err(|error| format!("send back: {error}"))?;
    got.fill(0);
    client.read_exact(&mut got).map_err(|error| format!("no bytes back: {error}"))?;
    if got == sent { Ok(()) } else { Err("other bytes came back than were sent".to_owned()) }
}

fn udp_echo(from: &Namespace, to: &Namespace, address: IpAddr) -> Result<(), String> {
    let bound = |namespace: &Namespace| {
        namespace
            .within(|| UdpSocket::bind((any(address), 0)))
            .map_err(|error| format!("bind in {}: {error}", namespace.name()))
    };
    let (server, client) = (bound(to)?, bound(from)?);
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
    }
    let port = server.local_addr().map_err(|error| error.to_string())?.port();
    client.connect((address, port)).map_err(|error| format!("connect: {error}"))?;
    let sent = payload(UDP_BYTES);
    let mut got = vec![0; UDP_BYTES + 1];
    client.send(&sent).map_err(|error| format!("send: {error}"))?;
    let (length, sender) =
        server.recv_from(&mut got).map_err(|error| format!("no datagram there: {error}"))?;
    server.send_to(&got[..length], sender).map_err(|error| format!("send back: {error}"))?;
    got.fill(0);
    let length = client.recv(&mut got).map_err(|error| format!("no datagram back: {error}"))?;
    if got[..length] == sent { Ok(()) } else { Err("another datagram came back".to_owned()) }
}

/// Bytes in which a lost, doubled or moved piece shows.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn any(family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn words(addresses: &[IpAddr]) -> String {
    let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    if words.is_empty() { "no address".to_owned() } else { words.join(", ") }
}
