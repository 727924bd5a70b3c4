//! Starting the daemon, by whoever holds the lock.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use cni::{Error, code};
use deadline::Pending;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};

use crate::{Daemon, failed};

/// First argument of the process that only starts the one that stays.
pub const START: &str = "start";
/// First argument of the process that stays.
pub const SERVE: &str = "serve";

/// The program of that name: beside the caller's own, else in the first of `plugin_path` that has it.
///
/// # Errors
/// Code 50 when none has it.
pub fn find(program: &str, plugin_path: &[PathBuf]) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let directories: Vec<PathBuf> = own.into_iter().chain(plugin_path.iter().cloned()).collect();
    cni::exec::find(program, &directories)
}

/// Starts a daemon that listens at `path`. Requests can be sent when this returns.
///
/// The socket is made here and inherited, so that they queue until the daemon takes them. What is
/// started is a process that starts the daemon and ends: nobody's child stays, and nothing that a
/// runtime waits for stays open.
///
/// # Errors
/// Code 50 when the program is missing; code 11 at the deadline, or while the file is being written;
/// code 5 with what the system said.
pub fn start(
    daemon: Daemon,
    path: &Path,
    plugin_path: &[PathBuf],
    until: Instant,
) -> Result<(), Error> {
    let program = find(daemon.program, plugin_path)?;
    // A relative one would be looked for from the root, where the daemon lives.
    let program = program.canonicalize().map_err(|error| failed(program.display(), error))?;
    let listening =
        listen_at(path).map_err(|error| failed(format!("listen on {}", path.display()), error))?;
    let mut command = quiet(&program, START, path);
    command.stdin(listening);
    let pending = Pending::start(move || command.status());
    let step = || format!("start {}", program.display());
    let ended = pending.map_err(|error| failed(step(), error))?.wait(until);
    ended.ok_or_else(|| daemon.unanswered(path))?.and_then(succeeded).map_err(|error| {
        match error.kind() {
            io::ErrorKind::ExecutableFileBusy => {
                Error::new(code::TRY_AGAIN, format!("{}: {error}", step()))
                    .with_hint("somebody is just writing this file")
            }
            _ => failed(step(), error)
                .with_hint("the file must be executable and made for this machine"),
        }
    })
}

/// `program` with nothing of ours: no environment, no directory, no stream.
#[must_use]
pub fn quiet(program: &Path, verb: impl AsRef<OsStr>, socket: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(verb).arg(socket).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn succeeded(status: ExitStatus) -> io::Result<()> {
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

/// Where a socket is before it is ready. A killed call leaves it there.
#[must_use]
pub fn unfinished(path: &Path) -> PathBuf {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    PathBuf::from(unfinished)
}

/// A socket that listens at `path`, for the owner alone. It takes the place of one that a killed
/// daemon left, at once and only when it is ready.
///
/// # Errors
/// Of the system.
pub fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let unfinished = unfinished(path);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let kind = SockType::SeqPacket;
    let socket = socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    socket::bind(socket.as_raw_fd(), &UnixAddr::new(&unfinished)?)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    socket::listen(&socket, Backlog::new(128).map_err(io::Error::from)?)?;
    fs::rename(&unfinished, path)?;
    Ok(socket)
}
