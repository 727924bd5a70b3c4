//! Notices that files changed, however they are replaced.
//!
//! A watch on a file ends with the file, and resolv.conf is mostly replaced by renaming another over
//! it, or by turning a symlink. So the directories are watched: that of the file, and those of
//! whatever its symlinks lead to. A look every few seconds finds what that cannot see (directories
//! that come later, file systems without events).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe::Receiver;

use crate::every::{Every, receiver};

/// How often the files are looked at when no event came.
const LOOK: Duration = Duration::from_secs(5);
/// As many symlinks as the kernel follows would be 40; nobody has more than two.
const HOPS: usize = 8;

/// Waits for changes of some files, which need not exist.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    watches: Option<Inotify>,
    /// The same descriptor as that of `watches`, as what tokio can wait for without unsafe code.
    events: Option<Receiver>,
    look: Option<Every>,
    seen: Vec<Option<Identity>>,
}

/// What differs when a file is another one, or has other content.
type Identity = (u64, u64, u64, i64, i64, i64, i64);

impl Watch {
    /// Watches `paths` from now on: read them after this, and what comes between is not missed.
    ///
    /// Where the kernel has no more room for watches only the look every five seconds remains.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O enabled.
    #[must_use]
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let watches = Inotify::init(flags).ok();
        let events = watches.as_ref().and_then(|watches| receiver(watches).ok());
        let paths: Vec<PathBuf> = paths.into_iter().map(Path::to_owned).collect();
        let seen = paths.iter().map(|path| identity(path)).collect();
        let mut watch = Self { paths, watches, events, look: Every::new(LOOK).ok(), seen };
        watch.arm();
        watch
    }

    /// Returns when one of the files changed, came or went since the last call, or since
    /// [`Watch::new`]; also when only something else in their directories did, so compare what is
    /// read with what was.
    ///
    /// Cancel-safe: a change is reported by the next call then.
    pub async fn changed(&mut self) {
        loop {
            let told = tokio::select! {
                () = next_event(self.events.as_ref()) => true,
                () = over(self.look.as_ref()) => false,
            };
            // A symlink may lead elsewhere now, and a directory may be another one.
            self.arm();
            let now: Vec<_> = self.paths.iter().map(|path| identity(path)).collect();
            if told || now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Watches the directories that matter now. The kernel knows those it watches already.
    fn arm(&mut self) {
        let Some(watches) = &self.watches else { return };
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ONLYDIR;
        let hops = self.paths.iter().flat_map(|path| hops(path));
        for directory in hops.filter_map(|hop| hop.parent().map(Path::to_owned)) {
            // One that is not there yet is found by a later look.
            let _ = watches.add_watch(&directory, flags);
        }
    }
}

/// Waits for events in the directories and takes them all. Which file they are about is left to the
/// look that follows.
async fn next_event(events: Option<&Receiver>) {
    let Some(events) = events else { return std::future::pending().await };
    if events.readable().await.is_err() {
        return std::future::pending().await;
    }
    let mut read = [0; 4096];
    while events.try_read(&mut read).is_ok() {}
}

async fn over(look: Option<&Every>) {
    match look {
        Some(look) => look.over().await,
        None => std::future::pending().await,
    }
}

/// `path` and what its symlinks lead to, one after the other.
fn hops(path: &Path) -> Vec<PathBuf> {
    let mut hops = vec![path.to_owned()];
    while hops.len() < HOPS {
        let Some(last) = hops.last() else { break };
        let Ok(target) = std::fs::read_link(last) else { break };
        let next = last.parent().unwrap_or(Path::new("/")).join(target);
        hops.push(next);
    }
    hops
}

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ))
}
