//! The name by which clients find the control socket. Without it nobody ever comes again: the next
//! client starts another daemon.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A path, and the socket that was there in the beginning.
pub(super) struct Name {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// Tells when the socket loses a name, by which it ends too when its whole directory goes.
    /// `None` where the kernel has no more room for watches.
    watch: Option<Inotify>,
}

impl Name {
    pub(super) fn of(path: &Path) -> Self {
        let watch = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok();
        let watch = watch.filter(|watch| {
            // The number of names is an attribute; see inotify(7).
            let flags = AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF;
            watch.add_watch(path, flags).is_ok()
        });
        Self { path: path.to_owned(), identity: identity(path), watch }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the socket is still found there; another one is somebody else's.
    pub(super) fn leads_here(&self) -> bool {
        self.identity.is_some() && identity(&self.path) == self.identity
    }

    /// What becomes readable when [`leads_here`](Self::leads_here) may give something else.
    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Waits for what comes after this.
    pub(super) fn take_events(&self) {
        if let Some(watch) = &self.watch {
            // What happened is seen by looking.
            let _ = watch.read_events();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let about = fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}
