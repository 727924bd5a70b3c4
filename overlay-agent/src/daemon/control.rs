//! The control socket: who may ask, and what is done about it.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener as StdListener;
use std::rc::Rc;
use std::time::Duration;

use ::control::MOST_BYTES;
use cni::{Error, code};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt};
use peers::message::{Reply, Request};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use types::NetworkName;

use super::Daemon;
use super::network::Active;
use crate::settings::create;

/// How long a client may keep us waiting for its next word, or for reading ours.
const SILENCE: Duration = Duration::from_secs(30);
/// Most clients at once; more wait in the socket.
const MOST: usize = 64;
/// How long nobody is accepted after the system refused for want of something.
const RELIEF: Duration = Duration::from_secs(1);
/// How long one is kept waiting for a network. Plugins give up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Hears all clients, until it is not waited for any more.
pub(super) async fn serve(daemon: Rc<Daemon>, listener: StdListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < MOST => match accepted {
                Ok((socket, _)) => {
                    let daemon = Rc::clone(&daemon);
                    clients.spawn_local(async move {
                        // What keeps it from going on is the client's affair.
                        let _ = converse(&daemon, &socket).await;
                    });
                }
                Err(_) => sleep(RELIEF).await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn converse(daemon: &Rc<Daemon>, client: &UnixStream) -> io::Result<()> {
    let peer = getsockopt(client, sockopt::PeerCredentials)?;
    let own = nix::unistd::geteuid().as_raw();
    let allowed = peer.uid() == 0 || peer.uid() == own;
    while let Some(message) = timeout(SILENCE, receive(client)).await?? {
        let replies = match allowed {
            true => answer(daemon, &message).await,
            false => Err(Error::new(code::IO, "only root may tell cais-overlayd what to do")),
        };
        let replies = replies.unwrap_or_else(|error| {
            let hint = error.hint().map(str::to_owned);
            vec![Reply::Refused { code: error.code, hint, text: error.msg }]
        });
        for reply in replies {
            timeout(SILENCE, say(client, &reply.encode())).await??;
        }
    }
    Ok(())
}

/// The next message; `None` at the end.
pub(super) async fn receive(client: &UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; MOST_BYTES];
    loop {
        client.readable().await?;
        let read = || Ok(recv(client.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?);
        match client.try_io(Interest::READABLE, read) {
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
            Ok(0) => return Ok(None),
            Ok(length) => {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
        }
    }
}

pub(super) async fn say(client: &UnixStream, message: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    loop {
        client.writable().await?;
        let sent = client.try_io(Interest::WRITABLE, || {
            send(client.as_raw_fd(), message, flags).map_err(|error: Errno| error.into())
        });
        match sent {
            Err(error) if is_passing(&error) => {}
            sent => return sent.map(drop),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

async fn answer(daemon: &Rc<Daemon>, bytes: &[u8]) -> Result<Vec<Reply>, Error> {
    let request = Request::parse(bytes)
        .map_err(|error| Error::new(code::DECODE, format!("read the request: {error}")))?;
    let done = match request {
        Request::Ensure { network, store, create } => {
            let store = store.as_ref().map(|store| store.get());
            ensure(daemon, network, store, create.as_ref().map(|create| create.get())).await?
        }
        Request::More { network } => more(daemon, &network).await?,
        Request::Status => return Ok(Reply::texts(&daemon.status().to_string(), MOST_BYTES)),
        Request::Admin(admin) => {
            let said = daemon.administrate(admin).await?;
            return Ok(Reply::texts(&said.to_string(), MOST_BYTES));
        }
        Request::Reload => {
            let done = daemon.done.notified();
            daemon.want_whole_round();
            done.await;
            Reply::Done
        }
        Request::Leave => leave(daemon).await?,
    };
    Ok(vec![done])
}

/// Takes part in a network, and answers when containers can be added to it.
async fn ensure(
    daemon: &Rc<Daemon>,
    network: NetworkName,
    store: Option<&str>,
    wanted: Option<&str>,
) -> Result<Reply, Error> {
    let wanted = wanted.map(|text| create(&network, text)).transpose();
    let wanted = wanted.map_err(|why| Error::new(code::INVALID_CONFIG, why.to_string()))?;
    let followed = daemon.store_for(store)?;
    {
        let mut all = daemon.active.borrow_mut();
        let active = all.entry(network.clone()).or_default();
        if wanted.is_some() {
            active.create = wanted;
        }
        active.asked = Some(std::time::Instant::now());
        // Whoever asks again may have mended what was in the way.
        active.refused = None;
    }
    daemon.follow_active();
    drop(followed);
    await_network(daemon, &network, Active::is_ready).await
}

/// Gets another block of each family.
async fn more(daemon: &Rc<Daemon>, network: &NetworkName) -> Result<Reply, Error> {
    let before = {
        let mut all = daemon.active.borrow_mut();
        let active = all.get_mut(network).ok_or_else(|| {
            let text = format!("get more addresses: this host takes no part in network {network}");
            Error::new(code::NOT_AVAILABLE, text)
        })?;
        active.refused = None;
        let pools = active.node.iter().flat_map(|node| &node.pools);
        active.more = pools.map(|pool| pool.family()).collect();
        active.node.as_ref().map_or(0, |node| node.blocks.len())
    };
    await_network(daemon, network, |active| {
        active.node.as_ref().is_some_and(|node| node.blocks.len() > before)
    })
    .await
}

/// Waits until `is_there`, as long as there is hope.
async fn await_network(
    daemon: &Rc<Daemon>,
    network: &NetworkName,
    is_there: impl Fn(&Active) -> bool,
) -> Result<Reply, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let done = daemon.done.notified();
        if let Some(active) = daemon.active.borrow_mut().get_mut(network) {
            active.settled = false;
        }
        daemon.want_round();
        let over = timeout_at(until, done).await.is_err();
        if let Some(answer) = verdict(daemon, network, over, &is_there) {
            return answer;
        }
        // What is awaited makes a round by itself; one is made now and then besides.
        let _ = timeout_at(until.min(Instant::now() + RELIEF), daemon.done.notified()).await;
    }
}

/// What a client that waits for a network is answered; `None` while there is hope.
fn verdict(
    daemon: &Daemon,
    network: &NetworkName,
    over: bool,
    is_there: impl Fn(&Active) -> bool,
) -> Option<Result<Reply, Error>> {
    let all = daemon.active.borrow();
    let Some(active) = all.get(network) else {
        let text = format!("wait for network {network}: this host takes no part in it");
        return Some(Err(Error::new(code::TRY_AGAIN, text)));
    };
    if is_there(active) {
        return Some(Ok(Reply::Done));
    }
    let waits = active.creating || !active.claiming.is_empty();
    if let Some((refused, _)) = active.refused.as_ref().filter(|_| !waits) {
        return Some(Err(refused.clone()));
    }
    let problem = active.why_not(network);
    let denied = active.node.as_ref().is_some_and(|node| node.denied.is_some());
    let is_final = over || denied || (problem.code != code::TRY_AGAIN && !waits);
    is_final.then_some(Err(problem))
}

/// Takes this host out of the store.
async fn leave(daemon: &Rc<Daemon>) -> Result<Reply, Error> {
    let followed = daemon.followed.borrow().clone();
    let followed = followed.ok_or_else(|| {
        Error::new(code::NOT_AVAILABLE, "leave the store: this host follows none")
    })?;
    // From here on nothing is claimed, and nobody gets an address that others may have by then.
    daemon.leaving.set(true);
    daemon.deny_all(&Error::new(code::INVALID_CONFIG, "this host has left the store"));
    let left = followed.store.leave().await;
    daemon.leaving.set(left.is_ok());
    left.map_err(|error| super::claims::of_store(&error))?;
    Ok(Reply::Done)
}
