//! The host side of a call: its namespace, its netlink socket, and the lock that tells whether
//! other calls are under way.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cni::record::{NetnsId, boot_id};
use cni::{Call, Error, code};
use kernel::link::Deleter;
use kernel::netlink::Socket;
use kernel::netns::Netns;

use crate::error::{no_netns, refused};

/// Deletes without waiting for RCU where this host allows it; for the namespace that the calling
/// thread is in. `run_dir` remembers whether it does.
#[must_use]
pub fn deleter(run_dir: &Path) -> Deleter {
    Deleter::detached(run_dir.join("deleter"))
}

/// What a call needs of the host, taken before it enters the container's namespace.
#[derive(Debug)]
pub struct Host {
    /// The host's namespace.
    pub netns: Netns,
    /// A socket in it; it stays there wherever the thread goes.
    pub socket: Socket,
    /// Where records and locks are: `/run/cais`.
    pub run_dir: PathBuf,
    shared: File,
}

impl Host {
    /// Opens the host's namespace, which the calling thread must be in.
    ///
    /// Waits for nothing in practice: the lock is shared among all calls, and the only exclusive
    /// holder (a failed ADD that takes a bridge back) never waits for anything itself.
    ///
    /// # Errors
    /// Code 5 or 11 with what could not be opened.
    pub fn open(run_dir: PathBuf) -> Result<Self, Error> {
        let netns = Netns::current().map_err(|e| no_netns(&e))?;
        let socket = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
        let unlocked =
            |e: io::Error| Error::new(code::IO, format!("lock {}: {e}", run_dir.display()));
        let shared = open_dir(&run_dir).map_err(unlocked)?;
        shared.lock_shared().map_err(unlocked)?;
        Ok(Self { netns, socket, run_dir, shared })
    }

    /// Whether no other call is under way on this host: then what this one made for all may be
    /// taken back. From here on new calls wait until this one ends.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        !matches!(self.shared.try_lock(), Err(TryLockError::WouldBlock))
    }
}

/// What tells `netns` from others, now and in later boots.
///
/// # Errors
/// When it, or `/proc`, cannot be read.
pub fn identity(netns: &Netns) -> io::Result<NetnsId> {
    Ok(NetnsId { inode: netns.inode()?, boot: boot_id()? })
}

/// The namespace of the container of `call`, as [`identity`] tells it.
///
/// # Errors
/// Code 4 when there is none, code 5 when it cannot be told.
pub fn sandbox_identity(call: &Call) -> Result<NetnsId, Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    identity(&netns).map_err(|e| Error::new(code::IO, format!("identify {}: {e}", call.sandbox())))
}

/// A directory to lock; locking it leaves no file behind.
fn open_dir(dir: &Path) -> io::Result<File> {
    match File::open(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
            File::open(dir)
        }
        other => other,
    }
}
