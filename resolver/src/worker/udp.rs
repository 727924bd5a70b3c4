//! Queries in datagrams.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Instant;

use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrStorage, recvmmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task;

use super::shared::{Entrance, Now, Shared};
use crate::metrics::{Lost, Transport};
use crate::pipeline::Door;
use crate::wire::give_back;

/// Most bytes of a query that is read: more than any resolver sends.
const MOST: usize = 4096;

/// How many queries one call reads. What it leaves unused says that no more were waiting, so that a
/// query that comes alone costs no second call to learn that.
const AT_ONCE: usize = 8;

/// How many such calls are made for one socket before others have their turn.
const TURN: usize = 8;

/// A socket whose datagrams are waited for.
pub(super) type Watched = AsyncFd<UdpSocket>;

/// Room for what one call reads.
struct Room {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; MOST]; AT_ONCE]>,
}

/// A socket with what is behind it.
struct Socket {
    shared: Rc<Shared>,
    entrance: Entrance,
    socket: Watched,
}

/// Answers what arrives at `socket` until the task is aborted.
pub(super) async fn serve(shared: Rc<Shared>, entrance: Entrance, socket: Watched) {
    shared.begun.wait().await;
    let socket = Rc::new(Socket { shared, entrance, socket });
    let mut room = Room::new();
    loop {
        // Only the end of the runtime is an error.
        let Ok(mut ready) = socket.socket.readable().await else { return };
        if socket.take_some(&mut room) {
            task::yield_now().await;
        } else {
            ready.clear_ready();
        }
    }
}

/// Watches a socket for what arrives, and for nothing else: a socket that is watched for room to send
/// as well, as tokio's own are, wakes the process once more for each reply that has left.
///
/// # Errors
/// When the system refuses.
#[expect(deprecated, reason = "its successor is unsafe, for what has no descriptor of its own")]
pub(super) fn watch(socket: UdpSocket) -> io::Result<Watched> {
    socket.set_nonblocking(true)?;
    AsyncFd::with_interest(socket, Interest::READABLE)
}

impl Room {
    fn new() -> Self {
        let headers = MultiHeaders::preallocate(AT_ONCE, None);
        Self { headers, buffers: Box::new([[0; MOST]; AT_ONCE]) }
    }

    /// Gives `take` what waits at `socket`, with whom it is from, and says how many packets there
    /// were: no more were waiting if they leave room.
    fn receive(
        &mut self,
        socket: &UdpSocket,
        mut take: impl FnMut(&[u8], SocketAddr),
    ) -> io::Result<usize> {
        let mut parts = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let (headers, flags) = (&mut self.headers, MsgFlags::empty());
        let received = recvmmsg(socket.as_raw_fd(), headers, &mut parts, flags, None)?;
        let mut count = 0;
        for message in received {
            count += 1;
            if let (Some(client), Some(packet)) =
                (message.address.and_then(socket_address), message.iovs().next())
            {
                take(packet, client);
            }
        }
        Ok(count)
    }
}

fn socket_address(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddrV4::from(*address).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddrV6::from(*address).into()))
}

impl Socket {
    /// Whether more may be waiting.
    fn take_some(self: &Rc<Self>, room: &mut Room) -> bool {
        let now = Instant::now();
        for _ in 0..TURN {
            let take = |packet: &[u8], client| self.take(packet, client, now);
            match room.receive(self.socket.get_ref(), take) {
                Ok(AT_ONCE) => {}
                Ok(_) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // It is one that some earlier reply met, and gone with the next call.
                Err(_) => {}
            }
        }
        true
    }

    fn take(self: &Rc<Self>, packet: &[u8], client: SocketAddr, now: Instant) {
        let from = (Transport::Udp, client.ip());
        match self.shared.handle(&self.entrance, from, packet, now) {
            Now::Nothing => {}
            Now::Reply(reply) => {
                self.send(&reply, client);
                give_back(reply);
            }
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
        let sent = match (&self.entrance.door, client) {
            (Door::Container(_), SocketAddr::V4(client)) => self.send_from_within(reply, client),
            _ => self.socket.get_ref().send_to(reply, client).map(drop),
        };
        if sent.is_err() {
            self.entrance.counters.lost(Lost::Unsent);
        }
    }

    /// A socket that was bound while `lo` was down, as it is when most runtimes attach a container,
    /// has its address for receiving only: each reply says where it is from.
    fn send_from_within(&self, reply: &[u8], client: SocketAddrV4) -> io::Result<()> {
        let from = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(names::ADDRESS.octets()) },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let (parts, told) = ([IoSlice::new(reply)], [ControlMessage::Ipv4PacketInfo(&from)]);
        let to = SockaddrIn::from(client);
        let socket = self.socket.as_raw_fd();
        sendmsg(socket, &parts, &told, MsgFlags::MSG_NOSIGNAL, Some(&to))?;
        Ok(())
    }
}
