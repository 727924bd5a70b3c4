//! Becoming the program that is installed now, with all sockets and the worker: the process stays
//! the same, so that systemd and the worker lose nobody.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use kernel::descriptors::passed;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, dup2_stdin};

use super::successor::{Successor, program};
use super::{Keeper, Named, place_of};
use crate::link::ToKeeper;

/// First argument of a program that goes on with what is written in standard input.
pub const RESUME: &str = "resume";

/// What the former program and the next must agree upon: the form of what is written there.
pub(crate) const LAYOUT: &str = "1";

/// Goes on where the former program of this process was.
///
/// # Errors
/// When that was not written as this program reads it, and as [`run`](super::run).
pub fn resume(path: &Path) -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let (keeper, worker) = read(&text, path)?;
    dup2_stdin(File::open("/dev/null")?)?;
    keeper.go_on(worker)
}

impl Keeper {
    /// Becomes the installed program; returns only when that fails, with why.
    pub(super) fn become_installed(&self, worker: &Successor) -> io::Error {
        let (text, passing) = self.written(worker);
        let outcome = program().and_then(|program| {
            let mut state = File::from(memfd_create("cais-dnsd", MFdFlags::MFD_CLOEXEC)?);
            state.write_all(text.as_bytes())?;
            state.rewind()?;
            for descriptor in &passing {
                fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Err(Command::new(program).arg(RESUME).arg(self.name.path()).stdin(state).exec())
        });
        for descriptor in &passing {
            // Workers are not to have them.
            let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
        outcome.map_or_else(|error| error, |never: std::convert::Infallible| match never {})
    }

    /// All that the next program has to know, and the descriptors that are named there.
    fn written<'a>(&'a self, worker: &'a Successor) -> (String, Vec<BorrowedFd<'a>>) {
        let named = match self.named {
            Named::ByClient => "client",
            Named::BySystemd => "systemd",
        };
        let (pid, link) = (worker.pid().map_or(0, Pid::as_raw), worker.link().as_raw_fd());
        let mut text = format!("{} {named} {pid} {link}\n", self.control.as_raw_fd());
        let mut passing = vec![self.control.as_fd(), worker.link().as_fd()];
        for (listener, [udp, tcp]) in self.kept.values() {
            let place = ToKeeper::Keep(listener.clone()).encode();
            let place = String::from_utf8_lossy(&place);
            writeln!(text, "{} {} {place}", udp.as_raw_fd(), tcp.as_raw_fd())
                .expect("a string takes all");
            passing.extend([udp.as_fd(), tcp.as_fd()]);
        }
        (text, passing)
    }
}

fn read(text: &str, path: &Path) -> io::Result<(Keeper, Successor)> {
    let unread = |line: &str| io::Error::other(format!("cannot go on from {line:?}"));
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let fields: Vec<_> = first.split(' ').collect();
    let &[control, named, pid, link] = &*fields else { return Err(unread(first)) };
    let number = |field: &str| field.parse::<i32>().map_err(|_| unread(first));
    let named = if named == "systemd" { Named::BySystemd } else { Named::ByClient };
    let control = UnixListener::from(passed(number(control)?)?);
    let link = UnixStream::from(passed(number(link)?)?);
    let worker = Successor::resumed(Pid::from_raw(number(pid)?), link);
    let mut keeper = Keeper::new(control, path, named)?;
    for line in rest.lines() {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().ok_or_else(|| unread(line));
        let sockets = [part()?, part()?].map(|number| number.parse().map_err(|_| unread(line)));
        let [udp, tcp] = sockets;
        let message = ToKeeper::parse(part()?.as_bytes()).map_err(io::Error::other)?;
        let ToKeeper::Keep(listener) = message else { return Err(unread(line)) };
        keeper.kept.insert(place_of(&listener), (listener, [passed(udp?)?, passed(tcp?)?]));
    }
    Ok((keeper, worker))
}
