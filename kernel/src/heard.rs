//! What happens in a namespace, for those who keep something there: `ip monitor`, `nft monitor`.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use crate::link::{Event, Link, event};
use crate::netlink::attributes::u32_at;
use crate::netlink::message::Message;
use crate::netlink::{Action, Error, RequestError, Socket};

/// Groups of `linux/rtnetlink.h`: links, neighbours, then addresses and routes of both families.
const OBJECTS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`.
const FILTER: u32 = 7;

/// Hears what happens, by whomever. Poll its descriptor, then [`take`](Self::take).
#[derive(Debug)]
pub struct Ears {
    socket: Socket,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A link is new or changed to this.
    Link(Box<Link>),
    /// A link has gone.
    LinkGone(Box<Link>),
    /// The link of this index got an address, or lost one.
    Address(u32),
    /// A neighbour or forwarding entry of the link of this index went.
    NeighbourGone(u32),
    /// A route went that was made by this protocol.
    RouteGone(u8),
    /// Rules or sets of the packet filter changed.
    Filter,
    /// More than the socket could hold: anything may have happened.
    Lost,
}

impl Ears {
    /// For links, addresses, routes and neighbours of the calling thread's namespace, called `place`
    /// in errors.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn for_objects(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        let socket = Socket::open(place)?;
        OBJECTS.into_iter().try_for_each(|group| socket.subscribe(group))?;
        Ok(Self { socket })
    }

    /// For the packet filter of the calling thread's namespace.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn for_filter(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        let socket = Socket::open_netfilter(place)?;
        socket.subscribe(FILTER)?;
        Ok(Self { socket })
    }

    /// Hands what has happened since the last call to `each`; waits for nothing.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn take(&self, mut each: impl FnMut(Heard)) -> Result<(), RequestError> {
        let taken = self.socket.drain(|message| {
            if let Some(heard) = heard(message) {
                each(heard);
            }
        });
        match taken {
            Err(Error::Overrun) => each(Heard::Lost),
            Err(source) => return Err(self.socket.failed(&Action::Subscribe, source)),
            Ok(()) => {}
        }
        Ok(())
    }
}

impl AsRawFd for Ears {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_fd().as_raw_fd()
    }
}

fn heard(message: Message<'_>) -> Option<Heard> {
    let body = message.body;
    // `ifa_index`, `ndm_ifindex`.
    let index = || u32_at(body, 4);
    match message.kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => event(message).map(|event| match event {
            Event::Changed(link) => Heard::Link(link),
            Event::Gone(link) => Heard::LinkGone(link),
            Event::Lost => Heard::Lost,
        }),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => index().map(Heard::Address),
        libc::RTM_DELNEIGH => index().map(Heard::NeighbourGone),
        // `rtm_protocol`.
        libc::RTM_DELROUTE => body.get(5).copied().map(Heard::RouteGone),
        // Messages of nf_tables, which is the tenth subsystem.
        kind if kind >> 8 == 10 => Some(Heard::Filter),
        _ => None,
    }
}
