//! The control socket: who may ask, and what is done about it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cni::{Error, code};
use names::{Place, Record, Reply, Request, Topic, texts};
use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use types::Attachment;

use super::Worker;
use super::packets::{Message, Packets};
use crate::link::ToKeeper;

/// How long a client may keep us waiting for its next word, or for reading ours.
const SILENCE: Duration = Duration::from_secs(5);

/// Most clients at once; more wait in the socket.
const MOST: usize = 64;

/// How long nobody is accepted after the system refused for want of something.
const RELIEF: Duration = Duration::from_secs(1);

/// Hears all clients, until it is not waited for any more.
pub(super) async fn serve(worker: Rc<Worker>, listener: net::UnixListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < MOST => match accepted {
                Ok((socket, _)) => {
                    let worker = Rc::clone(&worker);
                    clients.spawn_local(async move {
                        // What keeps it from going on is the client's affair.
                        let _ = converse(&worker, Packets::accepted(socket)).await;
                    });
                }
                Err(_) => sleep(RELIEF).await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn converse(worker: &Worker, client: Packets) -> io::Result<()> {
    let allowed = getsockopt(client.socket(), sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == worker.owner);
    let mut put = None;
    while let Some(message) = timeout(SILENCE, client.receive()).await?? {
        let replies = if allowed {
            answer(worker, &mut put, message)
                .await
                .unwrap_or_else(|error| vec![Reply::Refused(error)])
        } else {
            let text = "only root, and whoever started cais-dnsd, may tell it what to do";
            vec![Reply::Refused(Error::new(code::IO, text))]
        };
        for reply in replies {
            timeout(SILENCE, client.send(&reply.encode(), &[])).await??;
        }
    }
    Ok(())
}

/// Does what a client asks for. `put` is the record that it put last, at whose places it may listen.
async fn answer(
    worker: &Worker,
    put: &mut Option<Box<Record>>,
    (bytes, sockets): Message,
) -> Result<Vec<Reply>, Error> {
    match Request::parse(&bytes)? {
        Request::Put(record) => {
            worker.put(&record, Instant::now());
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let ports = worker.answering.doors.ports(&record);
            *put = Some(record);
            Ok(vec![Reply::Ports { ports, version }])
        }
        Request::Listen { key, place, port } => {
            let of = put.as_ref().filter(|record| record.key == key);
            listen(worker, &key, of.and_then(|record| record.places.get(place)), port, sockets)
                .await?;
            Ok(vec![Reply::Done])
        }
        Request::Drop(key) => {
            let dropped = worker.drop(&key, Instant::now()).await;
            let failed = |error| Error::new(code::IO, format!("close listeners of {key}: {error}"));
            dropped.map(|()| vec![Reply::Done]).map_err(failed)
        }
        Request::Elsewhere { network, host } => {
            let looked = worker.say(&ToKeeper::Look(network, host)).await;
            let failed = |error| Error::new(code::IO, format!("look at names elsewhere: {error}"));
            looked.map(|()| vec![Reply::Done]).map_err(failed)
        }
        Request::Resolve(question) => Ok(texts(&worker.resolve(&question).await?)),
        Request::About(topic) => about(worker, topic).await,
    }
}

async fn about(worker: &Worker, topic: Topic) -> Result<Vec<Reply>, Error> {
    match topic {
        Topic::Status => Ok(texts(&worker.status())),
        Topic::Dump => Ok(texts(&worker.dump())),
        Topic::Metrics => Ok(texts(&worker.metrics())),
        Topic::Flush => {
            worker.answering.shared.others.forwarder().flush();
            Ok(vec![Reply::Done])
        }
        Topic::Reload => worker.reload().await.map(|()| vec![Reply::Done]),
        Topic::Upgrade => worker.upgrade().await.map(|()| vec![Reply::Done]),
    }
}

async fn listen(
    worker: &Worker,
    key: &Attachment,
    place: Option<&Place>,
    port: u16,
    sockets: Vec<OwnedFd>,
) -> Result<(), Error> {
    let refused =
        |why: &str| Error::new(code::INVALID_CONFIG, format!("listen for names of {key}: {why}"));
    let place = place.ok_or_else(|| refused("such a place was not put before"))?.at_port(port);
    let sockets: [OwnedFd; 2] =
        sockets.try_into().map_err(|_| refused("two sockets have to come with the message"))?;
    worker.open(key, &place, sockets).await.map_err(|error| refused(&error.to_string()))
}
