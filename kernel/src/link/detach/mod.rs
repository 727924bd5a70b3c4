//! Deleting a link, or closing a socket of netfilter, without waiting for RCU.
//!
//! A delete does its work in under a millisecond, and then the kernel waits 15–35 ms for the end
//! of an RCU grace period (`rcu_barrier` in `netdev_run_todo`) before it answers. A forked child
//! waits in our place; we go on once the kernel has announced that the link is gone and a query
//! has confirmed it. Closing a socket of netfilter after objects were deleted waits likewise.

mod record;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use super::monitor::event;
use super::{Event, Monitor, Which, delete, find};
use crate::netlink::message::Message;
use crate::netlink::{Error, Request, RequestError, Socket};
use crate::sys::{self, Errand};
use record::{Record, Verdict};

/// Deletes links and closes sockets of netfilter, detached where that is safe.
///
/// The child is left to whoever adopts the orphans of this process (PID 1 or a subreaper) when
/// this process ends before it. All common container runtimes reap theirs; `record`, a small
/// file, names the last child, so that a host where nobody does is noticed: until the first child
/// is known to have been reaped there is no second one, and as long as one is left as a zombie
/// all deletes wait in this process instead. So where nobody reaps, one zombie stays.
#[derive(Clone, Debug)]
pub struct Deleter {
    record: Option<PathBuf>,
}

/// What a delete found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The link was there and is gone.
    Now,
    /// There was no such link.
    Before,
}

impl Deleter {
    /// Detached; `record` is the file that names the last child, `/run/cais/deleter` on a host.
    pub fn detached(record: impl Into<PathBuf>) -> Self {
        Self { record: Some(record.into()) }
    }

    /// Always waiting until the kernel is done.
    #[must_use]
    pub fn waiting() -> Self {
        Self { record: None }
    }

    /// Deletes `which`, in the namespace of `socket` and of the calling thread. When this
    /// returns, the link and its peer are unlisted everywhere and their names are free.
    ///
    /// The child keeps `hold` open until the kernel is done, and nothing else: closing a socket
    /// of nftables waits for the same grace period, so hand it over and drop yours. Hold no lock
    /// while calling this.
    ///
    /// # Errors
    /// What the kernel said; [`Error::Timeout`].
    pub fn delete<'a>(
        &self,
        socket: &Socket,
        which: impl Into<Which<'a>>,
        hold: &[BorrowedFd<'_>],
    ) -> Result<Deleted, RequestError> {
        let which = which.into();
        reap();
        let Some(record) = self.record.as_deref().map(Record::at) else {
            return wait(socket, which);
        };
        match record.verdict() {
            Verdict::Detach => detach(socket, which, hold, record),
            Verdict::Wait => wait(socket, which),
        }
    }

    /// Closes `sockets`, all those of netfilter through which objects were deleted, without waiting
    /// for the end of an RCU grace period (10–15 ms): a child closes them in our place. None is fine.
    ///
    /// For whoever deletes a link as well, [`Deleter::delete`] can hold them instead: one child does
    /// for all. Hold no lock while calling this, and no other socket of netfilter:
    /// closing any of them waits for the deletions of all.
    pub fn close_later(&self, sockets: Vec<Socket>) {
        reap();
        if sockets.is_empty() {
            return;
        }
        let Some(record) = self.record.as_deref().map(Record::at) else { return };
        match record.verdict() {
            Verdict::Detach => close_by_child(sockets, record),
            Verdict::Wait => {}
        }
    }
}

/// Why deletes on this host wait: the child that the record at `path` names is a zombie that
/// nobody reaps. `None` when all is well.
#[must_use]
pub fn not_reaped(path: &Path) -> Option<String> {
    Record::at(path).not_reaped()
}

/// Children of this process that may still be at work, each with the record that names it.
static CHILDREN: Mutex<Vec<(Pid, PathBuf)>> = Mutex::new(Vec::new());

/// Takes the exit codes of this process' own deleters that are done. Each delete does so, too;
/// a daemon calls it when it has deleted for the last time in a while.
pub fn reap() {
    let Ok(mut children) = CHILDREN.lock() else { return };
    children.retain(|(child, record)| match waitpid(*child, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) => true,
        Ok(_) => {
            Record::at(record).reaped_by_its_parent(*child);
            false
        }
        Err(_) => false, // somebody else in this process waits for all children
    });
}

/// Deletes and waits until the kernel is done.
fn wait(socket: &Socket, which: Which<'_>) -> Result<Deleted, RequestError> {
    match socket.run(&delete(which)) {
        Ok(()) => Ok(Deleted::Now),
        Err(error) if error.is_missing() => Ok(Deleted::Before),
        Err(error) => Err(error),
    }
}

/// Deletes by a child, and waits until the link is gone.
fn detach(
    socket: &Socket,
    which: Which<'_>,
    hold: &[BorrowedFd<'_>],
    record: Record<'_>,
) -> Result<Deleted, RequestError> {
    let request = delete(which);
    // A socket of its own: what it hears would confuse another's answers, and the kernel's late
    // answer to the child must not reach anyone.
    let monitor = Monitor::open(socket.place())?;
    let sequence = monitor.socket().take_sequences(1);
    let bytes = request.bytes(sequence);
    let child = match sys::fork_deleter(Errand::Send(monitor.socket().as_fd(), &bytes), hold) {
        Ok(child) => Pid::from_raw(child),
        // No more processes allowed, or no memory: the slow way still works.
        Err(_) => return wait(socket, which),
    };
    remember(child, record);
    let outcome = until_gone(socket, &monitor, which, sequence, &request);
    record.name(child);
    outcome
}

/// Closes `sockets` by a child.
fn close_by_child(sockets: Vec<Socket>, record: Record<'_>) {
    // The child goes some time after it hears that we have let go of the socket, so that the last
    // one to close it, who waits, is never this process. Death closes as well.
    let Ok((awaited, held)) = pipe2(OFlag::O_CLOEXEC) else { return };
    let held_open: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
    let Ok(child) = sys::fork_deleter(Errand::AwaitClose(awaited.as_fd()), &held_open) else {
        return; // no more processes allowed, or no memory: dropped here, the slow way
    };
    let child = Pid::from_raw(child);
    remember(child, record);
    record.name(child);
    drop(sockets);
    drop(held);
}

/// Notes a child of this process, to be reaped.
fn remember(child: Pid, record: Record<'_>) {
    if let Ok(mut children) = CHILDREN.lock() {
        children.push((child, record.path().to_owned()));
    }
}

/// What the monitor heard.
enum News {
    /// The kernel announced the end of the link with this index.
    Announced(u32),
    /// The kernel answered the child.
    Answered(Result<(), Error>),
}

fn until_gone(
    socket: &Socket,
    monitor: &Monitor,
    which: Which<'_>,
    sequence: u32,
    request: &Request,
) -> Result<Deleted, RequestError> {
    let deadline = Instant::now() + Socket::TIMEOUT;
    loop {
        let heard = monitor.heard(deadline, |message| news(message, which, sequence));
        let gone = match heard {
            Ok(News::Announced(index)) => Some(index),
            Ok(News::Answered(Ok(()))) => return Ok(Deleted::Now),
            // Events were lost; the query below tells what became of it.
            Err(Error::Overrun) => None,
            Ok(News::Answered(Err(source))) | Err(source) => {
                let error = socket.failed(request.action(), source);
                return if error.is_missing() { Ok(Deleted::Before) } else { Err(error) };
            }
        };
        // The query waits for the same lock that the child's request holds until both ends of a
        // pair are unlisted; the announcement alone comes a moment too early.
        match find(socket, which)? {
            None => return Ok(Deleted::Now),
            Some(link) if gone.is_some_and(|gone| gone != link.dev.index) => {
                return Ok(Deleted::Now); // the name has a new bearer already
            }
            Some(_) => {}
        }
    }
}

fn news(message: Message<'_>, which: Which<'_>, sequence: u32) -> Option<News> {
    if i32::from(message.kind) == libc::NLMSG_ERROR && message.sequence == sequence {
        return Some(News::Answered(message.verdict()));
    }
    let Some(Event::Gone(link)) = event(message) else { return None };
    let same = match which {
        Which::Name(name) => link.is_named(name),
        Which::Dev(dev) => link.dev.index == dev.index,
        Which::Index(index) => link.dev.index == index,
    };
    same.then_some(News::Announced(link.dev.index))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// What the descriptors of `child` lead to, in order.
    fn open_files(child: Pid) -> Vec<PathBuf> {
        let files = fs::read_dir(format!("/proc/{child}/fd")).unwrap().flatten();
        let mut targets: Vec<_> =
            files.filter_map(|file| fs::read_link(file.path()).ok()).collect();
        targets.sort();
        targets
    }

    #[test]
    fn a_child_that_awaits_the_close_holds_the_pipe_and_what_it_was_given_and_nothing_else() {
        let (awaited, ours) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let given = fs::File::open("/etc/passwd").unwrap();
        let other = fs::File::open("/proc/self/stat").unwrap();
        let errand = Errand::AwaitClose(awaited.as_fd());
        let child = Pid::from_raw(sys::fork_deleter(errand, &[given.as_fd()]).unwrap());
        drop(other);
        let deadline = Instant::now() + Duration::from_secs(10);
        let files = loop {
            match &open_files(child)[..] {
                [file, pipe] => break [file.clone(), pipe.clone()],
                more => assert!(Instant::now() < deadline, "{more:?}"),
            }
            std::thread::yield_now();
        };
        assert_eq!(files[0], Path::new("/etc/passwd"));
        assert!(files[1].display().to_string().starts_with("pipe:["), "{files:?}");
        // It stays as long as we hold our end, and ends by itself when we let go.
        let state = waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap();
        assert_eq!(state, WaitStatus::StillAlive);
        drop(ours);
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
    }
}
