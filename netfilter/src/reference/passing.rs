//! New connections to published ports, let through in `CNI-FORWARD`: the reference leaves them to
//! the policy of `FORWARD`, and so to fail where that is to drop. Answers of the container pass,
//! too, so that `portmap` needs no `firewall` after it.

use std::net::IpAddr;

use kernel::netlink::Socket;
use kernel::nft::Batch;
use kernel::nft::xt::{Match, Spec, Target};
use types::{Cidr, Family};

use super::firewall::{entry, share_entry};
use super::ingress::FORWARD;
use super::portmap::{port_lists, targets};
use super::view::{FILTER, Line, View};
use super::{Added, names, owner};
use crate::claim::Handle;
use crate::{Error, Mapping, Protocol, Publication};

/// Lets them through. `stored` are the handles that an earlier ADD told, whose ports were those of
/// `earlier`: what is not wanted any more goes. Without them rules are appended unread.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read, [`Error::Chain`] when a chain of that name is
/// something else.
pub fn add(
    socket: &Socket,
    batch: &mut Batch,
    publication: &Publication,
    (earlier, stored): (Option<&Publication>, &[Handle]),
) -> Result<Added, Error> {
    let mut added = Added::default();
    for (family, target) in targets(publication) {
        let specs = specs(publication, family, target);
        if specs.is_empty() {
            continue;
        }
        let view = View::of(socket, family, FILTER, &[FORWARD, names::FORWARD])?;
        share_entry(&view, batch)?;
        let handles = owner::handles_in(stored, family, FILTER, names::FORWARD);
        let known = view.lines_at(names::FORWARD, &handles)?;
        // Where somebody flushed the chain these may be the handles of others' rules by now.
        let before = earlier.and_then(|earlier| {
            let target = earlier.target(family)?;
            Some(self::specs(earlier, family, target))
        });
        let is_old = |line: &&Line| {
            let is_in = |list: &[Spec]| list.iter().any(|spec| line.is(spec));
            before.as_deref().is_some_and(is_in) && !is_in(&specs)
        };
        for line in known.iter().filter(is_old) {
            batch.del_rule(&view.table, names::FORWARD, line.handle());
        }
        for spec in &specs {
            match known.iter().find(|line| line.is(spec)) {
                Some(line) => added.keep(&view, names::FORWARD, line.handle()),
                None => added.append(batch, &view, names::FORWARD, spec),
            }
        }
    }
    Ok(added)
}

/// Takes that back: the rules of `stored`, the handles that [`add`] told, or else one of each.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove(
    socket: &Socket,
    batch: &mut Batch,
    publication: &Publication,
    stored: &[Handle],
) -> Result<(), Error> {
    for (family, target) in targets(publication) {
        let specs = specs(publication, family, target);
        let view = View::of(socket, family, FILTER, &[names::FORWARD])?;
        let handles = owner::handles_in(stored, family, FILTER, names::FORWARD);
        let lines = view.lines_for(names::FORWARD, stored, &specs)?;
        for spec in &specs {
            let is_stored = |line: &&Line| handles.contains(&line.handle());
            let mut equal = lines.iter().filter(|line| line.is(spec)).peekable();
            let first = equal.peek().copied();
            if let Some(line) = equal.find(is_stored).or(first) {
                batch.del_rule(&view.table, names::FORWARD, line.handle());
            }
        }
    }
    Ok(())
}

/// Takes that back for a container that nobody remembers, by its addresses.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove_all(socket: &Socket, batch: &mut Batch, addresses: &[IpAddr]) -> Result<(), Error> {
    for address in addresses {
        let host = Cidr::host(*address);
        let view = View::of(socket, host.family(), FILTER, &[names::FORWARD])?;
        for line in view.lines(names::FORWARD)? {
            if line.spec().is_some_and(|spec| is_of(&spec, host)) {
                batch.del_rule(&view.table, names::FORWARD, line.handle());
            }
        }
    }
    Ok(())
}

/// Whether it is a rule that [`add`] makes for a container.
fn is_of(spec: &Spec, host: Cidr) -> bool {
    let to = Spec::new(Target::Accept).destination(host);
    let ports = spec.destination_ports().map(<[(u16, u16)]>::to_vec);
    let is_port = |ports: Vec<(u16, u16)>| {
        Protocol::ALL.into_iter().any(|protocol| {
            *spec
                == to
                    .clone()
                    .protocol(protocol.number())
                    .with(Match::DestinationPorts(ports.clone()))
        })
    };
    *spec == answers(host) || ports.is_some_and(is_port)
}

/// All that a container answers.
fn answers(host: Cidr) -> Spec {
    Spec::new(Target::Accept).source(host).with(Match::Known)
}

/// Compares the tables with what [`add`] makes, where the host drops what it forwards: else new
/// connections pass by themselves.
///
/// # Errors
/// [`Error::Differs`] with the first rule that is missing; [`Error::Refused`] when the tables
/// cannot be read.
pub fn check(socket: &Socket, publication: &Publication, stored: &[Handle]) -> Result<(), Error> {
    compare(socket, publication, stored, |view| {
        view.chain(FORWARD).is_some_and(|found| found.drops)
    })
}

/// As [`check`] on any host.
///
/// # Errors
/// As there.
pub fn check_all(
    socket: &Socket,
    publication: &Publication,
    stored: &[Handle],
) -> Result<(), Error> {
    compare(socket, publication, stored, |_| true)
}

fn compare(
    socket: &Socket,
    publication: &Publication,
    stored: &[Handle],
    matters: impl Fn(&View<'_>) -> bool,
) -> Result<(), Error> {
    for (family, target) in targets(publication) {
        let specs = specs(publication, family, target);
        if specs.is_empty() {
            continue;
        }
        let view = View::of(socket, family, FILTER, &[FORWARD, names::FORWARD])?;
        if !matters(&view) {
            continue;
        }
        view.demand(FORWARD, &[], &[entry()])?;
        view.demand(names::FORWARD, stored, &specs)?;
    }
    Ok(())
}

/// For each protocol the container's ports, and all that it answers.
fn specs(publication: &Publication, family: Family, target: Cidr) -> Vec<Spec> {
    let accept = || Spec::new(Target::Accept);
    let mut specs = Vec::new();
    for protocol in Protocol::ALL {
        let mappings: Vec<&Mapping> = publication
            .mappings
            .iter()
            .filter(|mapping| mapping.protocol == protocol && mapping.serves(family))
            .collect();
        let inside = |mapping: &&Mapping| {
            (mapping.container_port, mapping.container_port + (mapping.count - 1))
        };
        for ports in port_lists(mappings.iter().map(inside)) {
            let to = accept().destination(Cidr::host(target.ip())).protocol(protocol.number());
            specs.push(to.with(Match::DestinationPorts(ports)));
        }
    }
    if !specs.is_empty() {
        specs.push(answers(Cidr::host(target.ip())));
    }
    specs
}
