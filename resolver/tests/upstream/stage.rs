//! Servers that follow a script, and a forwarder that asks them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use resolver::upstream::{Forwarder, Limits, Options, Server, UpstreamSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::packet::{self, Packet, read};

/// Runs a case as the daemon runs: on one thread, with local tasks.
#[track_caller]
pub(crate) fn run(case: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    // The runner ends one that hangs; the clock of tokio is the case's to move.
    runtime.unwrap().block_on(case);
}

/// What a server sends for one packet, each a while after the one before.
pub(crate) type Says = Vec<(Duration, Vec<u8>)>;

/// Says it at once.
pub(crate) fn at_once(packet: Packet) -> Says {
    vec![(Duration::ZERO, packet.0)]
}

/// Says it after so many milliseconds.
pub(crate) fn after(millis: u64, packet: Packet) -> Says {
    vec![(Duration::from_millis(millis), packet.0)]
}

/// A packet, and where it is from.
type Seen = (SocketAddr, Vec<u8>);

/// A server on loopback, over UDP and TCP, until the case ends.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Rc<RefCell<Vec<Seen>>>,
    tcp: Rc<Cell<usize>>,
}

impl Upstream {
    /// Says the same over both.
    pub(crate) async fn new(says: impl Fn(&[u8]) -> Says + 'static) -> Self {
        let says = Rc::new(says);
        let over_tcp = Rc::clone(&says);
        Self::with_tcp(move |query| says(query), move |query| over_tcp(query)).await
    }

    /// Says nothing at all, ever.
    pub(crate) async fn silent() -> Self {
        Self::new(|_| Vec::new()).await
    }

    /// Answers every question by this address.
    pub(crate) async fn knows(address: &'static str) -> Self {
        Self::new(move |query| at_once(packet::reply(query).a(address, 60))).await
    }

    /// Answers every question by this code.
    pub(crate) async fn fails(rcode: u8) -> Self {
        Self::new(move |query| at_once(packet::reply(query).code(rcode))).await
    }

    pub(crate) async fn with_tcp(
        says: impl Fn(&[u8]) -> Says + 'static,
        over_tcp: impl Fn(&[u8]) -> Says + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Rc::new(UdpSocket::bind(address).await.unwrap());
        let seen: Rc<RefCell<Vec<_>>> = Rc::default();
        let tcp: Rc<Cell<usize>> = Rc::default();
        let log = Rc::clone(&seen);
        spawn_local(async move {
            let mut buffer = vec![0; 65_535];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
                log.borrow_mut().push((from, buffer[..length].to_vec()));
                let (said, socket) = (says(&buffer[..length]), Rc::clone(&socket));
                spawn_local(async move {
                    for (pause, packet) in said {
                        sleep(pause).await;
                        // Who asked may be gone.
                        let _ = socket.send_to(&packet, from).await;
                    }
                });
            }
        });
        let count = Rc::clone(&tcp);
        spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.set(count.get() + 1);
                let length = stream.read_u16().await.unwrap();
                let mut query = vec![0; length.into()];
                stream.read_exact(&mut query).await.unwrap();
                for (pause, packet) in over_tcp(&query) {
                    sleep(pause).await;
                    let _ = stream.write_u16(packet.len() as u16).await;
                    let _ = stream.write_all(&packet).await;
                }
            }
        });
        Self { address, seen, tcp }
    }

    /// The packets that came over UDP so far.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.borrow().iter().map(|(_, packet)| packet.clone()).collect()
    }

    /// The ports that they came from.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.seen.borrow().iter().map(|(from, _)| from.port()).collect()
    }

    /// How many packets came over UDP.
    pub(crate) fn asked(&self) -> usize {
        self.seen.borrow().len()
    }

    /// How many connections came.
    pub(crate) fn connections(&self) -> usize {
        self.tcp.get()
    }

    pub(crate) fn server(&self) -> Server {
        Server::at(self.address)
    }
}

pub(crate) fn forwarder() -> Rc<Forwarder> {
    Forwarder::new(Limits::default())
}

/// A set of these, asked in their order.
pub(crate) fn set(upstreams: &[&Upstream]) -> Rc<UpstreamSet> {
    set_with(upstreams, Options::default())
}

pub(crate) fn set_with(upstreams: &[&Upstream], options: Options) -> Rc<UpstreamSet> {
    UpstreamSet::new(upstreams.iter().map(|upstream| upstream.server()), options, |_| false)
}

/// What the client of `query` gets.
pub(crate) async fn ask(
    forwarder: &Rc<Forwarder>,
    set: &Rc<UpstreamSet>,
    query: &Packet,
) -> packet::Read {
    read(&forwarder.resolve(set, &query.0).await)
}
