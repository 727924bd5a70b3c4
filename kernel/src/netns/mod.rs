//! Network namespaces, as in ip-netns(8).

mod pin;

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::netlink::{RequestError, Socket};
use crate::sys;

pub use pin::{create, create_unnamed, delete};

/// An open network namespace. It stays alive as long as this value, whatever happens to its path.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
}

/// Why a network namespace cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// Nothing has this path.
    #[error("open network namespace {}: it does not exist", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Something else has this path; often the plain file that is left after an unmount.
    #[error("open network namespace {}: it is not a network namespace", .path.display())]
    NotANamespace {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be opened.
    #[error("open network namespace {}: {source}", .path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread cannot move there.
    #[error("enter network namespace {}: {source}", .path.display())]
    Enter {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No thread for [`Netns::run`].
    #[error("start a thread for network namespace {}: {source}", .path.display())]
    Thread {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A new namespace cannot be made or pinned.
    #[error("create network namespace {}: {step}: {source}", .path.display())]
    Create {
        /// The path to pin it on.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A namespace cannot be unpinned.
    #[error("delete network namespace {}: {step}: {source}", .path.display())]
    Delete {
        /// The path.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl NetnsError {
    /// Whether the namespace is gone: its path is, or a plain file is all that is left there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotANamespace { .. })
    }
}

/// The namespace of the calling thread. Not `/proc/self/ns/net`: that is the main thread's.
const OF_THREAD: &str = "/proc/thread-self/ns/net";

impl Netns {
    /// Opens the namespace at `path`: a pin under `/run/netns`, `/proc/PID/ns/net`, …
    ///
    /// # Errors
    /// [`NetnsError::Missing`], also for the empty path and for a process that is gone;
    /// [`NetnsError::NotANamespace`]; [`NetnsError::Open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, NetnsError> {
        let path = path.into();
        let file = match open_to_examine(&path) {
            Ok(file) => file,
            Err(source) => {
                return Err(match source.kind() {
                    // ESRCH: the process behind /proc/PID/ns/net has exited.
                    io::ErrorKind::NotFound => NetnsError::Missing { path },
                    _ if source.raw_os_error() == Some(libc::ESRCH) => NetnsError::Missing { path },
                    _ => NetnsError::Open { path, source },
                });
            }
        };
        let kind = match fstatfs(&file) {
            Ok(statistics) => statistics.filesystem_type(),
            Err(errno) => return Err(NetnsError::Open { path, source: errno.into() }),
        };
        // Other things must not be asked: what an ioctl means is up to them.
        if kind != NSFS_MAGIC || sys::namespace_kind(file.as_fd()).ok() != Some(libc::CLONE_NEWNET)
        {
            return Err(NetnsError::NotANamespace { path });
        }
        Ok(Self { file, path })
    }

    /// Opens the calling thread's own.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn current() -> Result<Self, NetnsError> {
        Self::open(OF_THREAD)
    }

    /// The path it was opened by: what people know it as.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the namespace. Reused after its end: see [`cookie`](Self::cookie).
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub fn inode(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.ino())
    }

    /// Whether both are one namespace.
    ///
    /// # Errors
    /// When one of the files cannot be examined.
    pub fn same_as(&self, other: &Self) -> io::Result<bool> {
        let (one, two) = (self.file.metadata()?, other.file.metadata()?);
        Ok((one.dev(), one.ino()) == (two.dev(), two.ino()))
    }

    /// Identity that is never used again until reboot; `None` before Linux 5.14.
    ///
    /// Where a [`Socket`] in the namespace is at hand, ask that instead: it costs one system call.
    #[must_use]
    pub fn cookie(&self) -> Option<u64> {
        self.socket().ok()?.netns_cookie()
    }

    /// A netlink socket inside this namespace, opened without moving the calling thread.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or gives no socket.
    pub fn socket(&self) -> Result<Socket, SocketError> {
        let place = self.path.display().to_string();
        Ok(self.run(move || Socket::open(place))??)
    }

    /// Moves the calling thread here, for good. For a plugin's main, which has one thread and
    /// never looks back; everyone else wants [`run`](Self::run).
    ///
    /// # Errors
    /// [`NetnsError::Enter`]: `CAP_SYS_ADMIN` is needed here and in the caller's user namespace.
    pub fn enter_for_good(&self) -> Result<(), NetnsError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| NetnsError::Enter { path: self.path.clone(), source: errno.into() })
    }

    /// Calls `inside` in this namespace, on a thread of its own; the caller's thread stays where
    /// it is. A panic of `inside` goes on in the caller.
    ///
    /// # Errors
    /// [`NetnsError::Enter`], [`NetnsError::Thread`].
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .spawn_scoped(scope, || self.enter_for_good().map(|()| inside()))
                .map_err(|source| NetnsError::Thread { path: self.path.clone(), source })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Why a namespace gives no netlink socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The kernel gives no socket.
    #[error(transparent)]
    Netlink(#[from] RequestError),
}

/// Opens what may be anything: a pipe must not make us wait for its writer, nor a terminal become
/// ours.
fn open_to_examine(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// `CStr` for mounts without a type or data.
const NOTHING: Option<&CStr> = None;
