//! One stream of changes for several subtrees.

use std::time::Duration;

use tokio::time::timeout;

use super::connection::{Connection, Duplex, EtcdError};
use super::kv::{Entry, end_of};
use super::wire;

/// A subtree to be watched: all keys below a prefix that ends with a slash, or a single key.
#[derive(Debug, Clone)]
pub(crate) struct Subtree {
    /// Chosen by us, not 0.
    pub(crate) id: i64,
    pub(crate) prefix: String,
    /// The first revision of interest.
    pub(crate) from: i64,
}

/// What the stream brings.
#[derive(Debug)]
pub(crate) enum News {
    /// Keys of a subtree that changed, in order.
    Changes(i64, Vec<Change>),
    /// Changes of this subtree cannot be had any more: it must be listed again.
    Compacted(i64),
    /// Nothing; but it lives.
    Alive,
}

/// One change.
#[derive(Debug)]
pub(crate) enum Change {
    /// A key has a new value.
    Put(Entry),
    /// A key is gone, since this revision.
    Gone(String, i64),
}

/// The stream; it ends when dropped.
pub(crate) struct Watch {
    stream: Duplex<wire::WatchRequest, wire::WatchResponse>,
    connection: Connection,
    silence: Duration,
}

impl Connection {
    /// Watches the `subtrees`, of which there is at least one. After so much `silence` the stream is
    /// asked whether it lives, and after as much again it counts as dead. etcd's own notice of
    /// progress comes every 10 minutes only.
    pub(crate) async fn watch(
        &self,
        subtrees: &[Subtree],
        silence: Duration,
    ) -> Result<Watch, EtcdError> {
        let first = subtrees.iter().map(creation).collect();
        let stream = self.stream("watch", "/etcdserverpb.Watch/Watch", first).await?;
        Ok(Watch { stream, connection: self.clone(), silence })
    }
}

impl Watch {
    /// Watches one more.
    pub(crate) fn add(&self, subtree: &Subtree) -> Result<(), EtcdError> {
        self.stream.send(creation(subtree))
    }

    /// Watches one less; a few of its changes may still come.
    pub(crate) fn remove(&self, id: i64) -> Result<(), EtcdError> {
        let cancel = wire::WatchUnion::Cancel(wire::WatchCancelRequest { watch_id: id });
        self.stream.send(wire::WatchRequest { union: Some(cancel) })
    }

    /// The next news. Fails when the stream broke, or it was silent for too long.
    ///
    /// Nothing is lost when the future is dropped, but its measuring of silence begins anew.
    pub(crate) async fn next(&mut self) -> Result<News, EtcdError> {
        let answer = match timeout(self.silence, self.stream.next()).await {
            Ok(answer) => answer?,
            Err(_) => {
                let progress = wire::WatchUnion::Progress(wire::WatchProgressRequest {});
                self.stream.send(wire::WatchRequest { union: Some(progress) })?;
                match timeout(self.silence, self.stream.next()).await {
                    Ok(answer) => answer?,
                    Err(_) => return Err(self.stream.silent(self.silence * 2)),
                }
            }
        };
        self.news(answer)
    }

    fn news(&self, answer: wire::WatchResponse) -> Result<News, EtcdError> {
        if answer.compact_revision != 0 {
            return Ok(News::Compacted(answer.watch_id));
        }
        if answer.canceled && !answer.cancel_reason.is_empty() {
            let reason = tonic::Status::cancelled(answer.cancel_reason);
            return Err(self.connection.refused("watch", &reason));
        }
        if answer.events.is_empty() {
            return Ok(News::Alive);
        }
        let changes = answer.events.into_iter().filter_map(change).collect();
        Ok(News::Changes(answer.watch_id, changes))
    }
}

fn creation(subtree: &Subtree) -> wire::WatchRequest {
    let create = wire::WatchCreateRequest {
        key: subtree.prefix.clone().into(),
        range_end: end_of(&subtree.prefix).into(),
        start_revision: subtree.from,
        progress_notify: true,
        watch_id: subtree.id,
    };
    wire::WatchRequest { union: Some(wire::WatchUnion::Create(create)) }
}

fn change(event: wire::Event) -> Option<Change> {
    let entry = Entry::from_wire(event.kv?)?;
    Some(match event.kind {
        0 => Change::Put(entry),
        _ => Change::Gone(entry.key, entry.modified),
    })
}
