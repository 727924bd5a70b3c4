use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Link;
use crate::netlink::message::Message;
use crate::netlink::{Action, Error, RequestError, Socket};

/// Hears what happens to the links of a namespace: `ip monitor link`.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
}

/// What happened to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is new, or changed to this.
    Changed(Box<Link>),
    /// It has gone: deleted, or moved to another namespace.
    Gone(Box<Link>),
    /// More happened than the socket could hold: read what you need to know again.
    Lost,
}

/// Group of `linux/rtnetlink.h` that hears of links.
const RTNLGRP_LINK: u32 = 1;

impl Monitor {
    /// Starts to listen in the calling thread's network namespace, called `place` in errors.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        let socket = Socket::open(place)?;
        socket.subscribe(RTNLGRP_LINK)?;
        Ok(Self { socket })
    }

    /// The next event; `None` when nothing happens for `limit`.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn next(&self, limit: Duration) -> Result<Option<Event>, RequestError> {
        match self.heard(Instant::now() + limit, event) {
            Ok(event) => Ok(Some(event)),
            Err(Error::Timeout(_)) => Ok(None),
            Err(Error::Overrun) => Ok(Some(Event::Lost)),
            Err(source) => Err(self.socket.failed(&Action::Subscribe, source)),
        }
    }

    /// The first message that `wanted` makes something of.
    pub(super) fn heard<T>(
        &self,
        deadline: Instant,
        mut wanted: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        self.socket.receive(deadline, |message| match wanted(message) {
            Some(news) => ControlFlow::Break(news),
            None => ControlFlow::Continue(()),
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// The event in a message. Bridges tell of their ports in the same way, as family `AF_BRIDGE`;
/// those are left out: the link itself did not come or go.
pub(crate) fn event(message: Message<'_>) -> Option<Event> {
    if message.body.first() != Some(&(libc::AF_UNSPEC as u8)) {
        return None;
    }
    let link = || Link::parse(message.body).map(Box::new);
    match message.kind {
        libc::RTM_NEWLINK => link().map(Event::Changed),
        libc::RTM_DELLINK => link().map(Event::Gone),
        _ => None,
    }
}
