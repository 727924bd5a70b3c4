//! Queries on connections (RFC 7766): two bytes of length before each message, one after another.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task;
use tokio::time::timeout;

use super::shared::{Entrance, Now, Shared};
use crate::metrics::Transport;

/// How long a connection may stay without a query.
const IDLE: Duration = Duration::from_secs(10);
/// How long a query may take to arrive once it began, and a reply to be taken.
const HALF: Duration = Duration::from_secs(2);
/// How many queries a connection may carry.
const MOST_QUERIES: usize = 100;
/// Most bytes of a query.
const MOST: usize = 4096;
/// How long nothing is accepted after the system refused for want of something.
const RELIEF: Duration = Duration::from_secs(1);

/// Answers on connections to `listener` until the task is aborted; they end with it.
pub(super) async fn serve(shared: Rc<Shared>, entrance: Entrance, listener: TcpListener) {
    shared.begun.wait().await;
    let mut connections = task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    let Some(held) = shared.limits.connection(&entrance.door, client.ip()) else {
                        continue;
                    };
                    let (shared, entrance) = (Rc::clone(&shared), entrance.clone());
                    connections.spawn_local(async move {
                        let _held = held;
                        // What keeps a connection from going on is its client's affair.
                        let _ = converse(&shared, &entrance, stream, client).await;
                    });
                }
                Err(error) if is_of_connection(&error) => {}
                Err(_) => tokio::time::sleep(RELIEF).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whether an error is about the connection that would have been accepted.
fn is_of_connection(error: &io::Error) -> bool {
    !matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

async fn converse(
    shared: &Rc<Shared>,
    entrance: &Entrance,
    mut stream: TcpStream,
    client: SocketAddr,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 512];
    for _ in 0..MOST_QUERIES {
        let mut length = [0; 2];
        timeout(IDLE, stream.read_exact(&mut length[..1])).await??;
        timeout(HALF, stream.read_exact(&mut length[1..])).await??;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 || length > MOST {
            return Ok(());
        }
        buffer.resize(buffer.len().max(length), 0);
        let packet = &mut buffer[..length];
        timeout(HALF, stream.read_exact(packet)).await??;
        let Some(reply) = reply(shared, entrance, client.ip(), packet).await else {
            return Ok(());
        };
        let mut framed = Vec::with_capacity(reply.len() + 2);
        framed.extend_from_slice(&u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes());
        framed.extend_from_slice(&reply);
        timeout(HALF, stream.write_all(&framed)).await??;
    }
    Ok(())
}

async fn reply(
    shared: &Rc<Shared>,
    entrance: &Entrance,
    client: IpAddr,
    packet: &[u8],
) -> Option<Vec<u8>> {
    match shared.handle(entrance, (Transport::Tcp, client), packet, Instant::now()) {
        Now::Nothing => None,
        Now::Reply(reply) => Some(reply),
        Now::Ask(asking) => Some(shared.ask(entrance, Transport::Tcp, asking, packet).await),
    }
}
