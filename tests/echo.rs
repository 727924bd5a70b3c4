//! Servers that tell a client which address they saw of it, and clients that ask once.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use netns_fixtures::Namespace;

/// How long an answer may take. It is there to end a case, not to measure.
const DEADLINE: Duration = Duration::from_secs(2);

/// The transport of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

pub(crate) use Protocol::{Tcp, Udp};

impl Protocol {
    /// Those that every kernel has.
    pub(crate) const ALL: [Self; 2] = [Tcp, Udp];
}

impl fmt::Display for Protocol {
    /// As `portMappings` name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tcp => "tcp",
            Udp => "udp",
        })
    }
}

/// Answers at `port` of all addresses of `place`, in TCP and UDP, until the case ends: `name` and
/// the client's address.
#[track_caller]
pub(crate) fn serve(place: &Namespace, name: &str, port: u16) {
    serve_at(place, name, (Ipv6Addr::UNSPECIFIED, port).into());
}

/// As [`serve`], at one address.
#[track_caller]
pub(crate) fn serve_at(place: &Namespace, name: &str, at: SocketAddr) {
    let bound = place.within(|| Ok((TcpListener::bind(at)?, UdpSocket::bind(at)?)));
    let (tcp, udp) = bound.unwrap_or_else(|e: io::Error| panic!("bind {at}: {e}"));
    let answer = {
        let name = name.to_owned();
        move |client: SocketAddr| format!("{name} {}", client.ip().to_canonical())
    };
    let of_tcp = answer.clone();
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            answer_stream(stream, &of_tcp);
        }
    });
    thread::spawn(move || {
        let mut question = [0; 16];
        while let Ok((_, client)) = udp.recv_from(&mut question) {
            let _ = udp.send_to(answer(client).as_bytes(), client);
        }
    });
}

fn answer_stream(mut stream: TcpStream, answer: &impl Fn(SocketAddr) -> String) {
    // A client that has gone is none of the server's concern.
    if let Ok(client) = stream.peer_addr() {
        let _ = stream.write_all(answer(client).as_bytes());
    }
}

/// Asks once, from `place`; the answer, or why there was none.
pub(crate) fn ask(place: &Namespace, protocol: Protocol, at: SocketAddr) -> Result<String, String> {
    let answer = place.within(|| match protocol {
        Tcp => ask_tcp(at),
        Udp => ask_udp(at),
    });
    answer.map_err(|error| error.to_string())
}

fn ask_tcp(at: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn ask_udp(at: SocketAddr) -> io::Result<String> {
    let any: IpAddr = match at {
        SocketAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.connect(at)?;
    socket.send(b"who am I")?;
    let mut answer = [0; 256];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Claims that `name` answers at `address` and `port` by both protocols, and saw `client`.
#[track_caller]
pub(crate) fn assert_answers(place: &Namespace, at: (&str, u16), name: &str, client: &str) {
    let at = SocketAddr::new(at.0.parse().expect("an address"), at.1);
    for protocol in Protocol::ALL {
        let answer = ask(place, protocol, at);
        let expected = format!("{name} {client}");
        assert_eq!(
            answer.as_deref(),
            Ok(&*expected),
            "{} asks at {at} by {protocol}",
            place.name()
        );
    }
}

/// Claims that nobody answers at `address` and `port` by either protocol.
#[track_caller]
pub(crate) fn assert_silent(place: &Namespace, at: (&str, u16)) {
    let at = SocketAddr::new(at.0.parse().expect("an address"), at.1);
    let answers = thread::scope(|scope| {
        let asking = Protocol::ALL.map(|protocol| scope.spawn(move || ask(place, protocol, at)));
        asking.map(|asking| asking.join().expect("asking reports what goes wrong"))
    });
    for (protocol, answer) in Protocol::ALL.iter().zip(answers) {
        let name = place.name();
        assert!(answer.is_err(), "{name} asks at {at} by {protocol}, and is told {answer:?}");
    }
}
