//! Who asks where, and claims about what they are told.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use netns_fixtures::Namespace;

use super::message::{Message, Record, flag, kind, rcode};
use super::resident::{cli, inner};
use super::town::Town;
use super::upstream::{framed, read_framed};
use crate::echo::{Protocol, Tcp, Udp};

/// How long a reply may take. It is there to end a case, not to measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// How long nothing has to come for nobody to answer.
pub(crate) const SILENCE: Duration = Duration::from_millis(500);

/// An address at which a container asks.
#[derive(Clone)]
pub(crate) struct Door<'t> {
    town: &'t Town<'t>,
    pub(crate) namespace: Namespace,
    pub(crate) at: SocketAddr,
    who: String,
}

/// A query and its reply.
pub(crate) struct Told<'t> {
    town: &'t Town<'t>,
    who: String,
    query: Message,
    pub(crate) reply: Message,
    /// Bytes of the reply.
    pub(crate) size: usize,
}

/// Makes `case` hold at every door: at the gateways and at 127.0.0.11 of `cli`, whose packets are led
/// to the gateway, and at that of `inner`, who is answered in its own namespace.
#[track_caller]
pub(crate) fn at_each_door(town: &Town<'_>, case: impl Fn(&Door<'_>)) {
    let (cli, inner) = (town.receive(cli()), town.receive(inner()));
    let doors = [cli.doors(), inner.doors()].concat();
    assert_eq!(doors.len(), 4);
    doors.iter().for_each(case);
}

impl<'t> Door<'t> {
    pub(crate) fn new(town: &'t Town<'t>, who: &str, namespace: &Namespace, address: &str) -> Self {
        let address: IpAddr = address.parse().expect("an address");
        let who = format!("{who} at {address}");
        Self { town, namespace: namespace.clone(), at: SocketAddr::new(address, 53), who }
    }

    /// A name that nobody at another door asks for.
    pub(crate) fn own(&self, name: &str) -> String {
        let label: String = self.who.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{label}.{name}")
    }

    /// Asks by UDP.
    #[track_caller]
    pub(crate) fn ask(&self, name: &str, kind: u16) -> Told<'t> {
        self.send(Udp, &Message::query(name, kind))
    }

    /// Sends `query`, whose reply must come.
    #[track_caller]
    pub(crate) fn send(&self, protocol: Protocol, query: &Message) -> Told<'t> {
        let bytes = query.encode();
        let packet = match protocol {
            Udp => self.exchange(&bytes, PATIENCE),
            Tcp => self.namespace.within(|| exchange_tcp(self.at, &bytes)),
        };
        let packet = packet.unwrap_or_else(|error| {
            panic!("{} asks by {protocol}: {error}\n  {query}\n{}", self.who, self.town.report())
        });
        let reply = Message::decode(&packet).unwrap_or_else(|why| {
            panic!("{} asks by {protocol}\n  {query}\n  and is told {packet:02x?}: {why}", self.who)
        });
        let (query, size) = (query.clone(), packet.len());
        let who = format!("{} by {protocol}", self.who);
        let told = Told { town: self.town, who, query, reply, size };
        told.must(told.reply.id == told.query.id, "is told with its id");
        told.must(told.reply.is(flag::RESPONSE), "is sent a reply");
        told
    }

    /// Sends any bytes by UDP; the next packet from there.
    pub(crate) fn exchange(&self, bytes: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
        self.namespace.within(|| {
            let socket = asking_socket(self.at)?;
            socket.set_read_timeout(Some(patience))?;
            socket.send(bytes)?;
            let mut packet = vec![0; 65536];
            let length = socket.recv(&mut packet)?;
            packet.truncate(length);
            Ok(packet)
        })
    }

    /// Claims that bytes are not answered.
    #[track_caller]
    pub(crate) fn assert_ignores(&self, bytes: &[u8]) {
        if let Ok(reply) = self.exchange(bytes, SILENCE) {
            let decoded = Message::decode(&reply).map(|reply| reply.to_string());
            panic!("{} sends {bytes:02x?}, and is told {decoded:?}", self.who);
        }
    }

    /// A connection to it.
    #[track_caller]
    pub(crate) fn connect(&self) -> TcpStream {
        let connected = self.namespace.within(|| TcpStream::connect_timeout(&self.at, PATIENCE));
        let stream = connected.unwrap_or_else(|error| panic!("{} connects: {error}", self.who));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A socket that sends to it.
    #[track_caller]
    pub(crate) fn socket(&self) -> UdpSocket {
        let socket = self.namespace.within(|| asking_socket(self.at));
        let socket = socket.unwrap_or_else(|error| panic!("{}: {error}", self.who));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

fn asking_socket(at: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(at)?;
    Ok(socket)
}

fn exchange_tcp(at: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&framed(bytes))?;
    read_framed(&mut stream)
}

impl Told<'_> {
    /// Makes a claim, and prints everything where it fails.
    #[track_caller]
    pub(crate) fn must(&self, holds: bool, claim: &str) -> &Self {
        let Self { town, who, query, reply, size } = self;
        assert!(
            holds,
            "{who}: {claim}\n  query  {query}\n  reply  {reply} ({size} bytes)\n{}",
            town.report()
        );
        self
    }

    /// Claims the code, and that the question came back as it was asked.
    #[track_caller]
    pub(crate) fn rcode(&self, rcode: u16) -> &Self {
        self.must(self.reply.rcode() == rcode, &format!("code {rcode}"));
        self.must(self.reply.questions == self.query.questions, "the same question")
    }

    /// Claims that the answers are these addresses, in whatever order, and each once.
    #[track_caller]
    pub(crate) fn addresses(&self, expected: &[&str]) -> &Self {
        self.rcode(rcode::NOERROR);
        let expected: BTreeSet<String> = expected.iter().map(|&text| text.to_owned()).collect();
        let said: BTreeSet<String> = self.said().into_iter().collect();
        self.must(said == expected, &format!("addresses {expected:?}"));
        self.must(self.reply.answers.len() == expected.len(), "each address once")
    }

    /// What the answers say.
    pub(crate) fn said(&self) -> Vec<String> {
        self.reply.answers.iter().map(Record::said).collect()
    }

    /// Claims that we say so ourselves: authoritative, for five seconds, recursion offered.
    #[track_caller]
    pub(crate) fn owned(&self) -> &Self {
        self.must(self.reply.is(flag::AUTHORITATIVE), "authoritative");
        self.must(self.reply.is(flag::RECURSION_AVAILABLE), "recursion available");
        self.must(!self.reply.is(flag::AUTHENTIC), "not authenticated");
        self.must(self.reply.answers.iter().all(|record| record.ttl == 5), "TTL 5")
    }

    /// Claims that the name exists and has nothing of this type.
    #[track_caller]
    pub(crate) fn nodata(&self) -> &Self {
        self.rcode(rcode::NOERROR);
        self.must(self.reply.answers.is_empty(), "no answers")
    }

    #[track_caller]
    pub(crate) fn nxdomain(&self) -> &Self {
        self.rcode(rcode::NXDOMAIN);
        self.must(self.reply.answers.is_empty(), "no answers")
    }

    /// Claims one name as answer.
    #[track_caller]
    pub(crate) fn pointer(&self, name: &str) -> &Self {
        self.rcode(rcode::NOERROR);
        self.must(self.said() == [name], &format!("called {name}"))
    }

    /// The SOA record that says how long there is nothing.
    pub(crate) fn soa(&self) -> Option<&Record> {
        self.reply.authority.iter().find(|record| record.kind == kind::SOA)
    }
}
