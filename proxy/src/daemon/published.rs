//! The mappings that are served.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use types::Attachment;

use super::poller::{Poller, READABLE, Source};
use crate::mapping::Mapping;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Socket {
    Stream(TcpListener),
    Datagram(UdpSocket),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(socket) => socket.as_fd(),
            Self::Datagram(socket) => socket.as_fd(),
        }
    }
}

struct Entry {
    key: Attachment,
    mapping: Mapping,
    socket: Socket,
}

/// All mappings, by number.
#[derive(Default)]
pub(super) struct Published {
    all: BTreeMap<u64, Entry>,
    /// Those that take no connection for the moment.
    paused: Vec<u64>,
}

impl Published {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn socket(&self, id: u64) -> Option<&Socket> {
        self.all.get(&id).map(|entry| &entry.socket)
    }

    /// A mapping's socket, and where it leads.
    pub(super) fn get(&self, id: u64) -> Option<(&Socket, SocketAddr)> {
        self.all.get(&id).map(|entry| (&entry.socket, entry.mapping.target))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Attachment, &Mapping)> {
        self.all.iter().map(|(id, entry)| (*id, &entry.key, &entry.mapping))
    }

    /// The numbers of a key's mappings.
    pub(super) fn of(&self, key: &Attachment) -> Vec<u64> {
        self.iter().filter(|(_, other, _)| *other == key).map(|(id, ..)| id).collect()
    }

    pub(super) fn insert(
        &mut self,
        id: u64,
        key: &Attachment,
        (mapping, socket): (Mapping, Socket),
        poller: &Poller,
    ) -> io::Result<()> {
        poller.add(&socket, Source::Mapping(id), READABLE)?;
        self.all.insert(id, Entry { key: key.clone(), mapping, socket });
        Ok(())
    }

    /// Closes a mapping's socket. A copy may be open elsewhere for a moment, so it is taken from
    /// the poller by hand.
    pub(super) fn remove(&mut self, id: u64, poller: &Poller) {
        if let Some(entry) = self.all.remove(&id) {
            poller.remove(&entry.socket);
            self.paused.retain(|paused| *paused != id);
        }
    }

    /// Leaves new connections of a mapping in the kernel's queue.
    pub(super) fn pause(&mut self, id: u64, poller: &Poller) {
        if let Some(entry) = self.all.get(&id) {
            poller.remove(&entry.socket);
            self.paused.push(id);
        }
    }

    /// Takes new connections again of paused mappings that have room.
    pub(super) fn resume(&mut self, poller: &Poller, has_room: impl Fn(u64) -> bool) {
        let all = &self.all;
        self.paused.retain(|id| {
            let Some(entry) = all.get(id) else { return false };
            !(has_room(*id) && poller.add(&entry.socket, Source::Mapping(*id), READABLE).is_ok())
        });
    }
}
