//! The process that answers: one thread, without any privilege.

mod answering;
mod control;
mod doors;
mod keeper;
mod others;
mod packets;
mod shared;
mod tcp;
mod text;
mod trial;
mod udp;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use names::{Place, Record};
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_local;
use tokio::time::sleep;
use types::Attachment;

use crate::every::Every;
use crate::link::{Listener, ToKeeper};
use crate::options::Options;
use keeper::Keeper;

pub use answering::Answering;

/// How long what is on its way may take after the process was told to end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How often it is looked whether that is done.
const LOOK: Duration = Duration::from_millis(20);

/// What the process is given to begin with.
#[derive(Debug)]
pub struct Start {
    /// Where clients ask: a socket that listens for messages.
    pub control: UnixListener,
    /// The way to the keeper, which begins with all that it knows.
    pub keeper: UnixStream,
    /// How it is configured.
    pub options: Options,
    /// The file that lists the host's servers, which the process may not be allowed to look up.
    pub list: Option<File>,
    /// How the process is confined, in words.
    pub sandbox: Vec<String>,
    /// The user that may tell it what to do, beside root.
    pub owner: u32,
}

/// What the process does for all who ask.
struct Worker {
    answering: Answering,
    keeper: Keeper,
    idle_exit: Option<Duration>,
    owner: u32,
    started: Instant,
    /// What could not be read of what is remembered.
    broken: RefCell<Vec<String>>,
    sandbox: Vec<String>,
    /// Since when there is nothing to answer for.
    idle_since: Cell<Option<Instant>>,
}

/// Answers until it is told to end.
///
/// # Errors
/// When the system refuses what is needed.
pub fn serve(start: Start) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    // As a task of its own it sleeps while queries are answered; what is blocked on is looked at each
    // time that any task is.
    runtime.block_on(async { spawn_local(run(start)).await.map_err(io::Error::other)? })
}

async fn run(start: Start) -> io::Result<()> {
    let control = start.control.try_clone()?;
    let worker = Rc::new(Worker::new(start)?);
    let mut terminated = signal(SignalKind::terminate())?;
    worker.answering.settle_host();
    worker.hear_all().await?;
    worker.answering.begin();
    let layout = crate::keeper::LAYOUT.to_owned();
    worker.say(&ToKeeper::Ready { layout }).await?;
    tokio::select! {
        ended = control::serve(Rc::clone(&worker), control) => ended?,
        ended = worker.hear_keeper() => ended?,
        ended = worker.tidy() => ended?,
        () = worker.answering.watch() => {}
        _ = terminated.recv() => {}
    }
    worker.finish().await;
    Ok(())
}

impl Worker {
    fn new(start: Start) -> io::Result<Self> {
        let Start { keeper, options, list, sandbox, owner, .. } = start;
        Ok(Self {
            answering: Answering::new(&options).with_list(list),
            keeper: Keeper::new(keeper)?,
            idle_exit: options.idle_exit,
            owner,
            started: Instant::now(),
            broken: RefCell::default(),
            sandbox,
            idle_since: Cell::new(Some(Instant::now())),
        })
    }

    /// Answers for a record, in place of what was known of its attachment.
    fn put(&self, record: &Record, now: Instant) {
        self.answering.put(record, now);
        self.idle_since.set(None);
    }

    /// Answers for an attachment no more.
    async fn drop(&self, key: &Attachment, now: Instant) -> io::Result<()> {
        let closed = self.answering.drop(key, now);
        if self.answering.is_empty() && self.idle_since.get().is_none() {
            self.idle_since.set(Some(now));
        }
        for listener in closed {
            self.say(&ToKeeper::Forget(listener)).await?;
        }
        Ok(())
    }

    /// Answers at a place by these sockets, of which the keeper has a copy.
    async fn open(&self, key: &Attachment, place: &Place, sockets: [OwnedFd; 2]) -> io::Result<()> {
        let copies = [sockets[0].try_clone()?, sockets[1].try_clone()?];
        let listener = Listener { key: key.clone(), place: place.clone() };
        for former in self.answering.doors.open(listener.clone(), sockets)? {
            self.say(&ToKeeper::Forget(former)).await?;
        }
        self.keeper.say(&ToKeeper::Keep(listener), &copies).await
    }

    /// Answers for no attachments but those that stay.
    async fn keep_only(&self, stays: impl Fn(&Attachment) -> bool) -> io::Result<()> {
        let all = self.answering.shared.zone.borrow().endpoints();
        let now = Instant::now();
        for key in all.iter().map(|endpoint| endpoint.key()).filter(|key| !stays(key)) {
            self.drop(&key, now).await?;
        }
        Ok(())
    }

    async fn say(&self, message: &ToKeeper) -> io::Result<()> {
        self.keeper.say(message, &[]).await
    }

    /// Forgets what is over, once a second.
    async fn tidy(&self) -> io::Result<()> {
        let second = Every::new(Duration::from_secs(1))?;
        loop {
            second.over().await;
            let now = Instant::now();
            self.answering.tidy(now);
            let idle = self.idle_since.get().map(|since| now - since);
            if let (Some(idle), Some(most)) = (idle, self.idle_exit)
                && idle >= most
            {
                // Once is enough; the keeper ends this process.
                self.idle_since.set(None);
                self.say(&ToKeeper::Idle).await?;
            }
        }
    }

    /// Takes no more queries, and waits for answers that are on their way.
    async fn finish(&self) {
        self.answering.doors.close_all();
        let begun = Instant::now();
        while self.answering.shared.limits.forwards() > 0 && begun.elapsed() < LAST_ANSWERS {
            sleep(LOOK).await;
        }
    }
}
