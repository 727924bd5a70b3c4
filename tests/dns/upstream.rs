//! Name servers of the internet that do as a case says, and tell what they were asked.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use netns_fixtures::Namespace;

use super::message::{Message, Record, rcode};
use crate::echo::{Protocol, Tcp, Udp};

/// What such a server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) message: Message,
    pub(crate) client: SocketAddr,
    pub(crate) at: Instant,
}

/// One packet that it sends.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    /// How long after the question.
    pub(crate) after: Duration,
    /// Whether it comes from a port where nobody was asked.
    pub(crate) from_elsewhere: bool,
}

impl Sent {
    pub(crate) fn at_once(message: &Message) -> Self {
        Self { bytes: message.encode(), after: Duration::ZERO, from_elsewhere: false }
    }
}

/// What it sends when it is asked.
pub(crate) type Script = Box<dyn FnMut(&Asked) -> Vec<Sent> + Send>;

/// Knows these records, and that there is nothing else.
pub(crate) fn knowing(records: Vec<Record>) -> Script {
    replying(move |asked| {
        let question = asked.message.question();
        let of_name: Vec<&Record> =
            records.iter().filter(|r| r.name.eq_ignore_ascii_case(&question.name)).collect();
        let answers: Vec<Record> = of_name
            .iter()
            .filter(|record| record.kind == question.kind)
            .map(|record| Record { name: question.name.clone(), ..(*record).clone() })
            .collect();
        let mut reply = asked.message.answered(answers);
        if of_name.is_empty() {
            reply = reply.flags(rcode::NXDOMAIN);
        }
        if reply.answers.is_empty() {
            reply.authority.push(Record::soa(".", 300, 30));
        }
        reply
    })
}

/// Knows every name to have this address, for 100 s.
pub(crate) fn always(address: &'static str) -> Script {
    replying(move |asked| {
        let question = asked.message.question();
        let record = Record::address(&question.name, address, 100);
        let fits = record.kind == question.kind;
        asked.message.answered(if fits { vec![record] } else { vec![] })
    })
}

/// Answers as `reply` says, at once.
pub(crate) fn replying(mut reply: impl FnMut(&Asked) -> Message + Send + 'static) -> Script {
    Box::new(move |asked| vec![Sent::at_once(&reply(asked))])
}

/// Answers everything with this code.
pub(crate) fn failing(rcode: u16) -> Script {
    replying(move |asked| asked.message.refused(rcode))
}

/// Answers nothing.
pub(crate) fn silent() -> Script {
    Box::new(|_| Vec::new())
}

/// Answers as `script`, so much later.
pub(crate) fn slow(by: Duration, mut script: Script) -> Script {
    Box::new(move |asked| {
        script(asked).into_iter().map(|sent| Sent { after: sent.after + by, ..sent }).collect()
    })
}

/// One server, at port 53 of its address, by UDP and TCP, until the case ends.
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    pub(crate) address: IpAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
}

const LOCK: &str = "no code panics while it holds this lock";

impl Upstream {
    /// Starts it at `address`, which is one of `place`.
    pub(crate) fn start(place: &Namespace, name: &'static str, address: IpAddr) -> Self {
        Self::start_at(place, name, SocketAddr::new(address, 53))
    }

    /// Starts it at an address of one link of `place`.
    pub(crate) fn start_on_link(
        place: &Namespace,
        name: &'static str,
        address: &str,
        link: &str,
    ) -> Self {
        let index = place.link(link).expect("the link is there")["ifindex"].as_u64();
        let index = u32::try_from(index.expect("a link has a number")).expect("a small number");
        let address = address.parse().expect("an IPv6 address");
        Self::start_at(place, name, SocketAddrV6::new(address, 53, 0, index).into())
    }

    fn start_at(place: &Namespace, name: &'static str, at: SocketAddr) -> Self {
        let elsewhere = {
            let mut elsewhere = at;
            elsewhere.set_port(0);
            elsewhere
        };
        let shared = Arc::new(Shared { script: Mutex::new(silent()), asked: Mutex::default() });
        let bound = place.within(|| -> io::Result<_> {
            Ok((UdpSocket::bind(at)?, TcpListener::bind(at)?, UdpSocket::bind(elsewhere)?))
        });
        let (udp, tcp, elsewhere) = bound.unwrap_or_else(|e| panic!("serve at {at}: {e}"));
        let sockets = Arc::new((udp, elsewhere));
        let of_udp = Arc::clone(&shared);
        thread::spawn(move || of_udp.serve_udp(&sockets));
        let of_tcp = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let shared = Arc::clone(&of_tcp);
                thread::spawn(move || shared.serve_stream(stream));
            }
        });
        Self { name, address: at.ip(), shared }
    }

    /// From now on does this.
    pub(crate) fn does(&self, script: Script) {
        *self.shared.script.lock().expect(LOCK) = script;
    }

    /// What it was asked so far, the oldest first.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect(LOCK).clone()
    }

    /// How often it was asked for `name`, case aside.
    pub(crate) fn times(&self, name: &str) -> usize {
        let asked = self.asked();
        let names = asked.iter().flat_map(|asked| &asked.message.questions);
        names.filter(|question| question.name.eq_ignore_ascii_case(name)).count()
    }

    /// Forgets what it was asked.
    pub(crate) fn forget(&self) {
        self.shared.asked.lock().expect(LOCK).clear();
    }

    /// What it was asked, for a report.
    pub(crate) fn report(&self) -> String {
        let mut report = format!("{} ({}) was asked", self.name, self.address);
        let asked = self.asked();
        for Asked { protocol, message, client, .. } in asked.iter().rev().take(20).rev() {
            let _ = write!(report, "\n    by {client} {protocol}: {message}");
        }
        if asked.is_empty() {
            report.push_str(" nothing");
        }
        report
    }
}

impl Shared {
    fn serve_udp(self: &Arc<Self>, sockets: &Arc<(UdpSocket, UdpSocket)>) {
        let mut packet = [0; 4096];
        while let Ok((length, client)) = sockets.0.recv_from(&mut packet) {
            for sent in self.told(Udp, &packet[..length], client) {
                let sockets = Arc::clone(sockets);
                let send = move || {
                    let socket = if sent.from_elsewhere { &sockets.1 } else { &sockets.0 };
                    let _ = socket.send_to(&sent.bytes, client);
                };
                match sent.after {
                    Duration::ZERO => send(),
                    after => drop(thread::spawn(move || {
                        let () = pass(after);
                        send();
                    })),
                }
            }
        }
    }

    fn serve_stream(&self, mut stream: TcpStream) {
        let Ok(client) = stream.peer_addr() else { return };
        while let Ok(packet) = read_framed(&mut stream) {
            for sent in self.told(Tcp, &packet, client) {
                pass(sent.after);
                let _ = stream.write_all(&framed(&sent.bytes));
            }
        }
    }

    /// Writes a question down; what is to be sent.
    fn told(&self, protocol: Protocol, packet: &[u8], client: SocketAddr) -> Vec<Sent> {
        let Ok(message) = Message::decode(packet) else {
            panic!("{client} sends no message: {packet:02x?}");
        };
        let asked = Asked { protocol, message, client, at: Instant::now() };
        self.asked.lock().expect(LOCK).push(asked.clone());
        let mut script = self.script.lock().expect(LOCK);
        script(&asked)
    }
}

/// Lets time pass: what a server that thinks for so long does.
pub(crate) fn pass(time: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    assert_eq!(receiver.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

/// A message as it stands in a stream.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// The next message of a stream.
pub(crate) fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// The two of every town.
pub(crate) const U1: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
pub(crate) const U2: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
