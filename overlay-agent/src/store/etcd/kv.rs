//! Keys, values and transactions.

use super::connection::{Connection, EtcdError};
use super::wire;
use crate::store::keys::Keys;

/// Entries per page of a listing.
const PAGE: i64 = 1000;
/// Listings longer than this are not ours.
const MOST_ENTRIES: usize = 500_000;

/// A key with its value, as etcd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    /// The revisions by which it came into being, and was last changed.
    pub(crate) created: i64,
    pub(crate) modified: i64,
    /// The lease it goes with, 0 for none.
    pub(crate) lease: i64,
}

impl Entry {
    /// `None` for a key that is no text; none of ours is like that.
    pub(super) fn from_wire(kv: wire::KeyValue) -> Option<Self> {
        Some(Self {
            key: String::from_utf8(kv.key).ok()?,
            value: kv.value,
            created: kv.create_revision,
            modified: kv.mod_revision,
            lease: kv.lease,
        })
    }
}

/// What a key or all keys below a prefix must be like; what to do then, and what to read otherwise.
#[derive(Default)]
pub(crate) struct Txn {
    request: wire::TxnRequest,
}

/// What a transaction did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Whether the comparisons held.
    pub(crate) held: bool,
    /// The store's revision afterwards.
    pub(crate) revision: i64,
    /// What each read of the branch taken gave, in order.
    pub(crate) read: Vec<Vec<Entry>>,
}

impl Done {
    /// The single entry of read number `index`, if there was one.
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.read.get(index).and_then(|entries| entries.first())
    }
}

const EQUAL: i32 = 0;
const GREATER: i32 = 1;

impl Txn {
    /// Only reads the `keys`.
    pub(crate) fn reading<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut txn = Self::default();
        txn.request.success = keys.into_iter().map(get).collect();
        txn
    }

    /// If there is no such key.
    #[must_use]
    pub(crate) fn if_absent(self, key: &str) -> Self {
        self.compare(key, "", EQUAL, wire::TargetUnion::Version(0))
    }

    /// If there is such a key.
    #[must_use]
    pub(crate) fn if_present(self, key: &str) -> Self {
        self.compare(key, "", GREATER, wire::TargetUnion::Version(0))
    }

    /// If there is no key below `prefix`.
    #[must_use]
    pub(crate) fn if_none_below(self, prefix: &str) -> Self {
        let end = end_of(prefix);
        self.compare(prefix, &end, EQUAL, wire::TargetUnion::Version(0))
    }

    /// If the key is as it was at revision `modified`; 0 if it was absent.
    #[must_use]
    pub(crate) fn if_unchanged(self, key: &str, modified: i64) -> Self {
        self.compare(key, "", EQUAL, wire::TargetUnion::ModRevision(modified))
    }

    /// If the key is as `entry` says, or absent as it was.
    #[must_use]
    pub(crate) fn if_still(self, key: &str, entry: Option<&Entry>) -> Self {
        self.if_unchanged(key, entry.map_or(0, |entry| entry.modified))
    }

    /// If the key goes with `lease`.
    #[must_use]
    pub(crate) fn if_leased(self, key: &str, lease: i64) -> Self {
        self.compare(key, "", EQUAL, wire::TargetUnion::Lease(lease))
    }

    fn compare(mut self, key: &str, end: &str, result: i32, with: wire::TargetUnion) -> Self {
        let target = match with {
            wire::TargetUnion::Version(_) => 0,
            wire::TargetUnion::ModRevision(_) => 2,
            wire::TargetUnion::Lease(_) => 4,
        };
        self.request.compare.push(wire::Compare {
            result,
            target,
            key: key.into(),
            union: Some(with),
            range_end: end.into(),
        });
        self
    }

    /// Then write it.
    #[must_use]
    pub(crate) fn put(self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.put_leased(key, value, 0)
    }

    /// Then write it, for as long as `lease` lives.
    #[must_use]
    pub(crate) fn put_leased(mut self, key: &str, value: impl Into<Vec<u8>>, lease: i64) -> Self {
        let put = wire::PutRequest { key: key.into(), value: value.into(), lease };
        self.request.success.push(op(wire::Request::Put(put)));
        self
    }

    /// Then delete it.
    #[must_use]
    pub(crate) fn delete(self, key: &str) -> Self {
        self.delete_range(key, "")
    }

    /// Then delete all keys below `prefix`.
    #[must_use]
    pub(crate) fn delete_below(self, prefix: &str) -> Self {
        let end = end_of(prefix);
        self.delete_range(prefix, &end)
    }

    fn delete_range(mut self, key: &str, end: &str) -> Self {
        let delete = wire::DeleteRangeRequest { key: key.into(), range_end: end.into() };
        self.request.success.push(op(wire::Request::DeleteRange(delete)));
        self
    }

    /// Otherwise read it.
    #[must_use]
    pub(crate) fn or_read(mut self, key: &str) -> Self {
        self.request.failure.push(get(key));
        self
    }
}

fn op(request: wire::Request) -> wire::RequestOp {
    wire::RequestOp { request: Some(request) }
}

fn get(key: &str) -> wire::RequestOp {
    op(wire::Request::Range(wire::RangeRequest { key: key.into(), ..Default::default() }))
}

/// The first key that is not below `prefix`; empty, which means the key alone, for one that does
/// not end with a slash.
pub(super) fn end_of(prefix: &str) -> String {
    match prefix.strip_suffix('/') {
        Some(parent) => format!("{parent}0"), // the character after the slash
        None => String::new(),
    }
}

/// Whether a listing brings values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Keys and values.
    Values,
    /// Keys alone.
    Keys,
}

/// What everything is done upon: the keys below one prefix, over one connection.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) etcd: Connection,
    pub(crate) keys: Keys,
}

impl Connection {
    /// Runs a transaction.
    pub(crate) async fn run(&self, call: &'static str, txn: Txn) -> Result<Done, EtcdError> {
        let answer: wire::TxnResponse =
            self.call(call, "/etcdserverpb.KV/Txn", txn.request).await?;
        let read = answer.responses.into_iter().filter_map(|response| response.range);
        Ok(Done {
            held: answer.succeeded,
            revision: answer.header.map_or(0, |header| header.revision),
            read: read
                .map(|range| range.kvs.into_iter().filter_map(Entry::from_wire).collect())
                .collect(),
        })
    }

    /// All entries below `prefix`, or the one of that key, at `revision`, or at the newest one for 0;
    /// and that revision.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        want: Want,
        mut revision: i64,
    ) -> Result<(Vec<Entry>, i64), EtcdError> {
        let mut entries = Vec::new();
        let mut from = prefix.as_bytes().to_vec();
        loop {
            let request = wire::RangeRequest {
                key: from,
                range_end: end_of(prefix).into(),
                limit: PAGE,
                revision,
                keys_only: want == Want::Keys,
            };
            let page: wire::RangeResponse =
                self.call("list", "/etcdserverpb.KV/Range", request).await?;
            if revision == 0 {
                revision = page.header.map_or(0, |header| header.revision);
            }
            let last = page.kvs.last().map(|kv| kv.key.clone());
            entries.extend(page.kvs.into_iter().filter_map(Entry::from_wire));
            match last {
                Some(mut last) if page.more && entries.len() < MOST_ENTRIES => {
                    last.push(0);
                    from = last;
                }
                _ => return Ok((entries, revision)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_ends_before_its_neighbour() {
        assert_eq!(end_of("/overlay/v1/blocks/blue/"), "/overlay/v1/blocks/blue0");
        assert_eq!(end_of("/overlay/v1/netindex"), "");
        assert!("/overlay/v1/blocks/blue/~" < "/overlay/v1/blocks/blue0");
    }
}
