//! One question put to one server: over UDP, again without EDNS where that is declined, and over TCP
//! where the answer is truncated.
//!
//! Each packet has its own socket, connected to the server, at a port that the kernel picks at
//! random, and an id of its own. So who is not on the path has to guess both (RFC 5452), and the
//! spelling of the question as well where the client mixed it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout, timeout_at};

use super::counters::increment;
use super::race::{Outcome, TOTAL};
use super::set::{Options, Upstream};
use super::wire::{Judged, Outgoing, rcode};

/// How long after a packet it is sent again; twice that after the second, and so on.
const RESEND: Duration = Duration::from_secs(1);

/// The longest packet there is.
const LONGEST: usize = 65_535;

/// Where packets are received: one for all sockets, since nothing is kept in it across an await.
pub(super) type Buffer = Rc<RefCell<Box<[u8]>>>;

/// Room for the longest packet.
pub(super) fn buffer() -> Buffer {
    Rc::new(RefCell::new(vec![0; LONGEST].into()))
}

/// The packets that wait for an answer now. One of them that comes in as a query has gone in a
/// circle: nobody else knows its id.
#[derive(Debug, Default)]
pub(super) struct Sent(RefCell<HashSet<Rc<[u8]>>>);

impl Sent {
    pub(super) fn contains(&self, packet: &[u8]) -> bool {
        self.0.borrow().contains(packet)
    }

    fn note(&self, packet: &[u8]) -> Noted<'_> {
        let packet: Rc<[u8]> = packet.into();
        self.0.borrow_mut().insert(Rc::clone(&packet));
        Noted { sent: self, packet }
    }
}

/// A packet among those sent, until this is dropped.
struct Noted<'a> {
    sent: &'a Sent,
    packet: Rc<[u8]>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.sent.0.borrow_mut().remove(&self.packet);
    }
}

/// One question for one server.
pub(super) struct Exchange {
    pub(super) upstream: Rc<Upstream>,
    pub(super) outgoing: Rc<Outgoing>,
    pub(super) options: Options,
    pub(super) sent: Rc<Sent>,
    pub(super) buffer: Buffer,
}

impl Exchange {
    /// Asks, and reports what came of it for `place`.
    ///
    /// When nobody waits for the report any more it goes on until it would send again: a late answer
    /// still tells how slow the server is.
    pub(super) async fn run(self, place: usize, report: UnboundedSender<(usize, Outcome)>) {
        let began = Instant::now();
        let patience = self.options.timeout.saturating_mul(self.options.attempts).min(TOTAL);
        let counters = &self.upstream.counters;
        increment(&counters.queries);
        let judged = timeout_at(began + patience, self.ask(&report)).await;
        let outcome = match judged {
            Err(_) | Ok(Ok(None)) => Outcome::Silent,
            Ok(Err(_)) => Outcome::Unreachable,
            Ok(Ok(Some(Judged::Answer(reply)))) => Outcome::Answer(reply),
            Ok(Ok(Some(Judged::Failed(code) | Judged::Declined(code)))) => Outcome::Failed(code),
            // Truncated over TCP, or something else than an answer there.
            Ok(Ok(Some(Judged::Truncated | Judged::Foreign))) => Outcome::Failed(rcode::SERVFAIL),
        };
        match outcome {
            Outcome::Answer(_) => self.upstream.heard(began.elapsed()),
            Outcome::Failed(_) => {
                self.upstream.heard(began.elapsed());
                increment(&counters.failures);
            }
            Outcome::Unreachable => increment(&counters.failures),
            // Counted by who waited for it.
            Outcome::Silent => {}
        }
        // Nobody waits any more: that was a late answer, or a probe.
        let _ = report.send((place, outcome));
    }

    async fn ask(&self, report: &UnboundedSender<(usize, Outcome)>) -> io::Result<Option<Judged>> {
        let unwanted = || report.is_closed();
        let mut edns = true;
        let mut judged = self.over_udp(edns, unwanted).await?;
        if matches!(judged, Some(Judged::Declined(_))) {
            increment(&self.upstream.counters.without_edns);
            edns = false;
            judged = self.over_udp(edns, unwanted).await?;
        }
        if matches!(judged, Some(Judged::Truncated)) && !unwanted() {
            increment(&self.upstream.counters.tcp);
            return self.over_tcp(edns).await.map(Some);
        }
        Ok(judged)
    }

    /// None when it was silent for as long as anybody wanted to know.
    async fn over_udp(
        &self,
        edns: bool,
        unwanted: impl Fn() -> bool,
    ) -> io::Result<Option<Judged>> {
        let id = random_id()?;
        let packet = self.outgoing.packet(id, edns);
        let _noted = self.sent.note(&packet);
        let socket = self.udp_socket().await?;
        let mut gap = RESEND;
        for attempt in 1..=self.options.attempts.max(1) {
            socket.send(&packet).await?;
            let receive = self.receive(&socket, id);
            if attempt == self.options.attempts {
                return receive.await.map(Some);
            }
            if let Ok(judged) = timeout(gap, receive).await {
                return judged.map(Some);
            }
            if unwanted() {
                break;
            }
            gap *= 2;
        }
        Ok(None)
    }

    async fn udp_socket(&self) -> io::Result<UdpSocket> {
        let server = self.upstream.server();
        let any: SocketAddr = match server.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        if let Some(link) = &server.link {
            socket.bind_device(Some(link.as_bytes()))?;
        }
        socket.connect(server.address).await?;
        Ok(socket)
    }

    /// The first packet that is for this question.
    async fn receive(&self, socket: &UdpSocket, id: u16) -> io::Result<Judged> {
        let server = self.upstream.server().address;
        loop {
            // That nobody listens there makes a socket erroneous, not readable.
            let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
            if ready.is_error() {
                if let Some(error) = socket.take_error()? {
                    return Err(error);
                }
                let none = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _ = socket.try_io(Interest::ERROR, none);
            }
            let mut buffer = self.buffer.borrow_mut();
            let (length, from) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            // Before it was connected the socket took packets from everybody.
            if from.ip() == server.ip() && from.port() == server.port() {
                match self.outgoing.judge(id, &buffer[..length]) {
                    Judged::Foreign => {}
                    judged => return Ok(judged),
                }
            }
            increment(&self.upstream.counters.foreign);
        }
    }

    async fn over_tcp(&self, edns: bool) -> io::Result<Judged> {
        let server = self.upstream.server();
        let socket = match server.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(link) = &server.link {
            socket.bind_device(Some(link.as_bytes()))?;
        }
        let mut stream = socket.connect(server.address).await?;
        let id = random_id()?;
        let packet = self.outgoing.packet(id, edns);
        let _noted = self.sent.note(&packet);
        // A question is at most a name, a type and an OPT long.
        let mut framed = u16::try_from(packet.len()).unwrap_or(0).to_be_bytes().to_vec();
        framed.extend(&packet);
        stream.write_all(&framed).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        Ok(self.outgoing.judge(id, &reply))
    }
}

fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u16::from_be_bytes(id))
}
