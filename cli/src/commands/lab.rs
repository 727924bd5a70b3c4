use std::fs;
use std::io;
use std::path::Path;

use cni::{Error, code};
use kernel::lab::{self, LabError};
use kernel::mount::{self, MountError};
use kernel::netns::Netns;

use crate::args::Lab;
use crate::fault::{Done, Fault};

use super::exec::become_command;
use super::netns::lo_up;

/// `cais lab`: this process moves to the lab and becomes the command, so nothing of the lab is
/// left once its last process has ended.
pub(crate) fn run(args: &Lab) -> Done {
    enter().map_err(|e| Fault::ours(explain(&e)))?;
    private_state().map_err(|e| Fault::ours(Error::from_chain(code::IO, &e)))?;
    Netns::current()
        .map_err(|e| Error::from_chain(code::IO, &e))
        .and_then(|netns| lo_up(&netns))
        .map_err(Fault::ours)?;
    become_command(&args.command)
}

fn enter() -> Result<(), LabError> {
    match lab::enter() {
        // Root of a container has no right to namespaces, but may have one to a user namespace.
        Err(LabError::Unshare(_, e)) if nix::unistd::geteuid().is_root() => {
            lab::become_root().map_err(|_| LabError::Unshare("network and mount", e))?;
            lab::enter_as_root()
        }
        other => other,
    }
}

/// The error in words for people, with what to do on this very system.
fn explain(error: &LabError) -> Error {
    let setting = |name: &str| fs::read_to_string(name).unwrap_or_default().trim().to_owned();
    let explained = Error::from_chain(code::IO, error).in_step("make a lab");
    let hint = if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "this system lets only programs with an AppArmor profile make user namespaces: install \
         the profile packaging/apparmor/cais as /etc/apparmor.d/cais, or run this as root"
    } else if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        "user namespaces are for root only here: as root, run \
         `sysctl -w kernel.unprivileged_userns_clone=1`, or run this as root"
    } else if setting("/proc/sys/user/max_user_namespaces") == "0" {
        "user namespaces are switched off here: as root, run \
         `sysctl -w user.max_user_namespaces=10000`, or run this as root"
    } else {
        error.hint().unwrap_or(
            "this container or its seccomp profile forbids namespaces: run this outside of it, \
             or give the container CAP_SYS_ADMIN",
        )
    };
    explained.with_hint(hint)
}

/// Empties `/var/lib/cni`. Where it is missing and we may not make it, `/var/lib` is rebuilt of
/// its own entries in memory, so that it can be made there.
fn private_state() -> Result<(), MountError> {
    let state = Path::new("/var/lib/cni");
    if !state.is_dir() {
        rebuild(Path::new("/var/lib"))?;
        fs::create_dir_all(state).map_err(|e| failed("make a directory", state, e))?;
    }
    mount::tmpfs(state)
}

/// Puts a file system in memory over `directory` in which each entry is what it was.
fn rebuild(directory: &Path) -> Result<(), MountError> {
    // `/run` is the lab's own by now.
    let aside = Path::new("/run/cais-lab");
    fs::create_dir_all(aside).map_err(|e| failed("make a directory", aside, e))?;
    mount::bind(directory, aside)?;
    mount::tmpfs(directory)?;
    let entries = fs::read_dir(aside).map_err(|e| failed("read the entries", aside, e))?;
    for entry in entries.flatten() {
        let (was, now) = (entry.path(), directory.join(entry.file_name()));
        // An entry that cannot be shown is missing in the lab, and that is all.
        let _ = show_again(&was, &now);
    }
    Ok(())
}

fn show_again(was: &Path, now: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(was)?.file_type();
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(was)?, now);
    }
    if kind.is_dir() {
        fs::create_dir(now)?;
    } else {
        fs::File::create_new(now)?;
    }
    mount::bind(was, now).map_err(io::Error::other)
}

fn failed(what: &str, on: &Path, source: io::Error) -> MountError {
    MountError { what: what.to_owned(), on: on.to_owned(), source }
}
