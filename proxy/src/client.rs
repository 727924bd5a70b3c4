//! What plugins call.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::{Error, code};
use control::Channel;
use types::Attachment;

use crate::listener::Offer;
use crate::mapping::Mapping;
use crate::message::{MOST_MAPPINGS, Reply, Request, is_sayable};
use crate::{DAEMON, SOCKET, failed};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often a daemon that went away in the middle of a call is asked again. Each time another
/// client's last mapping, or a signal, would have to end it at that very moment.
const TRIES: u32 = 8;

/// How often a call starts a daemon; one that ends at once will do so again.
const STARTS: u32 = 3;

/// Name of the directory in the run directory that is the lock: who holds it may start the daemon, and end it by dropping
/// the last mapping.
const LOCK: &str = "proxy";

/// A mapping that is being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whose it is.
    pub key: Attachment,
    /// What it is.
    pub mapping: Mapping,
    /// Connections, or for UDP clients heard of within the last 90 seconds.
    pub active: u32,
}

/// The way to the daemon of one run directory. It keeps no connection.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    run_dir: &'a Path,
    socket: PathBuf,
    plugin_path: &'a [PathBuf],
    patience: Duration,
}

impl<'a> Client<'a> {
    /// For the daemon of `run_dir`, which is `/run/cais` but in tests and labs. Its program is
    /// looked for beside the caller's own, then in `plugin_path`, the directories of `CNI_PATH`.
    #[must_use]
    pub fn new(run_dir: &'a Path, plugin_path: &'a [PathBuf]) -> Self {
        Self { run_dir, socket: run_dir.join(SOCKET), plugin_path, patience: DEADLINE }
    }

    /// The same with another time for each call than ten seconds.
    #[must_use]
    pub fn with_deadline(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Serves `offers` for `key` and nothing else: what it had before is dropped. All or none are
    /// served when this returns, by a daemon that is started if there is none, and our own copies of
    /// the sockets are closed. To be called in the network namespace that they were made in.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 50 when the program is missing or of
    /// another version; code 5 with what the system said; code 100 when the daemon is full.
    pub fn serve(&self, key: &Attachment, offers: Vec<Offer>) -> Result<(), Error> {
        if offers.is_empty() {
            return self.drop(key);
        }
        let served = self.try_serve(key, &offers);
        // A copy that stays open would listen when the daemon does not any more.
        drop(offers);
        served.map_err(|error| error.in_step(format!("publish ports of {key}")))
    }

    fn try_serve(&self, key: &Attachment, offers: &[Offer]) -> Result<(), Error> {
        let until = Instant::now() + self.patience;
        let _lock = self.lock(until)?;
        let mut starts = 0;
        for _ in 0..TRIES {
            match DAEMON.connect(&self.socket, until)? {
                Some(channel) => {
                    if hand_over(&channel, key, offers)?.is_some() {
                        return Ok(());
                    }
                }
                None if starts == STARTS => break,
                None => {
                    starts += 1;
                    DAEMON.start(&self.socket, self.plugin_path, until)?;
                }
            }
        }
        let text = "cais-proxy ends as soon as it is asked something";
        Err(Error::new(code::IO, text)
            .with_hint("run `cais-proxy` by hand to see whether it is made for this machine"))
    }

    /// Serves nothing for `key` any more: its listeners and connections are closed when this
    /// returns. Nothing there is success.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 5 with what the system said.
    pub fn drop(&self, key: &Attachment) -> Result<(), Error> {
        self.try_drop(key).map_err(|error| error.in_step(format!("unpublish ports of {key}")))
    }

    fn try_drop(&self, key: &Attachment) -> Result<(), Error> {
        let until = Instant::now() + self.patience;
        // Most hosts have no daemon, and need no lock to know that.
        if DAEMON.connect(&self.socket, until)?.is_none() {
            return self.sweep(until);
        }
        if !is_sayable(key) {
            return Ok(());
        }
        let _lock = self.lock(until)?;
        for _ in 0..TRIES {
            let Some(channel) = DAEMON.connect(&self.socket, until)? else { return Ok(()) };
            if let Some(reply) = ask(&channel, &Request::Drop { key: key.clone() }, &[])? {
                return done(reply);
            }
        }
        Err(DAEMON.unanswered(&self.socket))
    }

    /// Drops all keys that are dead, and removes what killed calls left.
    ///
    /// # Errors
    /// As [`Client::drop`].
    pub fn drop_all(&self, is_dead: impl Fn(&Attachment) -> bool) -> Result<(), Error> {
        let Some((_, served)) = self.list()? else {
            return self.sweep(Instant::now() + self.patience);
        };
        let mut dead: Vec<Attachment> = Vec::new();
        for key in served.into_iter().map(|served| served.key) {
            if is_dead(&key) && !dead.contains(&key) {
                dead.push(key);
            }
        }
        dead.iter().try_for_each(|key| self.drop(key))
    }

    /// Removes the sockets that a killed call or daemon left.
    fn sweep(&self, until: Instant) -> Result<(), Error> {
        let unfinished = control::unfinished(&self.socket);
        if !unfinished.exists() && !self.socket.exists() {
            return Ok(());
        }
        let _lock = self.lock(until)?;
        if DAEMON.connect(&self.socket, until)?.is_some() {
            return Ok(()); // somebody has started one meanwhile
        }
        for path in [&unfinished, &self.socket] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(format!("remove {}", path.display()), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What is served for all keys, with the daemon's process id; `None` when there is no daemon.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 50 when the daemon is of another version;
    /// code 5 with what the system said.
    pub fn list(&self) -> Result<Option<(u32, Vec<Served>)>, Error> {
        let until = Instant::now() + self.patience;
        for _ in 0..TRIES {
            let Some(channel) = DAEMON.connect(&self.socket, until)? else { return Ok(None) };
            if let Some(listed) = hear_list(&channel)? {
                return Ok(Some(listed));
            }
        }
        Err(DAEMON.unanswered(&self.socket))
    }

    /// Takes the lock until the file is dropped.
    fn lock(&self, until: Instant) -> Result<File, Error> {
        control::lock(&self.run_dir.join(LOCK), until, "publish ports")
    }
}

/// Says `request` and hears the first reply; `None` when the daemon ended meanwhile.
fn ask(
    channel: &Channel<'_>,
    request: &Request,
    sockets: &[BorrowedFd<'_>],
) -> Result<Option<Reply>, Error> {
    let reply = channel.ask(&request.encode(), sockets)?;
    reply.map(|bytes| Reply::parse(&bytes)).transpose()
}

/// Hands all offers over, in as many messages as it takes. `None` when the daemon ended meanwhile.
fn hand_over(
    channel: &Channel<'_>,
    key: &Attachment,
    offers: &[Offer],
) -> Result<Option<()>, Error> {
    for (number, part) in offers.chunks(MOST_MAPPINGS).enumerate() {
        let mappings = part.iter().map(Offer::mapping).collect();
        let request = Request::Serve { key: key.clone(), replace: number == 0, mappings };
        let sockets: Vec<_> = part.iter().map(Offer::socket).collect();
        let Some(reply) = ask(channel, &request, &sockets)? else { return Ok(None) };
        if let Err(error) = done(reply) {
            // All or none. The error at hand says more than one of taking it back would.
            let _ = ask(channel, &Request::Drop { key: key.clone() }, &[]);
            return Err(error);
        }
    }
    Ok(Some(()))
}

fn hear_list(channel: &Channel<'_>) -> Result<Option<(u32, Vec<Served>)>, Error> {
    let mut all = Vec::new();
    let mut reply = ask(channel, &Request::List, &[])?;
    loop {
        match reply {
            None => return Ok(None),
            Some(Reply::Serving { pid, served, more }) => {
                all.extend(served);
                if !more {
                    return Ok(Some((pid, all)));
                }
            }
            Some(other) => {
                done(other)?;
                return Err(Error::new(code::DECODE, "cais-proxy answered something else"));
            }
        }
        reply = channel.hear()?.map(|bytes| Reply::parse(&bytes)).transpose()?;
    }
}

fn done(reply: Reply) -> Result<(), Error> {
    match reply {
        Reply::Refused(error) => Err(error),
        Reply::Done | Reply::Serving { .. } => Ok(()),
    }
}
