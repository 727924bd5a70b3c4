//! Taking limits away: DEL, what a failed ADD takes back, and what GC buries.

use attach::error::refused;
use attach::host::deleter;
use attach::record;
use cni::{Call, Error, state};
use kernel::RequestError;
use kernel::link::{self, Dev};
use kernel::netlink::{Request, Socket};
use kernel::netns::Netns;
use kernel::tc::{self, Filter, Handle, Qdisc, Queue};
use types::IfName;

use crate::place::{Names, Pair, host, ifname, state_dir};
use crate::plan::{ARRIVING, PASSED, Place, ROOT, TAKEN};

/// Removes the limits of `call`, whoever made them. Without a record of ours they were made by the
/// reference, whose limits of what the container receives go with its interface.
pub(crate) fn remove(call: &Call) -> Result<(), Error> {
    let key = &call.attachment;
    let names = Names::of(key);
    let host = host()?;
    let shaper = names.made();
    let netns = call.netns.as_deref().and_then(|path| Netns::open(path).ok());
    if !names.is_recorded() {
        let made = match &shaper {
            Some(name) => link::find(&host, &ifname(name)).map_err(|e| refused(&e))?,
            None => None,
        };
        if made.is_none() {
            // A killed call may have begun to write one.
            return record::remove(call, &state_dir());
        }
    }
    let mut errors = Vec::new();
    let end = match netns {
        Some(netns) => Pair::find(&host, &netns, &key.ifname).map(|pair| pair.host),
        None => Ok(None),
    };
    if let Ok(Some(end)) = &end
        && !names.is_recorded()
        && !names.is_used_by(&host, &end.dev)?
    {
        // It is another interface's, whose name is the same to the reference.
        return Ok(());
    }
    match end {
        Ok(Some(end)) => errors.extend(clear(&host, &end.dev, shaper.as_deref()).err()),
        Ok(None) => {}
        Err(error) => errors.push(error),
    }
    errors.extend(delete_shaper(&host, shaper.as_deref()).err());
    if errors.is_empty() {
        errors.extend(record::remove(call, &state_dir()).err());
    }
    Error::joined(errors).map_or(Ok(()), Err)
}

/// Takes queue and filters off the host's end `end`. Filters come first: one whose link has gone
/// drops what it takes.
pub(crate) fn clear(host: &Socket, end: &Dev, shaper: Option<&str>) -> Result<(), Error> {
    let index = match shaper {
        Some(name) => {
            link::find(host, &ifname(name)).map_err(|e| refused(&e))?.map(|l| l.dev.index)
        }
        None => None,
    };
    let mut requests = Vec::new();
    if let Some(arriving) = Arriving::find(host, end)? {
        let (ours, others): (Vec<_>, Vec<_>) =
            arriving.filters.iter().partition(|filter| is_ours(filter, index));
        // Nobody but us and the reference makes one of this kind for nothing.
        if arriving.qdisc.queue == Queue::Ingress && others.is_empty() && !ours.is_empty() {
            requests.push(arriving.qdisc.del(end));
        } else {
            requests.extend(without(&ours, &others).iter().map(|filter| filter.del(end)));
        }
    }
    if let Some(root) = root(host, end)?.filter(is_our_queue) {
        requests.push(root.del(end));
    }
    run(host, &requests)
}

/// Deletes the link that packets of the container wait on.
pub(crate) fn delete_shaper(host: &Socket, shaper: Option<&str>) -> Result<(), Error> {
    let Some(name) = shaper else { return Ok(()) };
    let name: IfName = ifname(name);
    let deleted = deleter(&state::run_dir()).delete(host, &name, &[]);
    deleted.map(drop).map_err(|e| refused(&e))
}

/// The queue that packets leave `end` by, but for the kernel's own.
pub(crate) fn root(host: &Socket, end: &Dev) -> Result<Option<Qdisc>, Error> {
    tc::qdisc(host, end, Handle::ROOT).map_err(|e| refused(&e))
}

/// What arriving packets pass by, whoever made it.
pub(crate) struct Arriving {
    pub(crate) qdisc: Qdisc,
    pub(crate) filters: Vec<Filter>,
}

impl Arriving {
    pub(crate) fn find(host: &Socket, end: &Dev) -> Result<Option<Self>, Error> {
        let qdisc = tc::qdisc(host, end, Handle::INGRESS).map_err(|e| refused(&e))?;
        let Some(qdisc) = qdisc.filter(|qdisc| qdisc.handle == ARRIVING) else { return Ok(None) };
        let parent = parent_of_filters(&qdisc.queue);
        let filters = tc::filters(host, end, parent).map_err(|e| refused(&e))?;
        Ok(Some(Self { qdisc, filters }))
    }

    /// Where filters of ours are to be, to a link with index `shaper`: behind those of others, so
    /// that theirs see every packet as before.
    pub(crate) fn place(&self, shaper: u32) -> Place {
        let others = self.filters.iter().filter(|filter| !is_ours(filter, Some(shaper)));
        let behind = others.map(|filter| filter.priority).max().unwrap_or(0);
        Place { parent: parent_of_filters(&self.qdisc.queue), behind }
    }
}

/// `clsact` has two places.
fn parent_of_filters(queue: &Queue) -> Handle {
    match queue {
        Queue::Ingress => ARRIVING,
        _ => Handle::new(0xffff, 0xfff2),
    }
}

/// What to delete of `ours`: whole places where they are alone, since those would stay empty.
fn without(ours: &[&Filter], others: &[&Filter]) -> Vec<Filter> {
    let mut list: Vec<Filter> = Vec::new();
    for filter in ours {
        let is_alone = others.iter().all(|other| other.priority != filter.priority);
        let handle = if is_alone { 0 } else { filter.handle };
        let filter = Filter { handle, ..(*filter).clone() };
        if !list.iter().any(|known| (known.priority, known.handle) == (filter.priority, handle)) {
            list.push(filter);
        }
    }
    list
}

/// Whether a queue is as ours or the reference's.
pub(crate) fn is_our_queue(qdisc: &Qdisc) -> bool {
    qdisc.handle == ROOT && matches!(qdisc.queue, Queue::Tbf { .. } | Queue::Htb { .. })
}

/// Whether a filter of arriving packets is ours or the reference's: it takes packets to the link
/// with index `shaper`, or to one that has gone.
pub(crate) fn is_ours(filter: &Filter, shaper: Option<u32>) -> bool {
    match filter.redirect {
        Some(index) => filter.class == TAKEN && (index == 0 || Some(index) == shaper),
        None => filter.class == PASSED,
    }
}

/// What is gone already is as it should be.
fn run(host: &Socket, requests: &[Request]) -> Result<(), Error> {
    let is_gone = |error: &RequestError| error.is_missing() || error.is_invalid();
    let answers = host.batch(requests).into_iter().filter_map(Result::err);
    let errors = answers.filter(|error| !is_gone(error)).map(|error| refused(&error)).collect();
    Error::joined(errors).map_or(Ok(()), Err)
}
