//! The daemon's side of being started.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use cni::Error;
use nix::sys::socket::{self, SockType, sockopt};
use nix::unistd;

use crate::failed;
use crate::start::{SERVE, quiet};

/// Starts the process that stays, in a session of its own, with the control socket that is our
/// standard input, and nothing else of ours. It is known as `path`.
///
/// # Errors
/// What the system said.
pub fn start_detached(path: &Path) -> Result<(), Error> {
    kernel::descriptors::close_others_on_exec();
    unistd::setsid().map_err(|error| failed("begin a session", error))?;
    let program = std::env::current_exe().map_err(|error| failed("find my own file", error))?;
    let mut command = quiet(&program, SERVE, path);
    command.stdin(Stdio::inherit());
    command.spawn().map_err(|error| failed(format!("start {}", program.display()), error))?;
    Ok(())
}

/// Takes the control socket that is our standard input, and leaves that to `/dev/null`.
///
/// # Errors
/// When it is no listening socket for packets.
pub fn inherited() -> io::Result<UnixListener> {
    let control = listening(io::stdin().as_fd().try_clone_to_owned()?)?;
    unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(control)
}

/// Takes the control socket that systemd passes, see sd_listen_fds(3); `None` when it passes none.
/// To be called once, before anything else is opened.
///
/// # Errors
/// When it is not one listening socket for packets.
pub fn activated() -> Option<io::Result<UnixListener>> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID")? != std::process::id() {
        return None;
    }
    Some(match number("LISTEN_FDS")? {
        1 => kernel::descriptors::passed(3).and_then(listening),
        count => Err(io::Error::other(format!("{count} sockets are passed, not one"))),
    })
}

fn listening(control: OwnedFd) -> io::Result<UnixListener> {
    let listens = socket::getsockopt(&control, sockopt::AcceptConn)?;
    if !listens || socket::getsockopt(&control, sockopt::SockType)? != SockType::SeqPacket {
        return Err(io::Error::other("it is no listening socket for packets"));
    }
    Ok(UnixListener::from(control))
}
