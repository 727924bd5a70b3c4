//! Connection tracking, as conntrack(8) does it: forgetting connections that still follow an
//! older state of the address translation. No program is run.
//!
//! A connection is translated as the rules said at its first packet. A UDP client that never
//! pauses keeps talking to a container that is gone, or to nobody, until its entry is deleted.
//!
//! ```no_run
//! use kernel::conntrack::{Filter, flush};
//! use kernel::netlink::Socket;
//!
//! const UDP: u8 = 17;
//! let socket = Socket::open_netfilter("the host's namespace")?;
//! let container = [10, 88, 0, 2].into();
//! // Port 53 of the host was just published to the container.
//! let stale = Filter::to_ports(UDP, 53..=53).reply_source_not(container);
//! let deleted = flush(&socket, &[stale])?;
//! # Ok::<(), kernel::RequestError>(())
//! ```
//!
//! The kernel keeps one hash table for all namespaces and walks all of it for each listing, so
//! everything that an attachment wants forgotten goes into one [`flush`]. What the kernel can
//! tell apart itself (`CTA_FILTER`, Linux 5.8) it does not copy to us.

mod entry;
mod filter;
mod walk;

use std::time::Instant;

use nix::errno::Errno;

pub use filter::Filter;

use crate::netlink::attributes::{Attribute, Attributes};
use crate::netlink::netfilter::{HEADER_BYTES, header};
use crate::netlink::{Action, Error, Request, RequestError, Socket};
use entry::Entry;
use walk::Selector;

/// Deletes every connection that one of `filters` matches, and tells how many there were.
///
/// Entries are deleted by original tuple, zone and id, so that one which comes back meanwhile with
/// other translation stays. Everything together ends at the deadline of `socket`.
///
/// # Errors
/// When the table cannot be read; the first refusal of a deletion, except that the entry is gone
/// already; [`Error::Timeout`]. Entries may have been deleted by then.
///
/// See `linux/netfilter/nfnetlink_conntrack.h`.
pub fn flush(socket: &Socket, filters: &[Filter]) -> Result<usize, RequestError> {
    let deadline = Instant::now() + socket.timeout();
    // The cheap question first: a walk costs milliseconds even when it finds nothing.
    let entries = if filters.is_empty() { 0 } else { count(socket)? };
    if entries == 0 {
        return Ok(0);
    }
    let mut deleted = 0;
    for selector in walk::selectors(filters, entries) {
        let stale = walk(socket, &selector, filters, deadline)?;
        deleted += delete(socket, &stale, deadline)?;
    }
    Ok(deleted)
}

/// How many connections the namespace of `socket` tracks (`conntrack -C`).
///
/// # Errors
/// When the kernel does not say.
pub fn count(socket: &Socket) -> Result<u32, RequestError> {
    const GLOBAL_ENTRIES: u16 = 1;
    let action = Action::Conntrack { verb: "count" };
    let request = Request::new(verb::GET_STATS, 0, header(0), action.clone());
    let reply = socket.ask(&request)?;
    let entries = reply.as_ref().and_then(|reply| {
        Attributes::after(HEADER_BYTES, &reply.body)
            .find(|attribute| attribute.kind == GLOBAL_ENTRIES)
            .and_then(Attribute::u32_be)
    });
    entries.ok_or_else(|| socket.failed(&action, Error::Malformed("no number of connections")))
}

/// Reads what `selector` selects; the requests that delete what matches.
fn walk(
    socket: &Socket,
    selector: &Selector,
    filters: &[Filter],
    deadline: Instant,
) -> Result<Vec<Request>, RequestError> {
    let listed = |selector: &Selector| {
        socket.dump_until(deadline, &selector.request(), |body| {
            let entry = Entry::parse(body)?;
            filters.iter().any(|filter| filter.matches(&entry)).then(|| entry.delete())
        })
    };
    match listed(selector) {
        // Not this kernel: then it copies more, and we tell apart what it could not.
        Err(error) if refused(&error) => listed(&selector.of_family_alone()),
        result => result,
    }
}

/// Whether the kernel does not know how to select.
fn refused(error: &RequestError) -> bool {
    matches!(error.source.errno(), Some(Errno::EINVAL | Errno::EOPNOTSUPP))
}

/// Deletions sent together: when all are refused, their errors still fit the socket.
const BATCH: usize = 64;

/// Sends `requests`; how many entries were there.
fn delete(socket: &Socket, requests: &[Request], deadline: Instant) -> Result<usize, RequestError> {
    let mut deleted = 0;
    for part in requests.chunks(BATCH) {
        if Instant::now() >= deadline {
            return Err(socket.failed(part[0].action(), Error::Timeout(socket.timeout())));
        }
        for answer in socket.batch(part) {
            match answer {
                Ok(_) => deleted += 1,
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(deleted)
}

/// For fuzzers: reads `body` as an entry and asks a filter about it.
pub(crate) fn fuzz(body: &[u8]) {
    if let Some(entry) = Entry::parse(body) {
        let _ = Filter::of([10, 0, 0, 1].into()).matches(&entry);
        let _ = entry.delete();
    }
}

/// The messages of `linux/netfilter/nfnetlink_conntrack.h` (`IPCTNL_MSG_CT_*`).
mod verb {
    use crate::netlink::netfilter::message;

    const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_CTNETLINK as u16;
    pub(super) const GET: u16 = message(SUBSYSTEM, 1);
    pub(super) const DELETE: u16 = message(SUBSYSTEM, 2);
    pub(super) const GET_STATS: u16 = message(SUBSYSTEM, 5);
}

/// Attribute numbers of `linux/netfilter/nfnetlink_conntrack.h`.
mod cta {
    pub(super) const TUPLE_ORIG: u16 = 1;
    pub(super) const TUPLE_REPLY: u16 = 2;
    pub(super) const ID: u16 = 12;
    pub(super) const ZONE: u16 = 18;
    pub(super) const FILTER: u16 = 25;
    pub(super) mod tuple {
        pub(in super::super) const IP: u16 = 1;
        pub(in super::super) const PROTO: u16 = 2;
    }
    pub(super) mod ip {
        pub(in super::super) const V4_SRC: u16 = 1;
        pub(in super::super) const V4_DST: u16 = 2;
        pub(in super::super) const V6_SRC: u16 = 3;
        pub(in super::super) const V6_DST: u16 = 4;
    }
    pub(super) mod proto {
        pub(in super::super) const NUM: u16 = 1;
        pub(in super::super) const DST_PORT: u16 = 3;
    }
}
