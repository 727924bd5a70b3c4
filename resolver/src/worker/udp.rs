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

/// Answers what arrives at `socket` until the task is aborted.
pub(super) async fn serve(shared: Rc<Shared>, entrance: Entrance, socket: Rc<UdpSocket>) {
    let mut buffer = vec![0; MOST];
    loop {
        // An error of the socket is one that some earlier reply met, or is gone with the next call.
        if socket.readable().await.is_err() {
            task::yield_now().await;
            continue;
        }
        let now = Instant::now();
        for _ in 0..TURN {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, client)) => {
                    take(&shared, &entrance, &socket, &buffer[..length], client, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        task::yield_now().await;
    }
}

fn take(
    shared: &Rc<Shared>,
    entrance: &Entrance,
    socket: &Rc<UdpSocket>,
    packet: &[u8],
    client: SocketAddr,
    now: Instant,
) {
    match shared.handle(entrance, Transport::Udp, client.ip(), packet, now) {
        Now::Nothing => {}
        Now::Reply(reply) => send(entrance, socket, &reply, client),
        Now::Ask(asking) => {
            let (shared, entrance) = (Rc::clone(shared), entrance.clone());
            let (socket, packet) = (Rc::clone(socket), packet.to_vec());
            task::spawn_local(async move {
                let reply = shared.ask(&entrance, Transport::Udp, asking, &packet).await;
                send(&entrance, &socket, &reply, client);
            });
        }
    }
}

/// A reply that the system cannot take now is lost like any datagram: the client asks again.
fn send(entrance: &Entrance, socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if socket.try_send_to(reply, client).is_err() {
        entrance.counters.lost(Lost::Unsent);
    }
}
