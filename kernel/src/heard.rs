//! What happens in a namespace, for those who keep something there: `ip monitor`, `nft monitor`.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use crate::link::{Event, Link, event};
use crate::netlink::attributes::{Attribute, Attributes, u32_at};
use crate::netlink::message::Message;
use crate::netlink::{Action, Error, RequestError, Socket};

/// Groups of `linux/rtnetlink.h`: links, neighbours, then addresses and routes of both families.
const OBJECTS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`.
const FILTER: u32 = 7;

/// `NFNL_SUBSYS_NFTABLES`, the upper half of its messages' kinds.
const NFTABLES: u16 = 10;
/// `NFT_MSG_NEWGEN`, by which each transaction ends, and its `NFTA_GEN_PROC_PID`.
const NEWGEN: u16 = 15;
const GEN_PROC_PID: u16 = 2;
/// `nfgenmsg`.
const NFGENMSG_BYTES: usize = 4;

/// Hears what happens, by whomever. Poll its descriptor, then [`take`](Self::take).
#[derive(Debug)]
pub struct Ears {
    socket: Socket,
    /// Tables of the transaction whose end has not been heard yet.
    tables: RefCell<Vec<String>>,
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
    /// Chains, rules or sets of this table of the packet filter changed.
    Filter(String),
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
        Ok(Self { socket, tables: RefCell::default() })
    }

    /// For the packet filter of the calling thread's namespace: what others than this process change.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn for_filter(place: impl Into<Box<str>>) -> Result<Self, RequestError> {
        let socket = Socket::open_netfilter(place)?;
        socket.subscribe(FILTER)?;
        Ok(Self { socket, tables: RefCell::default() })
    }

    /// Hands what has happened since the last call to `each`; waits for nothing.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn take(&self, mut each: impl FnMut(Heard)) -> Result<(), RequestError> {
        let taken = self.socket.drain(|message| match heard(message) {
            Some(Told::Heard(heard)) => each(heard),
            Some(Told::Table(table)) => {
                let mut tables = self.tables.borrow_mut();
                if !tables.contains(&table) {
                    tables.push(table);
                }
            }
            Some(Told::End { by }) => {
                let tables = self.tables.take().into_iter();
                let of_others = tables.filter(|_| by != Some(std::process::id()));
                of_others.map(Heard::Filter).for_each(&mut each);
            }
            None => {}
        });
        match taken {
            Err(Error::Overrun) => {
                self.tables.take();
                each(Heard::Lost);
            }
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

/// What a message tells.
enum Told {
    Heard(Heard),
    /// Something of a table changed, in a transaction that goes on.
    Table(String),
    /// The end of a transaction of the packet filter, and which process made it.
    End {
        by: Option<u32>,
    },
}

fn heard(message: Message<'_>) -> Option<Told> {
    let body = message.body;
    // `ifa_index`, `ndm_ifindex`.
    let index = || u32_at(body, 4);
    let heard = match message.kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => event(message).map(|event| match event {
            Event::Changed(link) => Heard::Link(link),
            Event::Gone(link) => Heard::LinkGone(link),
            Event::Lost => Heard::Lost,
        }),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => index().map(Heard::Address),
        libc::RTM_DELNEIGH => index().map(Heard::NeighbourGone),
        // `rtm_protocol`.
        libc::RTM_DELROUTE => body.get(5).copied().map(Heard::RouteGone),
        kind if kind >> 8 == NFTABLES => return of_filter(kind & 0xff, body),
        _ => None,
    };
    heard.map(Told::Heard)
}

/// A message of nf_tables: the first attribute of each kind of object names the table that it is of.
fn of_filter(kind: u16, body: &[u8]) -> Option<Told> {
    let mut attributes = Attributes::after(NFGENMSG_BYTES, body);
    match kind {
        NEWGEN => {
            let by = attributes.find(|attribute| attribute.kind == GEN_PROC_PID);
            Some(Told::End { by: by.and_then(Attribute::u32_be) })
        }
        _ => attributes.find(|attribute| attribute.kind == 1).map(Attribute::text).map(Told::Table),
    }
}
