//! Clients of the control socket.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use cni::{Error, code};
use control::MOST_BYTES;

use super::now;
use crate::control::{Reply, Request};

/// How long a client may keep silent.
const SILENCE: Duration = Duration::from_secs(10);
/// A client that waits learns from the daemon that its time is over.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Peers {
    all: HashMap<u64, Peer>,
    next: u64,
}

struct Peer {
    socket: UnixStream,
    until: Duration,
}

/// What a client said.
pub(super) enum Said {
    Nothing,
    Gone,
    Request(Request),
    Nonsense(Error),
}

impl Peers {
    /// Takes clients that wait.
    pub(super) fn take(&mut self, control: &UnixListener) {
        while let Ok((socket, _)) = control.accept() {
            if socket.set_nonblocking(true).is_ok() {
                self.next += 1;
                self.all.insert(self.next, Peer { socket, until: now() + SILENCE });
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.all.iter().map(|(id, peer)| (*id, peer.socket.as_fd()))
    }

    /// When somebody's time is over.
    pub(super) fn next(&self) -> Option<Duration> {
        self.all.values().map(|peer| peer.until).min()
    }

    pub(super) fn expire(&mut self, now: Duration) {
        self.all.retain(|_, peer| peer.until > now);
    }

    /// Lets a client wait until its answer is there, at `until` at the latest.
    pub(super) fn keep(&mut self, id: u64, until: Duration) {
        if let Some(peer) = self.all.get_mut(&id) {
            peer.until = until + MARGIN;
        }
    }

    pub(super) fn hear(&mut self, id: u64) -> Said {
        let Some(peer) = self.all.get_mut(&id) else { return Said::Nothing };
        let mut buffer = vec![0; MOST_BYTES];
        match peer.socket.read(&mut buffer) {
            Ok(length) if length > 0 => match serde_json::from_slice(&buffer[..length]) {
                Ok(request) => Said::Request(request),
                Err(error) => {
                    let text = format!("dhcp daemon does not understand the request: {error}");
                    Said::Nonsense(Error::new(code::DECODE, text).with_hint(
                        "plugin and daemon are of different versions: start the daemon again",
                    ))
                }
            },
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Said::Nothing
            }
            _ => {
                self.all.remove(&id);
                Said::Gone
            }
        }
    }

    /// Answers a client, whose connection ends with that.
    pub(super) fn answer(&mut self, id: u64, reply: &Reply) {
        let Some(mut peer) = self.all.remove(&id) else { return };
        let text = serde_json::to_vec(reply).expect("it has text keys and no failing parts");
        // Whoever does not read it has gone away, and asks again or calls DEL.
        let _ = peer.socket.write(&text);
    }
}
