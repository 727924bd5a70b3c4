//! The process that stays when the one that answers dies: it keeps the sockets, knows where all is
//! remembered, and looks at nothing that comes from a network.

mod name;
mod resume;
mod revival;
mod signals;
mod successor;

pub(crate) use resume::LAYOUT;
pub use resume::{RESUME, resume};
pub use signals::release;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::Error;
use control::notify;
use names::{Record, Store};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use peers::{Elsewhere, HostId};
use types::NetworkName;

use crate::link::{Listener, ToKeeper, ToWorker};
use crate::options::Options;
use name::Name;
use signals::{Signals, Wish};
use successor::{Heard, Successor};

/// How often it is looked for containers that are gone without a word.
const SWEEPS: Duration = Duration::from_secs(30);

/// How long a new worker may take until it answers, when another one still does.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon a worker is started anew that died; doubled each time that it died young.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Who lives as long did not die young.
const GROWN: Duration = Duration::from_secs(2);

/// How much is said at once of another host: a message has room for twice as much.
const PART_BYTES: usize = 32 * 1024;

/// Whose the name of the control socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Of whoever started this process: it goes with the process.
    ByClient,
    /// Of systemd, which listens on it whether there is a process or not.
    BySystemd,
}

/// Keeps a worker alive until there is nothing to answer for, or a signal says to end. `control` is
/// the listening control socket, which is known as `path`.
///
/// # Errors
/// What keeps it from doing so.
pub fn run(control: UnixListener, path: &Path, named: Named) -> io::Result<()> {
    let mut keeper = Keeper::new(control, path, named)?;
    keeper.kept = revival::listeners(&keeper.records().0);
    let worker = keeper.start()?;
    keeper.go_on(worker)
}

/// Everything that the process knows.
struct Keeper {
    control: UnixListener,
    name: Name,
    named: Named,
    signals: Signals,
    run_dir: PathBuf,
    store: Store,
    /// Sockets that some worker listens by.
    kept: HashMap<Place, (Listener, [OwnedFd; 2])>,
    pause: Duration,
    /// The options as they were written when they were sound last.
    options: String,
    /// What is wrong with them since.
    unsound: Option<Error>,
}

/// What tells sockets apart: those of a bridge that was made anew are others.
type Place = (Option<types::Attachment>, names::Place);

fn place_of(listener: &Listener) -> Place {
    let of_container = matches!(listener.place, names::Place::Container { .. });
    (of_container.then(|| listener.key.clone()), listener.place.clone())
}

/// Why a worker is not listened to any more.
enum End {
    /// It died.
    Died,
    /// There is nothing to answer for.
    Idle,
    /// It was said, or nobody can find this process any more.
    Told,
    /// Another one answers now.
    Succeeded(Successor),
}

impl Keeper {
    fn new(control: UnixListener, path: &Path, named: Named) -> io::Result<Self> {
        // Names are answered by the defaults rather than not at all.
        let (options, unsound) = match Options::written(path) {
            Ok(options) => (options, None),
            Err(error) => ("{}".to_owned(), Some(error)),
        };
        let run_dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self {
            control,
            name: Name::of(path),
            named,
            signals: Signals::take()?,
            store: Store::under(&run_dir),
            run_dir,
            kept: HashMap::new(),
            pause: PAUSE,
            options,
            unsound,
        })
    }

    fn go_on(mut self, mut worker: Successor) -> io::Result<()> {
        loop {
            let begun = Instant::now();
            match self.attend(&worker)? {
                End::Idle => {
                    worker.end();
                    return Ok(());
                }
                End::Told => {
                    notify::tell(names::PROGRAM, notify::STOPPING);
                    self.let_finish(&worker, None)?;
                    return Ok(());
                }
                End::Succeeded(next) => {
                    worker = self.hand_over(&worker, next)?;
                    if worker.can_resume.get() {
                        let error = self.become_installed(&worker);
                        eprintln!("cais-dnsd: the keeper stays the former program: {error}");
                    }
                }
                End::Died => {
                    worker.end();
                    let young = begun.elapsed() < GROWN;
                    self.pause = if young { (self.pause * 2).min(LONGEST_PAUSE) } else { PAUSE };
                    if young {
                        // Nobody has anything to say meanwhile.
                        pause(self.pause);
                    }
                    worker = self.start()?;
                }
            }
        }
    }

    /// Starts a worker and tells it all.
    fn start(&self) -> io::Result<Successor> {
        let worker = Successor::start(&self.control, self.name.path(), &self.options)?;
        // One that dies at once is found dead by whoever attends to it.
        let _ = self.tell_all(&worker);
        Ok(worker)
    }

    fn tell_all(&self, worker: &Successor) -> io::Result<()> {
        for (listener, sockets) in self.kept.values() {
            let sockets = [sockets[0].as_fd(), sockets[1].as_fd()];
            worker.say(&ToWorker::Listen(listener.clone()), &sockets)?;
        }
        self.tell_records(worker)
    }

    fn tell_records(&self, worker: &Successor) -> io::Result<()> {
        let (records, broken) = self.records();
        for record in records {
            worker.say(&ToWorker::Know(Box::new(record)), &[])?;
        }
        for error in broken.iter().chain(&self.unsound) {
            worker.say(&ToWorker::Broken(error.to_string()), &[])?;
        }
        let (others, unread) = Elsewhere::all(&self.run_dir);
        others.into_iter().try_for_each(|other| tell_elsewhere(worker, other))?;
        for why in unread {
            worker.say(&ToWorker::Broken(why), &[])?;
        }
        worker.say(&ToWorker::Complete, &[])
    }

    fn records(&self) -> (Vec<Record>, Vec<Error>) {
        self.store.all().unwrap_or_else(|error| (Vec::new(), vec![error]))
    }

    /// Does what the worker asks for, until it is not to be listened to any more.
    fn attend(&mut self, worker: &Successor) -> io::Result<End> {
        let mut swept = Instant::now();
        loop {
            let until_sweep = SWEEPS.saturating_sub(swept.elapsed());
            let from =
                [Some(self.signals.as_fd()), Some(worker.link().as_fd()), self.name.events()];
            let [told, heard, renamed] = readable(from, until_sweep)?;
            if told {
                match self.signals.next()? {
                    Some(Wish::End) => return Ok(End::Told),
                    Some(Wish::Upgrade) => {
                        if let Some(next) = self.upgrade(worker) {
                            return Ok(End::Succeeded(next));
                        }
                    }
                    None => {}
                }
            }
            let is_time = !heard && swept.elapsed() >= SWEEPS;
            if renamed || is_time {
                self.name.take_events();
                if !self.name.leads_here() {
                    return Ok(End::Told);
                }
            }
            if is_time {
                swept = Instant::now();
                self.sweep(worker);
            }
            if !heard {
                continue;
            }
            let (message, sockets) = match worker.hear()? {
                Heard::Message(message, sockets) => (message, sockets),
                Heard::Nothing => continue,
                Heard::End => return Ok(End::Died),
            };
            match message {
                ToKeeper::Ready { .. } => notify::tell(names::PROGRAM, notify::READY),
                ToKeeper::Keep(listener) => self.keep(listener, sockets),
                ToKeeper::Forget(listener) => {
                    self.kept.remove(&place_of(&listener));
                }
                ToKeeper::Look(network, host) => self.look(worker, &network, &host),
                ToKeeper::Reload => {
                    if let Some(next) = self.reload(worker) {
                        return Ok(End::Succeeded(next));
                    }
                }
                ToKeeper::Idle if self.leave() => return Ok(End::Idle),
                ToKeeper::Idle => {
                    let _ = self.tell_records(worker);
                }
                ToKeeper::Upgrade => {
                    if let Some(next) = self.upgrade(worker) {
                        return Ok(End::Succeeded(next));
                    }
                }
            }
        }
    }

    /// Says again what is remembered. Other options are another worker's, which answers now then.
    fn reload(&mut self, worker: &Successor) -> Option<Successor> {
        let written = Options::written(self.name.path());
        let changed = written.as_ref().is_ok_and(|written| *written != self.options);
        match written {
            Ok(written) => (self.options, self.unsound) = (written, None),
            Err(error) => self.unsound = Some(error),
        }
        self.sweep(worker);
        // One that is dead by now is told the next time round.
        let _ = self.tell_records(worker);
        if changed { self.upgrade(worker) } else { None }
    }

    /// Says what is remembered of another host.
    fn look(&self, worker: &Successor, network: &NetworkName, host: &HostId) {
        // One that is dead by now is told the next time round.
        let _ = match Elsewhere::read(&self.run_dir, network, host) {
            Ok(other) => tell_elsewhere(worker, other),
            Err(why) => {
                let text = format!("names of host {host} on {network}: {why}");
                worker.say(&ToWorker::Broken(text), &[])
            }
        };
    }

    fn keep(&mut self, listener: Listener, sockets: Vec<OwnedFd>) {
        if let Ok(sockets) = sockets.try_into() {
            self.kept.insert(place_of(&listener), (listener, sockets));
        }
    }

    /// Forgets containers that are gone without a word: their sockets would keep their namespaces
    /// alive.
    fn sweep(&mut self, worker: &Successor) {
        let Ok(boot) = cni::record::boot_id() else { return };
        for record in self.records().0 {
            if record.netns_id.lives_at(&record.netns, &boot) {
                continue;
            }
            let _ = self.store.remove(&record.key);
            self.kept.retain(|(key, _), _| key.as_ref() != Some(&record.key));
            let _ = worker.say(&ToWorker::Drop(record.key), &[]);
        }
    }

    /// Gives the control socket's name away unless somebody is about to need us. Who attaches a
    /// container writes a record before it asks, so that one who comes now finds no socket, or is
    /// found here.
    fn leave(&self) -> bool {
        let Ok(_lock) = control::lock(&self.run_dir.join("dns"), Instant::now(), "attach") else {
            return false;
        };
        if !matches!(self.store.all(), Ok((records, broken)) if records.is_empty() && broken.is_empty())
        {
            return false;
        }
        if self.named == Named::BySystemd {
            // What comes now waits there, for the process that it starts.
            return true;
        }
        // When it is gone already, or cannot go, the next starter replaces it.
        let _ = fs::remove_file(self.name.path());
        true
    }

    /// Starts the program that is installed now; `None` when it does not come to answer, which the
    /// present worker is told then.
    fn upgrade(&self, present: &Successor) -> Option<Successor> {
        let next = self.start().ok();
        if let Some(next) = next {
            if Self::comes_to_answer(&next).unwrap_or(false) {
                return Some(next);
            }
            next.end();
        }
        let text = "the program that is installed now does not answer; the former one goes on";
        // One that is dead by now is replaced by what is installed in any case.
        let _ = present.say(&ToWorker::Broken(text.to_owned()), &[]);
        None
    }

    fn comes_to_answer(next: &Successor) -> io::Result<bool> {
        let until = Instant::now() + PATIENCE;
        while until > Instant::now() {
            let [said] = readable([Some(next.link().as_fd())], until - Instant::now())?;
            if !said {
                continue;
            }
            match next.hear()? {
                Heard::Message(ToKeeper::Ready { layout: theirs }, _) => {
                    next.can_resume.set(theirs == LAYOUT);
                    return Ok(true);
                }
                Heard::Message(..) | Heard::Nothing => {}
                Heard::End => break,
            }
        }
        Ok(false)
    }

    /// Ends a worker whose successor answers already. What it heard of to the last moment is in the
    /// records.
    fn hand_over(&mut self, former: &Successor, next: Successor) -> io::Result<Successor> {
        self.let_finish(former, Some(&next))?;
        let _ = self.tell_records(&next);
        Ok(next)
    }

    /// Lets a worker finish what it is about, and ends it. What it listens by meanwhile is its
    /// successor's too.
    fn let_finish(&mut self, former: &Successor, next: Option<&Successor>) -> io::Result<()> {
        former.ask_to_end();
        let until = Instant::now() + PATIENCE;
        while until > Instant::now() {
            let [said] = readable([Some(former.link().as_fd())], until - Instant::now())?;
            if !said {
                continue;
            }
            match former.hear()? {
                Heard::Message(ToKeeper::Keep(listener), sockets) => {
                    if let Some(next) = next {
                        let copies: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
                        let _ = next.say(&ToWorker::Listen(listener.clone()), &copies);
                    }
                    self.keep(listener, sockets);
                }
                Heard::Message(ToKeeper::Forget(listener), _) => {
                    self.kept.remove(&place_of(&listener));
                }
                Heard::Message(..) | Heard::Nothing => {}
                Heard::End => break,
            }
        }
        former.end();
        Ok(())
    }
}

fn tell_elsewhere(worker: &Successor, other: Elsewhere) -> io::Result<()> {
    let parts = other.parts(PART_BYTES);
    let last = parts.len() - 1;
    for (number, part) in parts.into_iter().enumerate() {
        let (names, more) = (Box::new(part), number < last);
        worker.say(&ToWorker::Elsewhere { names, more }, &[])?;
    }
    Ok(())
}

/// Waits until one of them has something to say, or ended. Which of them have.
fn readable<const N: usize>(
    from: [Option<BorrowedFd<'_>>; N],
    patience: Duration,
) -> io::Result<[bool; N]> {
    let wanted = from.iter().flatten().map(|from| PollFd::new(*from, PollFlags::POLLIN));
    let mut wanted: Vec<_> = wanted.collect();
    // Less than a millisecond is not to be no time.
    let patience = patience.max(Duration::from_millis(1));
    match poll(&mut wanted, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut has = wanted.iter().map(|one| one.any().unwrap_or(true));
    Ok(from.map(|from| from.is_some() && has.next().unwrap_or(true)))
}

/// Waits for nothing but time.
fn pause(time: Duration) {
    let _ = poll(&mut [], PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
}
