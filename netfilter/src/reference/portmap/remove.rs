use kernel::netlink::Socket;
use kernel::nft::Batch;

use super::FAMILIES;
use super::specs::COMMENT;
use crate::Error;
use crate::claim::Handle;
use crate::reference::view::{Line, NAT, View};
use crate::reference::{names, owner};

/// Takes back what a container of a network publishes, whoever published it, also what versions
/// before 0.8 wrote. `stored` are the handles that ADD told. Whether there was anything.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove(
    socket: &Socket,
    batch: &mut Batch,
    (network, container): (&str, &str),
    stored: &[Handle],
) -> Result<bool, Error> {
    let (dnat, snat) = (names::dnat(network, container), names::snat(network, container));
    let mut found = false;
    for family in FAMILIES {
        let shared = [names::HOSTPORT_DNAT, names::HOSTPORT_SNAT];
        let view = View::of(socket, family, NAT, &[shared[0], shared[1], &dnat, &snat])?;
        found |= chain(&view, batch, shared[0], &dnat, stored)?;
        found |= chain(&view, batch, shared[1], &snat, &[])?;
    }
    Ok(found)
}

/// Removes what leads from one chain to another, then that one. Whether it was there.
pub(in crate::reference) fn chain(
    view: &View<'_>,
    batch: &mut Batch,
    from: &str,
    chain: &str,
    stored: &[Handle],
) -> Result<bool, Error> {
    if !view.has(chain) {
        return Ok(false);
    }
    let incoming = view.incoming(chain, &view.lines(chain)?);
    let handles = owner::handles_in(stored, view.family, view.table.name(), from);
    let leads = |line: &Line| line.leads_to(chain);
    let mut jumps: Vec<Line> = view.lines_at(from, &handles)?.into_iter().filter(leads).collect();
    if jumps.len() < incoming {
        jumps = view.lines(from)?.into_iter().filter(leads).collect();
    }
    for jump in &jumps {
        batch.del_rule(&view.table, from, jump.handle());
    }
    if jumps.len() < incoming {
        batch.flush_chain(&view.table, chain); // somebody else leads to it, too
    } else {
        batch.del_chain(&view.table, chain);
    }
    Ok(true)
}

/// Takes back what containers publish of which `is_valid` (network, container) is not true.
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
    stale(socket, batch, Sweeping { from: names::HOSTPORT_DNAT, prefix: COMMENT }, is_valid)
}

/// Which chain holds the jumps, and what comes before the owner in their comments.
#[derive(Clone, Copy)]
pub(in crate::reference) struct Sweeping {
    pub(in crate::reference) from: &'static str,
    pub(in crate::reference) prefix: &'static str,
}

/// The sweep of any layout that has a chain for each container, with its owner in the jumps.
pub(in crate::reference) fn stale(
    socket: &Socket,
    batch: &mut Batch,
    sweeping: Sweeping,
    mut is_valid: impl FnMut(&str, &str) -> bool,
) -> Result<usize, Error> {
    let mut count = 0;
    for family in FAMILIES {
        let lines = View::of(socket, family, NAT, &[sweeping.from])?.lines(sweeping.from)?;
        let mut gone: Vec<(&str, Vec<&Line>)> = Vec::new();
        for line in &lines {
            let Some(chain) = line.target() else { continue };
            let spec = line.spec();
            let Some(text) = spec.as_ref().and_then(|spec| spec.text()) else { continue };
            let Some((network, container)) = owner::parse(sweeping.prefix, text) else { continue };
            let theirs = [names::dnat(network, container), names::masquerade(network, container)];
            if !theirs.iter().any(|name| name == chain) || is_valid(network, container) {
                continue;
            }
            match gone.iter_mut().find(|(name, _)| *name == chain) {
                Some((_, jumps)) => jumps.push(line),
                None => gone.push((chain, vec![line])),
            }
        }
        let chains: Vec<&str> = gone.iter().map(|(chain, _)| *chain).collect();
        let view = View::of(socket, family, NAT, &chains)?;
        for (chain, jumps) in gone {
            for jump in &jumps {
                batch.del_rule(&view.table, sweeping.from, jump.handle());
            }
            if view.incoming(chain, &view.lines(chain)?) <= jumps.len() {
                batch.del_chain(&view.table, chain);
            }
            count += 1;
        }
    }
    Ok(count)
}
