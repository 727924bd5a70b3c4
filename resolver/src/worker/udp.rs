//! Queries in datagrams.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::task;

use super::shared::{Entrance, Now, Shared};
use crate::metrics::{Lost, Transport};

/// Most bytes of a query that is read: more than any resolver sends.
const MOST: usize = 4096;

/// How many queries are taken from one socket before others have their turn.
const TURN: usize = 64;

/// A socket with what is behind it.
struct Socket {
    shared: Rc<Shared>,
    entrance: Entrance,
    socket: UdpSocket,
}

/// Answers what arrives at `socket` until the task is aborted.
pub(super) async fn serve(shared: Rc<Shared>, entrance: Entrance, socket: UdpSocket) {
    let socket = Rc::new(Socket { shared, entrance, socket });
    let mut buffer = vec![0; MOST];
    loop {
        // An error is one that some earlier reply met, and gone with the next call.
        if socket.socket.readable().await.is_ok() {
            socket.take_some(&mut buffer);
        }
        task::yield_now().await;
    }
}

impl Socket {
    fn take_some(self: &Rc<Self>, buffer: &mut [u8]) {
        let now = Instant::now();
        for _ in 0..TURN {
            match self.socket.try_recv_from(buffer) {
                Ok((length, client)) => self.take(&buffer[..length], client, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn take(self: &Rc<Self>, packet: &[u8], client: SocketAddr, now: Instant) {
        let from = (Transport::Udp, client.ip());
        match self.shared.handle(&self.entrance, from, packet, now) {
            Now::Nothing => {}
            Now::Reply(reply) => self.send(&reply, client),
            Now::Ask(asking) => {
                let (socket, packet) = (Rc::clone(self), packet.to_vec());
                task::spawn_local(async move {
                    let Socket { shared, entrance, .. } = &*socket;
                    let reply = shared.ask(entrance, Transport::Udp, asking, &packet).await;
                    socket.send(&reply, client);
                });
            }
        }
    }

    /// A reply that the system cannot take now is lost like any datagram: the client asks again.
    fn send(&self, reply: &[u8], client: SocketAddr) {
        if self.socket.try_send_to(reply, client).is_err() {
            self.entrance.counters.lost(Lost::Unsent);
        }
    }
}
