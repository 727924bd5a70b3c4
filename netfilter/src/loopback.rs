//! `127.0.0.11` in a container: where many programs expect their resolver, whatever the network.
//!
//! One table in the container's own namespace leads port 53 of that address to the resolver, be it at
//! the network's gateway or within the namespace. The port itself stays free: a program of the
//! container may serve names at port 53 of all its addresses. Each attachment has a pair of rules, and
//! the first attached answers; when it leaves, the next does, and the last takes the table away.
//!
//! The table has a name of its own: in a container in which cais is at work itself, `inet cais` is
//! that one's.
//!
//! Everything here is about the calling thread's network namespace, in which the socket has to be
//! opened, too: see [`Netns::run`](kernel::netns::Netns::run).

mod rules;

use std::net::{Ipv4Addr, SocketAddrV4};

use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Element, FoundRule, Key, Table};
use types::{Attachment, IfName};

use crate::Error;
use crate::elements::owner;
use crate::filter::as_element;
use crate::layout::LAYOUT_PREFIX;
use crate::localnet;

use rules::{LAYOUT_NUMBER, OPENED, OUT};

/// The table in the container's namespace.
pub const TABLE: Table = Table::ip("cais-names");
/// Where programs of the container ask.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Where what is asked at [`ADDRESS`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// To a resolver outside, at the network's gateway. The container's own address becomes the
    /// source, and `route_localnet` of its interface is turned on.
    Gateway(SocketAddrV4),
    /// To this port of [`ADDRESS`] itself: a resolver has its sockets in the container's namespace.
    Local(u16),
}

impl Lead {
    fn target(self) -> SocketAddrV4 {
        match self {
            Self::Gateway(address) => address,
            Self::Local(port) => SocketAddrV4::new(ADDRESS, port),
        }
    }
}

/// Leads [`ADDRESS`] to `to` for the attachment `key` with its interface `ifname`, behind attachments
/// that were there before. A repeated call keeps the attachment's place.
///
/// # Errors
/// [`Error::Layout`] where a newer cais has the table, [`Error::NoNat`] where the kernel cannot
/// translate addresses, [`Error::Refused`], and [`Error::Switch`] where `route_localnet` stays off;
/// then nothing was changed.
pub fn lead(socket: &Socket, key: &Attachment, ifname: &IfName, to: Lead) -> Result<(), Error> {
    let mut batch = Batch::new();
    let mut found = Vec::new();
    match layout(socket)? {
        Some(LAYOUT_NUMBER) => found = nft::rules(socket, &TABLE, OUT)?,
        Some(layout) if layout > LAYOUT_NUMBER => {
            let (table, ours) = (TABLE.to_string(), LAYOUT_NUMBER);
            return Err(Error::Layout { table, found: layout, ours });
        }
        // What else has our name is not ours, and cannot be what somebody needs.
        Some(_) => {
            batch.del_table(&TABLE);
            rules::table(&mut batch);
        }
        None => rules::table(&mut batch),
    }
    let ours = owner(key);
    place(&mut batch, &own(&found, &ours), to, &ours);
    let opens = matches!(to, Lead::Gateway(_)) && localnet::is_closed(ifname);
    if opens {
        let element = Element::new(Key::new().ifname(ifname)).comment(&*ours);
        batch.add_element(&TABLE, &OPENED, &element);
    }
    batch.commit(socket).map_err(no_nat)?;
    // After what keeps others from 127.0.0.0/8.
    match opens.then(|| localnet::open(ifname)) {
        Some(Err(error)) => {
            // What failed first is what is told.
            let _ = remove(socket, key);
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Takes back what [`lead`] did for `key`, also in a table of a newer cais; nothing there is success.
///
/// Where something was deleted, closing the socket waits for the kernel to free it, some milliseconds:
/// a namespace that is about to go need not be asked.
///
/// # Errors
/// [`Error::Refused`].
pub fn remove(socket: &Socket, key: &Attachment) -> Result<(), Error> {
    let Some(layout) = layout(socket)? else { return Ok(()) };
    let ours = owner(key);
    let found = nft::rules(socket, &TABLE, OUT)?;
    let opened = nft::find_elements(socket, &TABLE, &OPENED, |text| text == ours)?;
    let own = own(&found, &ours);
    let mut batch = Batch::new();
    if own.len() == found.len() && layout <= LAYOUT_NUMBER {
        batch.del_table(&TABLE);
    } else {
        for rule in own {
            batch.del_rule(&TABLE, OUT, rule.handle);
        }
        for element in &opened {
            batch.del_element(&TABLE, &OPENED, &as_element(element));
        }
    }
    for element in &opened {
        localnet::close(&crate::shared::link_name(element));
    }
    Ok(batch.commit_skipping_missing(socket)?)
}

/// Compares what is there with what [`lead`] makes.
///
/// # Errors
/// [`Error::Differs`] with the first difference; [`Error::Refused`].
pub fn check(socket: &Socket, key: &Attachment, ifname: &IfName, to: Lead) -> Result<(), Error> {
    let differs = |text: String| Err(Error::Differs(text));
    match layout(socket)? {
        None => return differs(format!("table {TABLE} is missing")),
        Some(LAYOUT_NUMBER) => {}
        Some(_) => return Ok(()), // which rules another layout has is not known here
    }
    let ours = owner(key);
    let found = nft::rules(socket, &TABLE, OUT)?;
    if !is_pair(&own(&found, &ours), to) {
        let target = to.target();
        return differs(format!("no rules of {ours} in chain {TABLE} {OUT} lead to {target}"));
    }
    for (chain, count) in rules::COUNTS {
        let there = nft::rules(socket, &TABLE, chain)?.len();
        if there < count {
            return differs(format!("chain {TABLE} {chain} has {there} of its {count} rules"));
        }
    }
    if matches!(to, Lead::Gateway(_)) && localnet::is_closed(ifname) {
        return differs(format!("route_localnet of {ifname} is off"));
    }
    Ok(())
}

/// Puts the pair of rules of an attachment into the batch: in the place of those it has.
fn place(batch: &mut Batch, own: &[&FoundRule], to: Lead, ours: &str) {
    if is_pair(own, to) {
        return;
    }
    let pair = rules::pair(to.target()).map(|rule| rule.comment(ours));
    match own.last() {
        // The one behind first: each is put directly behind the old ones.
        Some(last) => {
            for rule in pair.iter().rev() {
                batch.add_rule_after(&TABLE, OUT, last.handle, rule);
            }
        }
        None => pair.iter().for_each(|rule| batch.add_rule(&TABLE, OUT, rule)),
    }
    for rule in own {
        batch.del_rule(&TABLE, OUT, rule.handle);
    }
}

fn own<'a>(found: &'a [FoundRule], ours: &str) -> Vec<&'a FoundRule> {
    found.iter().filter(|rule| rule.comment.as_deref() == Some(ours)).collect()
}

/// Whether these rules are the pair that leads there.
fn is_pair(own: &[&FoundRule], to: Lead) -> bool {
    let wanted = rules::constants(to.target());
    own.len() == wanted.len() && own.iter().zip(wanted).all(|(rule, all)| rule.constants() == all)
}

/// Of which layout the table is; `None` where there is none.
fn layout(socket: &Socket) -> Result<Option<u32>, Error> {
    if !nft::has_table(socket, &TABLE)? {
        return Ok(None);
    }
    let number = |name: String| name.strip_prefix(LAYOUT_PREFIX)?.parse().ok();
    let sets = nft::sets(socket, &TABLE)?;
    Ok(Some(sets.into_iter().find_map(number).unwrap_or(0)))
}

/// A chain type that the kernel does not have is answered as something that is not there.
fn no_nat(error: kernel::RequestError) -> Error {
    match error.is_missing() || error.is_unsupported() {
        true => Error::NoNat(error),
        false => error.into(),
    }
}
