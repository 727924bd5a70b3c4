//! A private place to build networks in: the calling process moves to a network and a mount
//! namespace of its own, and where it is not root also to a user namespace, in which it is.

use std::fs;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::mount::{self, MountError};

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The kernel gives this process no new namespaces.
    #[error("make a {0} namespace: {1}")]
    Unshare(&'static str, io::Error),
    /// The user namespace cannot be given its root user.
    #[error("write {0}: {1}")]
    Map(&'static str, io::Error),
    /// The lab's file systems cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
}

impl LabError {
    /// What the reader can do about it, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unshare("user", error) if error.raw_os_error() == Some(libc::EINVAL) => {
                Some("a process that has started threads cannot do this")
            }
            Self::Unshare("user", _) | Self::Map(..) => Some(
                "user namespaces are switched off or restricted here: see the sysctls \
                 kernel.apparmor_restrict_unprivileged_userns, kernel.unprivileged_userns_clone \
                 and user.max_user_namespaces",
            ),
            _ => None,
        }
    }
}

/// Moves the calling process, which must not have started a thread yet, into a new lab: empty
/// network, empty `/run`, `/sys` that shows it. As an ordinary user it becomes root in there.
///
/// # Errors
/// [`LabError`]; the process may then be half way in, and should exit.
pub fn enter() -> Result<(), LabError> {
    if !geteuid().is_root() {
        become_root()?;
    }
    enter_as_root()
}

/// Moves the calling process to a user namespace in which it is root, and nobody else is anyone.
///
/// # Errors
/// [`LabError::Unshare`], [`LabError::Map`].
pub fn become_root() -> Result<(), LabError> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| LabError::Unshare("user", errno.into()))?;
    // user_namespaces(7): group ids can be mapped only once setgroups(2) is given up.
    for (file, content) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ] {
        fs::write(file, content).map_err(|error| LabError::Map(file, error))?;
    }
    Ok(())
}

/// Moves the calling thread, which is root of its user namespace, to a new network and mount
/// namespace with an empty `/run`, and a `/sys` that shows the new network where that is allowed.
///
/// # Errors
/// [`LabError`].
pub fn enter_as_root() -> Result<(), LabError> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| LabError::Unshare("network and mount", errno.into()))?;
    mount::make_private()?;
    mount::tmpfs(Path::new("/run"))?;
    // In a container /sys may be hidden in part, and then there is no other; only people look.
    let _ = mount::sysfs(Path::new("/sys"));
    Ok(())
}
