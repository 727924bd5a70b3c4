//! Mounts that a lab needs in its own mount namespace. See mount(2).

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A mount that failed.
#[derive(Debug, thiserror::Error)]
#[error("mount {what} on {}: {source}", .on.display())]
pub struct MountError {
    /// What was to be mounted.
    pub what: String,
    /// Where.
    pub on: PathBuf,
    /// Why.
    pub source: io::Error,
}

const NOTHING: Option<&str> = None;

/// Cuts this mount namespace off from the one it came from: nothing mounted here is seen there.
///
/// # Errors
/// [`MountError`].
pub fn make_private() -> Result<(), MountError> {
    make("no propagation", Path::new("/"), NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE)
}

/// Moves the calling process, which must have one thread, to a mount namespace of its own that
/// starts with all mounts of the old one.
///
/// # Errors
/// [`MountError`].
pub fn enter_private() -> Result<(), MountError> {
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|errno| failed("a new mount namespace", Path::new("/"), errno))?;
    make_private()
}

/// Mounts an empty file system in memory.
///
/// # Errors
/// [`MountError`].
pub fn tmpfs(on: &Path) -> Result<(), MountError> {
    make("tmpfs", on, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV)
}

/// Mounts a sysfs that shows the links of the calling thread's network namespace.
///
/// # Errors
/// [`MountError`]: without root the kernel wants a sysfs that is wholly visible already.
pub fn sysfs(on: &Path) -> Result<(), MountError> {
    make("sysfs", on, Some("sysfs"), safe())
}

/// Mounts a procfs that shows the calling thread's PID namespace.
///
/// # Errors
/// [`MountError`]: without root the kernel wants a procfs that is wholly visible already.
pub fn proc(on: &Path) -> Result<(), MountError> {
    make("proc", on, Some("proc"), safe())
}

/// Makes the file or directory `what`, with all that is mounted below it, appear at `on`, too.
///
/// # Errors
/// [`MountError`].
pub fn bind(what: &Path, on: &Path) -> Result<(), MountError> {
    mount(Some(what), on, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .map_err(|errno| failed(&what.display().to_string(), on, errno))
}

fn safe() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

fn make(what: &str, on: &Path, kind: Option<&str>, flags: MsFlags) -> Result<(), MountError> {
    mount(Some(what), on, kind, flags, NOTHING).map_err(|errno| failed(what, on, errno))
}

fn failed(what: &str, on: &Path, errno: nix::errno::Errno) -> MountError {
    MountError { what: what.to_owned(), on: on.to_owned(), source: errno.into() }
}
