//! The process that keeps leases: one thread around poll(2), whatever the number of leases.
//!
//! The files of the [`Store`] are the truth. It may be killed at any time, and what it knows beside
//! them is who waits for an answer and who talks to a server at the moment.

mod flags;
mod held;
mod listen;
mod peers;

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::time::Duration;

use cni::{AddResult, Error, code};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::time::{ClockId, clock_gettime};
use types::Attachment;

use crate::control::{Add, Reply, Request};
use crate::exchange::{Exchange, Heard};
use crate::lease::Lease;
use crate::place::{Place, release};
use crate::store::{Entry, Store, What};
use crate::{forget_files, lib_dir, no_mask, xid};
use flags::Flags;
use held::{Held, Next, Talk};
use listen::Listening;
use peers::Peers;

/// Runs the daemon where this program was called with `daemon`; `None` where it was not.
#[must_use]
pub fn run_daemon_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    // With this variable it is a runtime that calls.
    if std::env::var_os("CNI_COMMAND").is_some_and(|verb| !verb.is_empty()) {
        return None;
    }
    if arguments.next()? != "daemon" {
        return None;
    }
    let arguments: Vec<String> = arguments.collect();
    if arguments.iter().any(|flag| matches!(flag.as_str(), "-h" | "-help" | "--help")) {
        println!("{}", flags::USAGE);
        return Some(ExitCode::SUCCESS);
    }
    let flags = match Flags::parse(&arguments) {
        Ok(flags) => flags,
        Err(error) => {
            eprintln!("{error}\n\n{}", flags::USAGE);
            return Some(ExitCode::from(2));
        }
    };
    Some(match serve(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dhcp daemon: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Serves until it is told to end.
fn serve(flags: Flags) -> Result<(), Error> {
    let failed = |step: &str, error: Errno| Error::new(code::IO, format!("{step}: {error}"));
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGINT);
    ends.add(Signal::SIGTERM);
    ends.thread_block().map_err(|error| failed("block signals", error))?;
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|error| failed("wait for signals", error))?;
    let listening = Listening::begin(&flags)?;
    let mut daemon = Daemon::begin(flags, &listening.socket)?;
    let ended = daemon.run(&listening.socket, &signals);
    // Leases stay with their containers, which live on.
    listening.end();
    ended.map_err(|error| failed("wait for events", error))
}

/// Everything that the process knows.
struct Daemon {
    flags: Flags,
    store: Store,
    held: HashMap<Attachment, Held>,
    peers: Peers,
}

/// Where something happened.
enum Source {
    End,
    Control,
    Peer(u64),
    Talk(Attachment),
}

impl Daemon {
    fn begin(flags: Flags, control: &UnixListener) -> Result<Self, Error> {
        let dir = lib_dir(&flags.host_prefix);
        let failed =
            |step: &str, error: std::io::Error| Error::new(code::IO, format!("{step}: {error}"));
        control.set_nonblocking(true).map_err(|error| failed("take the control socket", error))?;
        let store = Store::under(&dir);
        let entries = store.all().map_err(|error| failed("read the leases", error))?;
        let mut held = HashMap::new();
        let boot = cni::record::boot_id().map_err(|error| failed("read the boot's id", error))?;
        for entry in entries {
            // Its link is gone with the boot before; its server takes it back in time.
            if entry.what.boot != boot {
                let _ = store.remove(&entry.key);
                continue;
            }
            let due = Some(entry.what.lease.as_ref().map_or(Duration::ZERO, Lease::renew_at));
            held.insert(entry.key.clone(), Held { entry, talk: None, waiting: None, due });
        }
        Ok(Self { flags, store, held, peers: Peers::default() })
    }

    fn run(&mut self, control: &UnixListener, signals: &SignalFd) -> Result<(), Errno> {
        loop {
            for source in self.wait(control, signals)? {
                match source {
                    Source::End => return Ok(()),
                    Source::Control => self.peers.take(control),
                    Source::Peer(id) => self.hear_peer(id),
                    Source::Talk(key) => self.hear_server(&key),
                }
            }
            self.peers.expire(now());
            let due = |held: &Held| held.next().is_some_and(|at| at <= now());
            let keys = self.held.iter().filter(|(_, held)| due(held)).map(|(key, _)| key.clone());
            for key in keys.collect::<Vec<_>>() {
                self.act(&key);
            }
        }
    }

    /// Waits until something happens or is due.
    fn wait(&self, control: &UnixListener, signals: &SignalFd) -> Result<Vec<Source>, Errno> {
        let mut sources = vec![(Source::End, signals.as_fd()), (Source::Control, control.as_fd())];
        let peers = self.peers.all().map(|(id, socket)| (Source::Peer(id), socket));
        sources.extend(peers);
        let talks = self.held.iter().filter_map(|(key, held)| {
            Some((Source::Talk(key.clone()), held.talk.as_ref()?.place.as_fd()))
        });
        sources.extend(talks);
        let fds = sources.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN));
        let mut fds: Vec<PollFd<'_>> = fds.collect();
        let next = self.held.values().filter_map(Held::next).chain(self.peers.next()).min();
        let left = next.map(|at| at.saturating_sub(now()));
        match poll(&mut fds, left.map_or(PollTimeout::NONE, milliseconds)) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            polled => polled?,
        };
        let happened: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let sources = sources.into_iter().zip(happened);
        Ok(sources.filter(|(_, happened)| *happened).map(|((source, _), _)| source).collect())
    }

    fn hear_peer(&mut self, id: u64) {
        let reply = match self.peers.hear(id) {
            peers::Said::Nothing => return,
            peers::Said::Gone => return self.abandon(id),
            peers::Said::Request(request) => self.obey(id, request),
            peers::Said::Nonsense(error) => Err(error),
        };
        match reply {
            Ok(None) => {}
            Ok(Some(reply)) => self.peers.answer(id, &reply),
            Err(error) => self.peers.answer(id, &error.into()),
        }
    }

    /// The answer, if there is one at once.
    fn obey(&mut self, peer: u64, request: Request) -> Result<Option<Reply>, Error> {
        match request {
            Request::Add(add) => self.add(peer, add),
            Request::Check { key } => {
                let Some(held) = self.held.get(&key.attachment()?) else {
                    return Ok(Some(Reply::Nothing));
                };
                match held.valid_lease(now()) {
                    Some(lease) => Ok(Some(Reply::Lease { lease: Box::new(lease.clone()) })),
                    None => {
                        let text = format!("dhcp: the lease of {} has ended", held.entry.key);
                        Err(Error::new(code::DIFFERS, text)
                            .with_hint("no server gave it more time; another one is looked for"))
                    }
                }
            }
            Request::Del { key } => {
                let key = key.attachment()?;
                if let Some(held) = self.held.remove(&key) {
                    self.refuse(held.waiting, &Error::new(code::TRY_AGAIN, DELETED));
                }
                let prefix = self.flags.host_prefix.clone();
                let unreleased = forget_files(&self.store, &key, &prefix)?;
                Ok(Some(Reply::Forgotten { unreleased }))
            }
        }
    }

    fn add(&mut self, peer: u64, add: Add) -> Result<Option<Reply>, Error> {
        let now = now();
        let key = add.key.attachment()?;
        let place = Place::open(&self.reached(&add.netns), &key.ifname)?;
        let mut wanted = add.wanted;
        if let Some(held) = self.held.get(&key) {
            if held.waiting.is_some() {
                let text = format!("dhcp: another call looks for a lease of {key} already");
                return Err(Error::new(code::TRY_AGAIN, text));
            }
            let what = &held.entry.what;
            if let Some(lease) = held.valid_lease(now) {
                if what.netns_id() == place.netns_id && what.mac == place.mac.bytes() {
                    return Ok(Some(Reply::Lease { lease: Box::new(lease.clone()) }));
                }
                wanted = wanted.or(Some(lease.address));
            }
        }
        let entry = Entry {
            key: key.clone(),
            what: What {
                netns: add.netns,
                inode: place.netns_id.inode,
                boot: place.netns_id.boot.clone(),
                mac: place.mac.bytes(),
                mtu: place.link.mtu,
                priority: add.priority,
                spec: add.spec,
                lease: None,
            },
        };
        let until = now + self.flags.patience.total.min(Duration::from_secs(add.within));
        let talk = Talk {
            client: place.client(&entry, self.flags.broadcast),
            place,
            exchange: Exchange::discover(wanted, xid(), now),
            until,
        };
        let held = Held { entry, talk: Some(talk), waiting: Some(peer), due: None };
        self.held.insert(key.clone(), held);
        self.peers.keep(peer, until);
        self.act(&key);
        Ok(None)
    }

    /// A client went away. What was looked for on its behalf nobody would give back.
    fn abandon(&mut self, peer: u64) {
        let its = self.held.iter().filter(|(_, held)| held.waiting == Some(peer));
        let keys = its.map(|(key, _)| key.clone());
        for key in keys.collect::<Vec<_>>() {
            self.held.remove(&key);
            self.forget(&key);
        }
    }

    fn refuse(&mut self, waiting: Option<u64>, error: &Error) {
        if let Some(peer) = waiting {
            self.peers.answer(peer, &error.clone().into());
        }
    }

    fn forget(&self, key: &Attachment) {
        if let Err(error) = self.store.remove(key) {
            log(key, &format!("forget its lease: {error}"));
        }
    }

    /// Does what is due for `key`.
    fn act(&mut self, key: &Attachment) {
        let now = now();
        let Some(held) = self.held.get_mut(key) else { return };
        match held.step(now) {
            Next::Send => {
                let talk = held.talk.as_mut().expect("only who talks has something to send");
                let frame = talk.exchange.send(&talk.client, &self.flags.patience, now);
                if let Err(error) = talk.place.send(&frame) {
                    self.fail(key, &error);
                }
            }
            Next::GiveUp => {
                let place = format!("{} in {}", key.ifname, held.entry.what.netns);
                let waited =
                    now.saturating_sub(held.talk.as_ref().map_or(now, |t| t.exchange.began()));
                let text = format!(
                    "dhcp: look for a lease on {place}: no server gave one within {} s",
                    waited.as_secs()
                );
                self.fail(
                    key,
                    &Error::new(code::TRY_AGAIN, text).with_hint(
                        "is there a DHCP server on that network, and do its answers get here?",
                    ),
                );
            }
            Next::Prolong => self.prolong(key),
            Next::Expire => self.expire(key, "nobody gave it more time"),
            Next::Discover => self.discover(key),
            Next::Wait => {}
        }
    }

    /// A conversation led nowhere.
    fn fail(&mut self, key: &Attachment, error: &Error) {
        let Some(held) = self.held.get_mut(key) else { return };
        let now = now();
        let until = held.talk.take().map_or(now, |talk| talk.until);
        if held.waiting.is_some() {
            let held = self.held.remove(key).expect("it was there a line ago");
            self.forget(key);
            return self.refuse(held.waiting, error);
        }
        log(key, &error.msg);
        held.due = Some(held.next_attempt(until, now, self.flags.patience.resend_most));
    }

    /// Asks for more time.
    fn prolong(&mut self, key: &Attachment) {
        // Files are the truth: DEL may have been without us.
        if self.store.read(key).is_none() {
            self.held.remove(key);
            return;
        }
        let Some(place) = self.open(key) else { return };
        let now = now();
        let Some(held) = self.held.get_mut(key) else { return };
        let Some(lease) = held.entry.what.lease.as_ref() else { return };
        let boundary = if now < lease.rebind_at() { lease.rebind_at() } else { lease.ends_at() };
        let exchange = Exchange::prolong(lease, xid(), now);
        let until = boundary.min(now + self.flags.patience.answer);
        let client = place.client(&held.entry, false);
        held.talk = Some(Talk { client, place, exchange, until });
        self.act(key);
    }

    /// Looks for another lease than the one that ended.
    fn discover(&mut self, key: &Attachment) {
        let Some(place) = self.open(key) else { return };
        let Some(held) = self.held.get_mut(key) else { return };
        let client = place.client(&held.entry, self.flags.broadcast);
        let exchange = Exchange::discover(None, xid(), now());
        let until = now() + self.flags.patience.total;
        held.talk = Some(Talk { client, place, exchange, until });
        self.act(key);
    }

    /// The lease has ended, or a server took it back: its address must not be used any more.
    fn expire(&mut self, key: &Attachment, why: &str) {
        log(key, &format!("its lease has ended: {why}"));
        let Some(held) = self.held.get_mut(key) else { return };
        held.talk = None;
        let old = held.entry.what.lease.take().and_then(|old| old.result(held.entry.what.priority));
        let place = self.open(key);
        let Some(held) = self.held.get_mut(key) else { return };
        let Some(place) = place else {
            // Nothing has the address any more, and nobody is to be told.
            self.held.remove(key);
            return self.forget(key);
        };
        if let Err(error) = place.change(old.as_ref(), None) {
            log(key, &error.msg);
        }
        if let Err(error) = self.store.write(&held.entry) {
            log(key, &format!("remember that its lease has ended: {error}"));
        }
        drop(place);
        self.discover(key);
    }

    /// The container of `key`, or `None` where it is gone: then nothing is due until the lease ends.
    fn open(&mut self, key: &Attachment) -> Option<Place> {
        let held = self.held.get_mut(key)?;
        let what = &held.entry.what;
        let path = format!("{}{}", self.flags.host_prefix, what.netns);
        let lasts_until = what.lease.as_ref().map(Lease::ends_at);
        let (failed, due) = match Place::open(&path, &key.ifname) {
            Ok(place) if place.netns_id == what.netns_id() => return Some(place),
            Ok(_) => (format!("{path} is another namespace by now"), lasts_until),
            Err(error) if error.code == code::INVALID_ENVIRONMENT => (error.msg, lasts_until),
            Err(error) => {
                let (now, pause) = (now(), self.flags.patience.resend_most);
                (error.msg, Some(held.next_attempt(now, now, pause)))
            }
        };
        log(key, &failed);
        held.due = due;
        None
    }

    fn hear_server(&mut self, key: &Attachment) {
        /// Frames taken from one link before others have their turn.
        const TURN: usize = 32;
        for _ in 0..TURN {
            let now = now();
            let Some(talk) = self.held.get_mut(key).and_then(|held| held.talk.as_mut()) else {
                return;
            };
            let Some(frame) = talk.place.receive() else { return };
            match talk.exchange.hear(&frame, &talk.client, now) {
                Heard::Nothing => {}
                Heard::Offer => self.act(key),
                Heard::Granted(lease) => return self.grant(key, lease),
                Heard::Refused => return self.refused(key),
            }
        }
    }

    fn refused(&mut self, key: &Attachment) {
        let Some(held) = self.held.get_mut(key) else { return };
        if held.entry.what.lease.is_some() {
            return self.expire(key, "the server took it back");
        }
        if let Some(talk) = &mut held.talk {
            talk.exchange = Exchange::discover(None, xid(), now());
        }
        self.act(key);
    }

    /// A server gave or prolonged a lease.
    fn grant(&mut self, key: &Attachment, lease: Lease) {
        let Some(held) = self.held.get_mut(key) else { return };
        let Some(talk) = held.talk.take() else { return };
        let what = &mut held.entry.what;
        let Some(new) = lease.result(what.priority) else {
            if held.waiting.is_some() {
                what.lease = Some(lease);
                let _ = release(&held.entry, &self.flags.host_prefix);
            }
            return self.fail(key, &no_mask());
        };
        held.due = Some(lease.renew_at());
        let old = what.lease.replace(lease.clone());
        what.mac = talk.place.mac.bytes();
        if let Err(error) = self.store.write(&held.entry) {
            let error = Error::new(code::IO, format!("remember the lease of {key}: {error}"));
            if held.waiting.is_some() {
                let _ = release(&held.entry, &self.flags.host_prefix);
                return self.fail(key, &error);
            }
            log(key, &error.msg);
        }
        let what = &held.entry.what;
        if let Err(error) = talk.place.set_mtu(&lease, what.mtu) {
            log(key, &error.msg);
        }
        if let Some(peer) = held.waiting.take() {
            // What the answer says is made by whoever asked.
            return self.peers.answer(peer, &Reply::Lease { lease: Box::new(lease) });
        }
        let old: Option<AddResult> = old.and_then(|old| old.result(what.priority));
        if old.as_ref() != Some(&new) {
            log(key, &format!("it has {} now", new.ips[0].address));
            if let Err(error) = talk.place.change(old.as_ref(), Some(&new)) {
                log(key, &error.msg);
            }
        }
    }

    fn reached(&self, netns: &str) -> String {
        format!("{}{netns}", self.flags.host_prefix)
    }
}

const DELETED: &str = "dhcp: DEL came while a lease was looked for";

/// Time since the boot, suspended times included: what leases run by.
fn now() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has this clock since 2.6.39");
    time.into()
}

/// Rounded up: nothing is due before its time.
fn milliseconds(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

fn log(key: &Attachment, text: &str) {
    eprintln!("dhcp daemon: {key}: {text}");
}
