//! What containers of this host are called, from the plugin to the store.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use peers::SpoolRecord;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval};
use types::NetworkName;

use super::{Daemon, told};
use crate::store::{MOST_NAMES, Named, Published};

/// All records are read at least this often: a container may have gone without a word.
const SWEEPS: Duration = Duration::from_secs(60);

/// What the plugin has said, as far as it was read.
pub(super) struct Spool {
    watches: Inotify,
    networks: RefCell<HashMap<WatchDescriptor, NetworkName>>,
    read: RefCell<Published>,
}

impl Spool {
    pub(super) fn begin() -> io::Result<Self> {
        let watches = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { watches, networks: RefCell::default(), read: RefCell::default() })
    }

    /// Whether the directory of `network` is watched.
    fn hears(&self, network: &NetworkName) -> bool {
        self.networks.borrow().values().any(|known| known == network)
    }

    /// Watches the directory of `network`, which is made where it is not there.
    fn watch(&self, run_dir: &Path, network: &NetworkName) -> io::Result<()> {
        if self.hears(network) {
            return Ok(());
        }
        let directory = SpoolRecord::directory(run_dir, network);
        fs::create_dir_all(&directory)?;
        let flags =
            AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
        let watch = self.watches.add_watch(&directory, flags)?;
        self.networks.borrow_mut().insert(watch, network.clone());
        Ok(())
    }

    /// What can be waited for on behalf of the watches.
    #[expect(deprecated, reason = "its successor is unsafe, for what has no descriptor of its own")]
    fn events(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let same = self.watches.as_fd().try_clone_to_owned()?;
        AsyncFd::with_interest(same, Interest::READABLE)
    }

    /// What happened since, all of it.
    fn take(&self) -> io::Result<Vec<InotifyEvent>> {
        let mut all = Vec::new();
        loop {
            match self.watches.read_events() {
                Ok(some) => all.extend(some),
                Err(Errno::EAGAIN) => return Ok(all),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Daemon {
    /// Tells the store what comes and goes in the spool, until it is not waited for any more.
    pub(super) async fn keep_spool(&self) -> io::Result<std::convert::Infallible> {
        let events = self.spool.events()?;
        let mut sweeps = interval(SWEEPS);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ready = events.readable() => {
                    let happened = self.spool.take()?;
                    ready?.clear_ready();
                    self.look_at_spool(&happened);
                }
                _ = sweeps.tick() => self.sweep_spool(),
            }
        }
    }

    fn look_at_spool(&self, happened: &[InotifyEvent]) {
        let is_lost = |event: &InotifyEvent| {
            event.mask.intersects(AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED)
        };
        let mut changed = HashSet::new();
        for event in happened {
            let mut networks = self.spool.networks.borrow_mut();
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                // Somebody removed the directory.
                networks.remove(&event.wd);
            }
            let name = event.name.as_ref().and_then(|name| name.to_str());
            if let (Some(network), Some(name)) = (networks.get(&event.wd), name)
                && !name.starts_with('.')
            {
                changed.insert((network.clone(), name.to_owned()));
            }
        }
        if happened.iter().any(is_lost) {
            return self.sweep_spool();
        }
        if changed.is_empty() {
            return;
        }
        for (network, name) in changed {
            let path = SpoolRecord::directory(&self.paths.run, &network).join(&name);
            let record = fs::read(path).ok().and_then(|text| SpoolRecord::parse(&text).ok());
            let named = record.and_then(|record| named(&self.paths.run, &network, &name, &record));
            let mut read = self.spool.read.borrow_mut();
            match named {
                Some(named) => read.insert((network, name), named),
                None => read.remove(&(network, name)),
            };
        }
        self.publish();
    }

    /// Reads all that the plugin has said of the networks that are active here.
    pub(super) fn sweep_spool(&self) {
        let networks: Vec<NetworkName> = self.active.borrow().keys().cloned().collect();
        let read = networks.iter().flat_map(|network| self.read_spool(network)).collect();
        self.spool.read.replace(read);
        self.publish();
    }

    /// Begins to hear of a network that is new here.
    pub(super) fn hear_spool(&self, network: &NetworkName) {
        if !self.spool.hears(network) {
            let read = self.read_spool(network);
            self.spool.read.borrow_mut().extend(read);
            self.publish();
        }
    }

    /// All that the plugin has said of a network, whose changes are heard of from here on.
    fn read_spool(&self, network: &NetworkName) -> Published {
        let watched = self.spool.watch(&self.paths.run, network).map_err(told);
        let all = watched.and_then(|()| SpoolRecord::all(&self.paths.run, network).map_err(told));
        let records = all.unwrap_or_else(|error| {
            eprintln!("cais-overlayd: read names of network {network}: {error}");
            BTreeMap::new()
        });
        // The daemon of names forgets who is dead, and the plugin tells it first.
        let known = names::Store::under(&self.paths.run);
        let lives = |record: &SpoolRecord| known.read(&record.key(network)).is_some();
        let living = records.into_iter().filter(|(_, record)| lives(record));
        let read = |(name, record): (String, SpoolRecord)| {
            let named = named(&self.paths.run, network, &name, &record)?;
            Some(((network.clone(), name), named))
        };
        living.filter_map(read).collect()
    }

    /// Tells the store all names of this host.
    pub(super) fn publish(&self) {
        if let Some(followed) = &*self.followed.borrow() {
            followed.store.publish(self.spool.read.borrow().clone());
        }
    }
}

/// What a record says; `None` where it lies in the file of another.
fn named(run_dir: &Path, network: &NetworkName, name: &str, record: &SpoolRecord) -> Option<Named> {
    let path = SpoolRecord::path(run_dir, &record.key(network));
    let is_its = path.file_name().is_some_and(|own| own == name);
    let most = record.names.len().min(MOST_NAMES);
    let (names, ips) = (record.names[..most].to_vec(), record.ips.clone());
    is_its.then_some(Named { names, ips })
}
