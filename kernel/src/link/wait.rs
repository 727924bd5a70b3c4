use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::{Dev, Link, get};
use crate::netlink::{Action, RequestError, Socket};

/// Group of `linux/rtnetlink.h` that hears of links.
pub(super) const RTNLGRP_LINK: u32 = 1;

/// Waits until `dev` is operational (RFC 2863 `up`), for at most `limit`; reads it once at least.
///
/// A veth is operational some microseconds after both ends are up, when the kernel's link watch
/// has run. `socket` and the calling thread must be in the same namespace.
///
/// # Errors
/// [`Error::Timeout`](crate::netlink::Error::Timeout); or the link cannot be read, for instance
/// because it has gone meanwhile ([`RequestError::is_missing`]).
pub fn wait_until_operational(
    socket: &Socket,
    dev: &Dev,
    limit: Duration,
) -> Result<Link, RequestError> {
    let link = get(socket, dev)?;
    if link.is_operational() {
        return Ok(link);
    }
    let events = Socket::open(socket.place())?.with_timeout(limit);
    events.subscribe(RTNLGRP_LINK)?;
    let deadline = Instant::now() + limit;
    loop {
        // Asked again after each event: the first may have happened before we subscribed, and
        // events can be lost.
        let link = get(socket, dev)?;
        if link.is_operational() {
            return Ok(link);
        }
        let heard = events.receive(deadline, |message| {
            let news = Link::parse(message.body);
            match news {
                Some(news) if news.dev.index == dev.index => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        match heard {
            Ok(()) | Err(crate::netlink::Error::Overrun) => {}
            Err(source) => {
                let action = Action::WaitUp { link: dev.name.clone() };
                return Err(events.failed(&action, source));
            }
        }
    }
}
