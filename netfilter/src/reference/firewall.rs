//! Forwarding: `CNI-FORWARD` with two rules for each address, behind the administrator's chain,
//! whose rules are never touched.
//!
//! Rules carry no owner. Two containers that had the same address one after the other have equal
//! ones; handles tell them apart, so that a late DEL does not cut off the new one.

use std::net::IpAddr;

use kernel::netlink::Socket;
use kernel::nft::Batch;
use kernel::nft::xt::{Match, Spec, Target};
use types::{Cidr, Family};

use super::ingress::{self, FORWARD};
use super::view::{FILTER, Line, View, contains};
use super::{Added, names, owner};
use crate::Error;
use crate::claim::{Forward, Forwarder, Handle};

/// Lets forwarded packets of a container through, and keeps its bridge apart as `ingressPolicy`
/// says. `stored` are the handles that an earlier ADD of it told; without them rules are appended
/// unread.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read, [`Error::Chain`] when a chain of that name is
/// something else.
pub fn add(
    socket: &Socket,
    batch: &mut Batch,
    forward: &Forward,
    stored: &[Handle],
) -> Result<Added, Error> {
    let mut added = Added::default();
    for (family, addresses) in by_family(&forward.addresses) {
        if let Forwarder::Chains(admin) = &forward.by {
            let view = View::of(socket, family, FILTER, &[FORWARD, names::FORWARD, admin])?;
            share(&view, batch, admin)?;
            let handles = owner::handles_in(stored, family, FILTER, names::FORWARD);
            let known = view.lines_at(names::FORWARD, &handles)?;
            for spec in addresses.iter().flat_map(|address| pair(*address)) {
                match known.iter().find(|line| line.is(&spec)) {
                    Some(line) => added.keep(&view, names::FORWARD, line.handle()),
                    None => added.append(batch, &view, names::FORWARD, &spec),
                }
            }
        }
        if let Some(bridge) = &forward.bridge {
            ingress::add(socket, batch, family, (forward.ingress, bridge.as_str()))?;
        }
    }
    Ok(added)
}

/// Takes back the rules for `addresses`, whoever made them: those of `stored`, the handles that
/// ADD told, or else one of each. Of `shared`, which others have by now, one of each goes only where
/// there is another left for them. Whether there were any.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove(
    socket: &Socket,
    batch: &mut Batch,
    (addresses, shared): (&[IpAddr], &[IpAddr]),
    stored: &[Handle],
) -> Result<bool, Error> {
    let mut found = false;
    for (family, all) in by_family(&[addresses, shared].concat()) {
        let view = View::of(socket, family, FILTER, &[names::FORWARD])?;
        let handles = owner::handles_in(stored, family, FILTER, names::FORWARD);
        let known = view.lines_at(names::FORWARD, &handles)?;
        let wanted = |address: &IpAddr| pair(*address).map(|spec| (shared.contains(address), spec));
        let wanted: Vec<(bool, Spec)> = all.iter().flat_map(wanted).collect();
        let is_known = |(is_shared, spec): &(bool, Spec)| !is_shared && contains(&known, spec);
        let all_known = wanted.iter().all(is_known);
        let lines = if all_known { known } else { view.lines(names::FORWARD)? };
        for (is_shared, spec) in &wanted {
            let equal: Vec<&Line> = lines.iter().filter(|line| line.is(spec)).collect();
            if *is_shared && equal.len() < 2 {
                continue;
            }
            let own = equal.iter().find(|line| handles.contains(&line.handle()));
            if let Some(line) = own.or(equal.first()) {
                batch.del_rule(&view.table, names::FORWARD, line.handle());
                found = true;
            }
        }
    }
    Ok(found)
}

/// Takes back what keeps `bridge` apart from others: for a bridge that is gone. Whether there was
/// anything.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove_ingress(socket: &Socket, batch: &mut Batch, bridge: &str) -> Result<bool, Error> {
    let mut found = false;
    for family in [Family::V4, Family::V6] {
        found |= ingress::remove(socket, batch, family, bridge)?;
    }
    Ok(found)
}

/// Compares the tables with what [`add`] makes, whoever made it.
///
/// # Errors
/// [`Error::Differs`] with the first rule that is missing; [`Error::Refused`] when the tables
/// cannot be read.
pub fn check(socket: &Socket, forward: &Forward, stored: &[Handle]) -> Result<(), Error> {
    for (family, addresses) in by_family(&forward.addresses) {
        if let Forwarder::Chains(admin) = &forward.by {
            let view = View::of(socket, family, FILTER, &[FORWARD, names::FORWARD, admin])?;
            view.demand(FORWARD, &[], &[entry()])?;
            let wanted: Vec<Spec> = addresses.iter().flat_map(|address| pair(*address)).collect();
            view.demand(names::FORWARD, stored, &wanted)?;
        }
        if let Some(bridge) = &forward.bridge {
            ingress::check(socket, family, (forward.ingress, bridge.as_str()))?;
        }
    }
    Ok(())
}

/// The chains that all containers share, with what leads to them.
fn share(view: &View<'_>, batch: &mut Batch, admin: &str) -> Result<(), Error> {
    share_entry(view, batch)?;
    view.ensure(batch, admin)?;
    let is_new = !view.has(names::FORWARD);
    let overrides = overrides(admin);
    // CNI-FORWARD may be long: it is read only where others lead to the administrator's chain, too.
    let is_led_to = !is_new
        && match view.incoming(admin, &view.lines(admin)?) {
            0 => false,
            1 => true,
            _ => contains(&view.lines(names::FORWARD)?, &overrides),
        };
    if !is_led_to {
        batch.insert_rule(&view.table, names::FORWARD, &overrides.rule(view.family));
    }
    Ok(())
}

/// `CNI-FORWARD` and what leads to it.
pub(super) fn share_entry(view: &View<'_>, batch: &mut Batch) -> Result<(), Error> {
    view.ensure_base(batch, FORWARD)?;
    view.ensure(batch, names::FORWARD)?;
    if !view.has(names::FORWARD) || !contains(&view.lines(FORWARD)?, &entry()) {
        batch.insert_rule(&view.table, FORWARD, &entry().rule(view.family));
    }
    Ok(())
}

/// From `FORWARD`.
pub(super) fn entry() -> Spec {
    Spec::new(Target::Jump(names::FORWARD.into())).comment("CNI firewall plugin rules")
}

/// The first rule of `CNI-FORWARD`.
pub(super) fn overrides(admin: &str) -> Spec {
    Spec::new(Target::Jump(admin.to_owned())).comment("CNI firewall plugin admin overrides")
}

/// Answers to the container, and all that it sends.
fn pair(address: IpAddr) -> [Spec; 2] {
    let accept = || Spec::new(Target::Accept);
    [
        accept().destination(Cidr::host(address)).with(Match::Known),
        accept().source(Cidr::host(address)),
    ]
}

fn by_family(addresses: &[IpAddr]) -> impl Iterator<Item = (Family, Vec<IpAddr>)> {
    [Family::V4, Family::V6].into_iter().filter_map(|family| {
        let of_family = addresses.iter().filter(|address| Family::of(**address) == family);
        let list: Vec<IpAddr> = of_family.copied().collect();
        (!list.is_empty()).then_some((family, list))
    })
}
