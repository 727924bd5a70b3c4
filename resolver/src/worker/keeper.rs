//! The way to the keeper.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use cni::{Error, code};
use peers::{Elsewhere, HostId};
use tokio::sync::Notify;
use tokio::time::timeout;
use types::{Attachment, NetworkName};

use super::Worker;
use super::packets::Packets;
use crate::link::{ToKeeper, ToWorker};

/// How long the keeper may take to say again what is remembered.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to the keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    packets: Packets,
    /// All that is remembered was said again.
    complete: Notify,
}

impl Keeper {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        Ok(Self { packets: Packets::new(socket)?, complete: Notify::new() })
    }

    pub(super) async fn say(&self, message: &ToKeeper, sockets: &[OwnedFd]) -> io::Result<()> {
        self.packets.send(&message.encode(), sockets).await
    }
}

/// What the keeper said of what is remembered, up to now.
#[derive(Debug, Default)]
pub(super) struct Told {
    known: HashSet<Attachment>,
    /// What could not be read.
    broken: Vec<String>,
    /// Other hosts, by network.
    elsewhere: HashSet<(NetworkName, HostId)>,
    /// What was said in parts up to now.
    part: Option<Elsewhere>,
}

impl Told {
    /// Whether an attachment is remembered, be it in a file that cannot be read: what was known of it
    /// is all that there is.
    fn has(&self, key: &Attachment) -> bool {
        let file = format!("/{}/{}@{}:", key.network, key.container, key.ifname);
        self.known.contains(key) || self.broken.iter().any(|text| text.contains(&file))
    }

    /// `names` with what was said of the same host right before.
    fn joined(&mut self, names: Elsewhere) -> Elsewhere {
        match self.part.take() {
            Some(mut part) if part.host == names.host && part.network == names.network => {
                part.endpoints.extend(names.endpoints);
                part
            }
            _ => names,
        }
    }
}

impl Worker {
    /// Hears all that the keeper knows, up to its end.
    pub(super) async fn hear_all(&self) -> io::Result<()> {
        let mut told = Told::default();
        while !self.hear_one(&mut told).await? {}
        Ok(())
    }

    /// Hears what the keeper says later on. Its end is ours.
    pub(super) async fn hear_keeper(&self) -> io::Result<()> {
        let mut told = Told::default();
        loop {
            if self.hear_one(&mut told).await? {
                self.answering.shared.reloads.set(self.answering.shared.reloads.get() + 1);
                self.keeper.complete.notify_waiters();
            }
        }
    }

    /// Does what the next message says. Whether all that is remembered was said with it.
    async fn hear_one(&self, told: &mut Told) -> io::Result<bool> {
        let Some((bytes, sockets)) = self.keeper.packets.receive().await? else {
            return Err(io::Error::other("the keeper is gone"));
        };
        match ToWorker::parse(&bytes).map_err(io::Error::other)? {
            ToWorker::Listen(listener) => {
                // Sockets that cannot be used any more are as none: the next ADD makes others.
                if let Ok(sockets) = sockets.try_into() {
                    let _ = self.answering.doors.open(listener, sockets);
                }
            }
            ToWorker::Know(record) => {
                told.known.insert(record.key.clone());
                self.put(&record, Instant::now());
            }
            ToWorker::Elsewhere { names, more } => {
                let whole = told.joined(*names);
                match more {
                    true => told.part = Some(whole),
                    false => {
                        told.elsewhere.insert((whole.network.clone(), whole.host.clone()));
                        self.answering.elsewhere(&whole, Instant::now());
                    }
                }
            }
            ToWorker::Broken(text) => {
                eprintln!("cais-dnsd: {text}");
                // Told at once, and until all is said again.
                self.broken.borrow_mut().push(text.clone());
                told.broken.push(text);
            }
            ToWorker::Drop(key) => self.drop(&key, Instant::now()).await?,
            ToWorker::Complete => {
                let told = std::mem::take(told);
                self.keep_only(|key| told.has(key)).await?;
                self.answering.keep_elsewhere(&told.elsewhere, Instant::now());
                *self.broken.borrow_mut() = told.broken;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the keeper say again what is remembered; done when this returns.
    pub(super) async fn reload(&self) -> Result<(), Error> {
        let lost = |error: &dyn std::fmt::Display| {
            Error::new(code::IO, format!("read all records again: {error}"))
        };
        let complete = self.keeper.complete.notified();
        self.say(&ToKeeper::Reload).await.map_err(|error| lost(&error))?;
        self.answering.settle_host();
        timeout(PATIENCE, complete).await.map_err(|error| lost(&error))
    }

    /// Lets the keeper start the program that is installed now.
    pub(super) async fn upgrade(&self) -> Result<(), Error> {
        self.say(&ToKeeper::Upgrade).await.map_err(|error| {
            Error::new(code::IO, format!("start the program that is installed now: {error}"))
        })
    }
}
