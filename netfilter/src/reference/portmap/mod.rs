//! Published ports: `CNI-HOSTPORT-*`, and `CNI-DN-*` for each container.
//!
//! They are written for those who read them, and led to only where `linked` asks for it: our own
//! table publishes the ports, and the kernel looks through all that packets can reach whenever a
//! rule is added to it.
//!
//! An ADD whose chain is there already replaces it, where the reference appends: what an earlier
//! container of the same name published would lead to its old address first.

mod remove;
mod specs;

use kernel::netlink::Socket;
use kernel::nft::{Batch, FoundChain};
use types::{Attachment, Cidr, Family};

use super::view::{NAT, View, contains};
use super::{Added, names};
use crate::claim::{Handle, Linked, ReferencePorts};
use crate::{Error, Masquerade, Publication};

pub(super) use remove::{Sweeping, chain, stale};
pub use remove::{remove, sweep};
pub(super) use specs::{entry, masquerade, masquerade_entry, set_mark};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const PREROUTING: &str = "PREROUTING";
const OUTPUT: &str = "OUTPUT";
const POSTROUTING: &str = "POSTROUTING";

/// Publishes the ports of an attachment, with what all attachments share where it is missing.
/// `stored` are the handles that an earlier ADD of it told.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read, [`Error::Chain`] when a chain of that name is
/// something else, [`Error::Condition`].
pub fn add(
    socket: &Socket,
    batch: &mut Batch,
    publication: &Publication,
    how: &ReferencePorts,
    stored: &[Handle],
) -> Result<Added, Error> {
    let mut added = Added::default();
    if publication.mappings.is_empty() {
        return Ok(added);
    }
    let chain = chain_of(&publication.key);
    for (family, target) in targets(publication) {
        let view = view(socket, family, &chain, how)?;
        if is_left_out(&view, &chain, how) {
            continue;
        }
        if publication.masquerade != Masquerade::Nobody {
            share_mark(&view, batch, how)?;
        }
        share_entry(&view, batch, how)?;
        remove::chain(&view, batch, names::HOSTPORT_DNAT, &chain, stored)?;
        if view.has(&chain) {
            batch.add_chain(&view.table, &chain);
        } else {
            batch.create_chain(&view.table, &chain);
        }
        for spec in specs::chain(publication, how, family, target) {
            batch.add_rule(&view.table, &chain, &spec.rule(family));
        }
        for spec in specs::jumps(publication, family)? {
            added.append(batch, &view, names::HOSTPORT_DNAT, &spec);
        }
    }
    Ok(added)
}

/// Compares the tables with what [`add`] makes, whoever made it.
///
/// # Errors
/// [`Error::Differs`] with the first rule that is missing; [`Error::Refused`] when the tables
/// cannot be read.
pub fn check(
    socket: &Socket,
    publication: &Publication,
    how: &ReferencePorts,
    stored: &[Handle],
) -> Result<(), Error> {
    if publication.mappings.is_empty() {
        return Ok(());
    }
    let chain = chain_of(&publication.key);
    for (family, target) in targets(publication) {
        let view = view(socket, family, &chain, how)?;
        if is_left_out(&view, &chain, how) {
            continue;
        }
        view.demand(&chain, &[], &specs::chain(publication, how, family, target))?;
        for name in [PREROUTING, OUTPUT].iter().filter(|_| how.linked == Linked::Yes) {
            view.demand(name, &[], &[entry()])?;
        }
        view.demand(names::HOSTPORT_DNAT, stored, &specs::jumps(publication, family)?)?;
    }
    Ok(())
}

/// Whether ports of a container of a network are published, by us or by others.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn owns(socket: &Socket, network: &str, container: &str) -> Result<bool, Error> {
    let chain = names::dnat(network, container);
    for family in FAMILIES {
        if View::of(socket, family, NAT, &[&chain])?.has(&chain) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rules that the chain of all jumps may have before no more are written that are only read: for
/// each commit the kernel copies all of them.
const READABLE: u32 = 1000;

/// Whether nothing is written for a container that has no chain yet: nobody chooses ports by
/// reading so many.
fn is_left_out(view: &View<'_>, chain: &str, how: &ReferencePorts) -> bool {
    let is_full = |found: &FoundChain| found.uses >= READABLE;
    how.linked == Linked::No
        && !view.has(chain)
        && view.chain(names::HOSTPORT_DNAT).is_some_and(is_full)
}

fn chain_of(key: &Attachment) -> String {
    names::dnat(key.network.as_str(), key.container.as_str())
}

pub(super) fn targets(publication: &Publication) -> impl Iterator<Item = (Family, Cidr)> {
    FAMILIES.into_iter().filter_map(|family| Some((family, publication.target(family)?)))
}

fn view<'a>(
    socket: &'a Socket,
    family: Family,
    chain: &str,
    how: &ReferencePorts,
) -> Result<View<'a>, Error> {
    let mut names = vec![
        PREROUTING,
        OUTPUT,
        POSTROUTING,
        names::HOSTPORT_DNAT,
        names::HOSTPORT_SETMARK,
        names::HOSTPORT_MASQ,
        chain,
    ];
    names.extend(how.set_mark_chain.as_deref());
    View::of(socket, family, NAT, &names)
}

/// The chains that mark and masquerade, or the one that somebody else has for it.
fn share_mark(view: &View<'_>, batch: &mut Batch, how: &ReferencePorts) -> Result<(), Error> {
    if let Some(name) = &how.set_mark_chain {
        return match view.has(name) {
            true => Ok(()),
            false => Err(view.unusable(name, "externalSetMarkChain names it, and it is not there")),
        };
    }
    let (marks, masquerades) = (names::HOSTPORT_SETMARK, names::HOSTPORT_MASQ);
    view.ensure(batch, marks)?;
    let spec = set_mark(how.mark_bit);
    if !contains(&view.lines(marks)?, &spec) {
        batch.add_rule(&view.table, marks, &spec.rule(view.family));
    }
    if how.linked == Linked::No {
        return Ok(());
    }
    view.ensure(batch, masquerades)?;
    let lines = view.lines(masquerades)?;
    let spec = masquerade(how.mark_bit);
    if !contains(&lines, &spec) {
        batch.add_rule(&view.table, masquerades, &spec.rule(view.family));
    }
    // POSTROUTING may hold a rule for each container of the host: it is not read.
    if view.incoming(masquerades, &lines) == 0 {
        view.ensure_base(batch, POSTROUTING)?;
        let rule = masquerade_entry().rule(view.family);
        batch.insert_rule(&view.table, POSTROUTING, &rule);
    }
    Ok(())
}

/// The chain of all jumps, and the two that lead to it.
fn share_entry(view: &View<'_>, batch: &mut Batch, how: &ReferencePorts) -> Result<(), Error> {
    view.ensure(batch, names::HOSTPORT_DNAT)?;
    if how.linked == Linked::No {
        return Ok(());
    }
    for name in [PREROUTING, OUTPUT] {
        view.ensure_base(batch, name)?;
        let is_used = view.has(names::HOSTPORT_DNAT);
        if !is_used || !contains(&view.lines(name)?, &entry()) {
            batch.add_rule(&view.table, name, &entry().rule(view.family));
        }
    }
    Ok(())
}
