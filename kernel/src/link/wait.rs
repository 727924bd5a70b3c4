use std::time::{Duration, Instant};

use super::monitor::event;
use super::{Dev, Event, Link, Monitor, get};
use crate::netlink::{Action, Error, RequestError, Socket};

/// Waits until `dev` is operational (RFC 2863 `up`), for at most `limit`; reads it once at least.
///
/// A veth is operational some microseconds after both ends are up, when the kernel's link watch
/// has run. `socket` and the calling thread must be in the same namespace.
///
/// # Errors
/// [`Error::Timeout`]; or the link cannot be read, for instance because it has gone meanwhile
/// ([`RequestError::is_missing`]).
pub fn wait_until_operational(
    socket: &Socket,
    dev: &Dev,
    limit: Duration,
) -> Result<Link, RequestError> {
    let link = get(socket, dev)?;
    if link.is_operational() {
        return Ok(link);
    }
    let monitor = Monitor::open(socket.place())?;
    let deadline = Instant::now() + limit;
    loop {
        // Asked again after each event: the first may have happened before we listened, and
        // events can be lost.
        let link = get(socket, dev)?;
        if link.is_operational() {
            return Ok(link);
        }
        let news = monitor.heard(deadline, |message| match event(message)? {
            Event::Changed(link) | Event::Gone(link) => (link.dev.index == dev.index).then_some(()),
            Event::Lost => None,
        });
        match news {
            Ok(()) | Err(Error::Overrun) => {}
            Err(source) => {
                let action = Action::WaitUp { link: dev.name.clone() };
                let source = match source {
                    Error::Timeout(_) => Error::Timeout(limit),
                    other => other,
                };
                return Err(socket.failed(&action, source));
            }
        }
    }
}
