//! The sockets that queries come in by.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use names::{Place, Record};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use tokio::net::TcpListener;
use tokio::task::{self, AbortHandle};
use types::Attachment;

use super::shared::{Entrance, Shared};
use super::{tcp, udp};
use crate::link::Listener;
use crate::pipeline::Door;

/// Which sockets they are. Containers of a network share those at its gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum DoorKey {
    /// At a gateway's address on a bridge.
    Gateway {
        /// The network.
        network: Rc<str>,
        /// The bridge's number.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// In a container's own namespace.
    Container(Attachment),
}

impl DoorKey {
    /// The sockets at a place of an attachment.
    pub(super) fn of(key: &Attachment, place: &Place) -> Self {
        match place {
            Place::Gateway { index, address, .. } => Self::Gateway {
                network: key.network.as_str().into(),
                index: *index,
                address: *address,
            },
            Place::Container { .. } => Self::Container(key.clone()),
        }
    }

    fn network(&self) -> &str {
        match self {
            Self::Gateway { network, .. } => network,
            Self::Container(key) => key.network.as_str(),
        }
    }

    fn door(&self) -> Door {
        match self {
            Self::Gateway { network, .. } => Door::Network(Rc::clone(network)),
            Self::Container(key) => Door::Container(key.container.as_str().into()),
        }
    }
}

/// All sockets that are open.
pub(super) struct Doors {
    shared: Rc<Shared>,
    open: RefCell<HashMap<DoorKey, Open>>,
}

/// Closes its sockets when dropped, and ends its connections.
#[derive(Debug)]
struct Open {
    listener: Listener,
    tasks: [AbortHandle; 2],
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Doors {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, open: RefCell::default() }
    }

    /// At which port each place of `record` is listened at; 0 where it is not.
    pub(super) fn ports(&self, record: &Record) -> Vec<u16> {
        let open = self.open.borrow();
        let port = |place| {
            open.get(&DoorKey::of(&record.key, place)).map_or(0, |open| open.listener.place.port())
        };
        record.places.iter().map(port).collect()
    }

    /// Answers by these sockets from now on. Gives those that they take the place of: of a bridge that
    /// was made anew.
    ///
    /// # Errors
    /// When they are not what they should be, or the system refuses.
    pub(super) fn open(
        &self,
        listener: Listener,
        [datagrams, streams]: [OwnedFd; 2],
    ) -> io::Result<Vec<Listener>> {
        let key = DoorKey::of(&listener.key, &listener.place);
        let kind = |socket: &OwnedFd| getsockopt(socket, sockopt::SockType);
        if kind(&datagrams)? != SockType::Datagram
            || kind(&streams)? != SockType::Stream
            || !getsockopt(&streams, sockopt::AcceptConn)?
        {
            return Err(io::Error::other("they are no sockets for datagrams and connections"));
        }
        let datagrams = udp::watch(datagrams.into())?;
        let streams = std::net::TcpListener::from(streams);
        streams.set_nonblocking(true)?;
        let streams = TcpListener::from_std(streams)?;
        let entrance = Entrance { door: key.door(), counters: self.shared.counters(key.network()) };
        let tasks = [
            task::spawn_local(udp::serve(Rc::clone(&self.shared), entrance.clone(), datagrams))
                .abort_handle(),
            task::spawn_local(tcp::serve(Rc::clone(&self.shared), entrance, streams))
                .abort_handle(),
        ];
        let replaced = self.close(|other| is_former(other, &key));
        self.open.borrow_mut().insert(key, Open { listener, tasks });
        Ok(replaced)
    }

    /// Closes the sockets that nobody needs after `key` is gone.
    pub(super) fn close_after(&self, key: &Attachment) -> Vec<Listener> {
        let network = key.network.as_str();
        let is_empty = {
            let zone = self.shared.zone.borrow();
            zone.network(network).is_none_or(|network| network.borrow().is_empty())
        };
        self.close(|door| match door {
            DoorKey::Container(of) => of == key,
            DoorKey::Gateway { network: of, .. } => is_empty && **of == *network,
        })
    }

    /// Closes all but these; which of them are open.
    pub(super) fn keep_only(&self, keys: &[DoorKey]) -> HashSet<DoorKey> {
        let mut open = self.open.borrow_mut();
        open.retain(|key, _| keys.contains(key));
        open.keys().cloned().collect()
    }

    /// Closes all.
    pub(super) fn close_all(&self) {
        self.open.borrow_mut().clear();
    }

    /// All that are open.
    pub(super) fn list(&self) -> Vec<Listener> {
        self.open.borrow().values().map(|open| open.listener.clone()).collect()
    }

    fn close(&self, is_meant: impl Fn(&DoorKey) -> bool) -> Vec<Listener> {
        let mut open = self.open.borrow_mut();
        let closed: Vec<DoorKey> = open.keys().filter(|key| is_meant(key)).cloned().collect();
        closed.iter().filter_map(|key| open.remove(key)).map(|open| open.listener.clone()).collect()
    }
}

/// Whether `other` is the same place as `key` on a bridge of an earlier time.
fn is_former(other: &DoorKey, key: &DoorKey) -> bool {
    match (other, key) {
        (
            DoorKey::Gateway { network: a, index: i, address: x },
            DoorKey::Gateway { network: b, index: j, address: y },
        ) => a == b && x == y && i != j,
        _ => false,
    }
}
