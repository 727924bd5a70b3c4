//! `ipMasq` of interface plugins: a chain for each container, with jumps from `POSTROUTING`.
//!
//! The chain is shared by all interfaces of a container on one network, as the reference has it.

use std::net::{Ipv4Addr, Ipv6Addr};

use kernel::netlink::Socket;
use kernel::nft::Batch;
use kernel::nft::xt::{Spec, Target};
use types::{Cidr, Family};

use super::portmap::{Sweeping, chain as remove_chain, stale};
use super::view::{NAT, View};
use super::{Added, names, owner};
use crate::Error;
use crate::claim::Handle;

const POSTROUTING: &str = "POSTROUTING";

/// Masquerades what a container sends from `addresses` beyond their subnets.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read, [`Error::Chain`] when a chain of that name is
/// something else.
pub fn add(
    socket: &Socket,
    batch: &mut Batch,
    (network, container): (&str, &str),
    addresses: &[Cidr],
) -> Result<Added, Error> {
    let name = names::masquerade(network, container);
    let comment = owner::comment("", network, container);
    let mut added = Added::default();
    for (family, addresses) in by_family(addresses) {
        let view = View::of(socket, family, NAT, &[POSTROUTING, &name])?;
        view.ensure_base(batch, POSTROUTING)?;
        view.ensure(batch, &name)?;
        let mut known: Vec<Spec> =
            view.lines(&name)?.into_iter().filter_map(|line| line.spec()).collect();
        for spec in addresses.iter().flat_map(|address| rules(*address, &comment)) {
            if !known.contains(&spec) {
                batch.add_rule(&view.table, &name, &spec.rule(family));
                known.push(spec);
            }
        }
        // A new chain has no jumps to it: POSTROUTING is not read.
        let jumps = if view.has(&name) { view.lines(POSTROUTING)? } else { Vec::new() };
        for address in &addresses {
            let spec = jump(&name, *address, &comment);
            match jumps.iter().find(|line| line.is(&spec)) {
                Some(line) => added.keep(&view, POSTROUTING, line.handle()),
                None => added.append(batch, &view, POSTROUTING, &spec),
            }
        }
    }
    Ok(added)
}

/// Takes back the masquerade of a container of a network, whoever made it. `stored` are the
/// handles that ADD told. Whether there was any.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove(
    socket: &Socket,
    batch: &mut Batch,
    (network, container): (&str, &str),
    stored: &[Handle],
) -> Result<bool, Error> {
    let name = names::masquerade(network, container);
    let mut found = false;
    for family in [Family::V4, Family::V6] {
        let view = View::of(socket, family, NAT, &[POSTROUTING, &name])?;
        found |= remove_chain(&view, batch, POSTROUTING, &name, stored)?;
    }
    Ok(found)
}

/// Compares the tables with what [`add`] makes, whoever made it.
///
/// # Errors
/// [`Error::Differs`] with the first rule that is missing; [`Error::Refused`] when the tables
/// cannot be read.
pub fn check(
    socket: &Socket,
    (network, container): (&str, &str),
    addresses: &[Cidr],
) -> Result<(), Error> {
    let name = names::masquerade(network, container);
    let comment = owner::comment("", network, container);
    for (family, addresses) in by_family(addresses) {
        let view = View::of(socket, family, NAT, &[POSTROUTING, &name])?;
        let own: Vec<Spec> = addresses.iter().flat_map(|one| rules(*one, &comment)).collect();
        view.demand(&name, &[], &own)?;
        let jumps: Vec<Spec> = addresses.iter().map(|one| jump(&name, *one, &comment)).collect();
        view.demand(POSTROUTING, &[], &jumps)?;
    }
    Ok(())
}

/// Whether a container of a network is masqueraded so, by us or by others.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn owns(socket: &Socket, network: &str, container: &str) -> Result<bool, Error> {
    let name = names::masquerade(network, container);
    for family in [Family::V4, Family::V6] {
        if View::of(socket, family, NAT, &[&name])?.has(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes back the masquerade of containers of which `is_valid` (network, container) is not true.
/// How many chains that were.
///
/// Rules whose comment does not tell the owner stay.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn sweep(
    socket: &Socket,
    batch: &mut Batch,
    is_valid: impl FnMut(&str, &str) -> bool,
) -> Result<usize, Error> {
    stale(socket, batch, Sweeping { from: POSTROUTING, prefix: "" }, is_valid)
}

fn by_family(addresses: &[Cidr]) -> impl Iterator<Item = (Family, Vec<Cidr>)> {
    [Family::V4, Family::V6].into_iter().filter_map(|family| {
        let of_family = addresses.iter().filter(|address| address.family() == family);
        let list: Vec<Cidr> = of_family.copied().collect();
        (!list.is_empty()).then_some((family, list))
    })
}

/// What stays within the subnet keeps its source, multicast as well.
fn rules(address: Cidr, comment: &str) -> [Spec; 2] {
    let multicast = match address.family() {
        Family::V4 => Cidr::new(Ipv4Addr::new(224, 0, 0, 0).into(), 4),
        Family::V6 => Cidr::new(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8),
    };
    let multicast = multicast.expect("both prefixes fit their family");
    [
        Spec::new(Target::Accept).destination(address).comment(comment),
        Spec::new(Target::Masquerade).not_destination(multicast).comment(comment),
    ]
}

fn jump(chain: &str, address: Cidr, comment: &str) -> Spec {
    let source = Cidr::host(address.ip());
    Spec::new(Target::Jump(chain.to_owned())).source(source).comment(comment)
}
