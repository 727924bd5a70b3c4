//! The process: one thread that keeps what hosts tell each other, the kernel and the node files the
//! same.

mod admin;
mod bridge;
mod claims;
mod control;
mod ears;
mod elsewhere;
mod fence;
mod network;
mod reconcile;
mod spool;
mod status;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::control::notify;
use kernel::netlink::Socket;
use netfilter::tunnels::Guard;
use peers::message::PROGRAM;
use peers::{HostId, NodeFile, Underlay};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{self, LocalSet};
use tokio::time::{sleep_until, timeout};
use types::NetworkName;

use crate::fence::Fence;
use crate::identity::Identity;
use crate::settings::Settings;
use crate::store::View;
use ears::{Concern, Listening};
use elsewhere::Others;
use network::Active;
use spool::Spool;
use store::Followed;

/// What happens together is acted upon together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The kernel is compared with what is wanted at least this often.
const REGULAR: Duration = Duration::from_secs(300);
/// After something failed it is tried again this soon.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a start waits for the store before what was remembered has to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// `/run/cais`.
    run: PathBuf,
    /// `/var/lib/cni/cais`.
    lib: PathBuf,
    /// `/etc/cais`.
    etc: PathBuf,
}

impl Paths {
    /// From the control socket, which is in the run directory, wherever all that is moved to.
    fn around(socket: &Path) -> Self {
        let run = socket.parent().unwrap_or(Path::new("/run/cais")).to_owned();
        let root = match run.strip_prefix("/").ok().filter(|run| run.ends_with("run/cais")) {
            Some(_) => run.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned(),
            None => PathBuf::from("/"),
        };
        Self { run, lib: root.join("var/lib/cni/cais"), etc: root.join("etc/cais") }
    }

    /// What survives a reboot.
    fn state(&self) -> PathBuf {
        self.lib.join("overlay")
    }

    fn snapshot(&self) -> PathBuf {
        self.state().join("cache.json")
    }
}

/// Everything that the process knows.
struct Daemon {
    paths: Paths,
    settings: Settings,
    identity: Identity,
    host: Socket,
    guard: Guard,
    underlay: Cell<Underlay>,
    followed: RefCell<Option<Rc<Followed>>>,
    active: RefCell<BTreeMap<NetworkName, Active>>,
    /// A round is due.
    wanted: Notify,
    /// Whether it is to look at every network, and not only where something is known to be other.
    whole: Cell<bool>,
    /// Whether containers may have come or gone since the last round.
    used: Cell<bool>,
    /// What the store said at the last round.
    seen: RefCell<Option<Arc<View>>>,
    /// One has been made.
    done: Notify,
    started: Instant,
    rounds: Cell<u64>,
    /// Whether this host is being taken out of the store: nothing is claimed any more.
    leaving: Cell<bool>,
    /// What containers of this host are called.
    spool: Spool,
    /// What those of others are called.
    others: Others,
    /// What this host may do by the time that etcd has not confirmed it.
    fence: Cell<Fence>,
}

/// Serves until it is told to end. What it made stays: the data path needs no process.
///
/// # Errors
/// What cannot be done without; [`io::ErrorKind::AlreadyExists`] where another machine lives under
/// this host's id.
pub fn serve(control: UnixListener, socket: &Path) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let daemon = Rc::new(Daemon::begin(Paths::around(socket))?);
    LocalSet::new().block_on(&runtime, daemon.run(control))
}

impl Daemon {
    fn begin(paths: Paths) -> io::Result<Self> {
        let settings = Settings::read(&paths.etc.join("overlayd.json")).map_err(told)?;
        let identity = Identity::of(&paths.state(), &paths.run.join("overlay"))?;
        let host = Socket::open("the host's namespace").map_err(told)?;
        let guard = Guard::open(&paths.run).map_err(told)?;
        let (spool, others) = (Spool::begin()?, Others::remembered(&paths.run));
        let daemon = Self {
            paths,
            settings,
            identity,
            host,
            guard,
            underlay: Cell::default(),
            followed: RefCell::default(),
            active: RefCell::default(),
            wanted: Notify::new(),
            whole: Cell::new(true),
            used: Cell::new(false),
            seen: RefCell::default(),
            done: Notify::new(),
            started: Instant::now(),
            rounds: Cell::new(0),
            leaving: Cell::new(false),
            spool,
            others,
            fence: Cell::new(Fence::Open),
        };
        daemon.look_at_underlay()?;
        Ok(daemon)
    }

    async fn run(self: Rc<Self>, control: UnixListener) -> io::Result<()> {
        let listening = Listening::begin()?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        for network in self.remembered_networks() {
            self.active.borrow_mut().entry(network).or_default();
        }
        // Before the store is followed: what it has of this host and is not here is deleted.
        self.sweep_spool();
        if let Some(store) = self.configured_store() {
            let _ = self.follow(store).map_err(|error| eprintln!("cais-overlayd: {error}"));
        }
        beside(Rc::clone(&self).keep_fence());
        beside(Rc::clone(&self).collect());
        let hearing = control::serve(Rc::clone(&self), control);
        // A plugin that asks is heard meanwhile, and waits.
        let keeping = async {
            let _ = timeout(PATIENCE, self.store_is_settled()).await;
            self.round();
            notify::tell(PROGRAM, notify::READY);
            self.keep(&listening).await
        };
        tokio::select! {
            ended = hearing => ended?,
            ended = keeping => ended?,
            ended = self.follow_store() => return Err(ended),
            ended = self.keep_spool() => match ended? {},
            never = self.follow_names() => match never {},
            never = self.say_names() => match never {},
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        notify::tell(PROGRAM, notify::STOPPING);
        Ok(())
    }

    /// Makes rounds whenever something says that one is needed.
    async fn keep(self: &Rc<Self>, listening: &Listening) -> io::Result<()> {
        let mut regular = tokio::time::Instant::now() + REGULAR;
        let mut due: Option<tokio::time::Instant> = None;
        loop {
            let next = due.unwrap_or(regular).min(regular);
            tokio::select! {
                heard = listening.heard() => {
                    if self.concerns(&heard?) {
                        due.get_or_insert(tokio::time::Instant::now() + DEBOUNCE);
                    }
                }
                () = self.wanted.notified() => due = Some(tokio::time::Instant::now()),
                () = sleep_until(next) => {
                    if due.take().is_none() {
                        self.whole.set(true);
                    }
                    let again = match self.round() {
                        true => REGULAR,
                        false => AGAIN,
                    };
                    regular = tokio::time::Instant::now() + again;
                }
            }
        }
    }

    /// Whether something that happened may have taken away what we made, or moved this host.
    fn concerns(&self, heard: &[Concern]) -> bool {
        let mut concerned = false;
        for one in heard {
            concerned |= match one {
                Concern::Everything => {
                    self.whole.set(true);
                    true
                }
                Concern::Link(name) => {
                    let mut active = self.active.borrow_mut();
                    let its = active.values_mut().find(|network| network.has_link(name));
                    its.map(|network| network.settled = false).is_some()
                }
                Concern::Use => {
                    self.used.set(true);
                    true
                }
                Concern::Underlay => match self.look_at_underlay() {
                    Ok(moved) => {
                        self.whole.set(self.whole.get() || moved);
                        moved
                    }
                    Err(error) => {
                        eprintln!("cais-overlayd: {error}");
                        false
                    }
                },
            };
        }
        concerned
    }

    /// Networks that this host took part in before the daemon ended.
    fn remembered_networks(&self) -> Vec<NetworkName> {
        let files = std::fs::read_dir(self.paths.run.join("overlay")).into_iter().flatten();
        let is_node = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        let read = |path: PathBuf| NodeFile::parse(&std::fs::read(path).ok()?).ok();
        let paths = files.flatten().map(|entry| entry.path()).filter(is_node);
        paths.filter_map(read).map(|file| file.network).collect()
    }

    fn id(&self) -> &HostId {
        &self.identity.id
    }

    /// Lets the next round be made now, for networks of which something is known to be other.
    fn want_round(&self) {
        self.wanted.notify_one();
    }

    /// The same for all networks.
    fn want_whole_round(&self) {
        self.whole.set(true);
        self.want_round();
    }
}

/// Starts something that goes on beside everything else.
fn beside(task: impl Future<Output = ()> + 'static) {
    task::spawn_local(task);
}

fn told(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_paths_follow_from_that_of_the_socket() {
        let usual = Paths::around(Path::new("/run/cais/overlay.sock"));
        assert_eq!(usual.state(), Path::new("/var/lib/cni/cais/overlay"));
        assert_eq!(usual.etc, Path::new("/etc/cais"));
        let moved = Paths::around(Path::new("/tmp/lab/run/cais/overlay.sock"));
        assert_eq!(moved.run, Path::new("/tmp/lab/run/cais"));
        assert_eq!(moved.snapshot(), Path::new("/tmp/lab/var/lib/cni/cais/overlay/cache.json"));
    }
}
