//! Published ports and networks of ours, let through in `CNI-FORWARD`: the reference leaves ports to
//! the policy of `FORWARD`, and so to fail where that is to drop. One rule does for all of the host,
//! since our own table marks their packets ([`layout::PASS_MARK`](crate::layout::PASS_MARK)).

use kernel::netlink::Socket;
use kernel::nft::Batch;
use kernel::nft::xt::{Match, Spec, Target};
use types::Family;

use super::firewall::{entry, overrides, share_entry};
use super::ingress::FORWARD;
use super::names::{self, HOSTPORT_PASS};
use super::portmap::targets;
use super::view::{FILTER, Line, View, contains};
use crate::layout::PASS_MARK;
use crate::{Error, Publication};

/// Lets published ports through, unless that is done already.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read, [`Error::Chain`] when a chain of that name is
/// something else.
pub fn add(socket: &Socket, batch: &mut Batch, publication: &Publication) -> Result<(), Error> {
    families(publication).try_for_each(|family| let_through(&view(socket, family)?, batch))
}

/// Lets packets of our own networks through, unless that is done already, where there is a `FORWARD`
/// that could keep them.
///
/// # Errors
/// As [`add`].
pub fn add_to_forward(
    socket: &Socket,
    batch: &mut Batch,
    families: &[Family],
) -> Result<(), Error> {
    for &family in families {
        let view = view(socket, family)?;
        if view.chain(FORWARD).is_some_and(|found| found.is_base) {
            let_through(&view, batch)?;
        }
    }
    Ok(())
}

fn let_through(view: &View<'_>, batch: &mut Batch) -> Result<(), Error> {
    share_entry(view, batch)?;
    view.ensure(batch, HOSTPORT_PASS)?;
    let own = view.lines(HOSTPORT_PASS)?;
    if !contains(&own, &pass()) {
        batch.add_rule(&view.table, HOSTPORT_PASS, &pass().rule(view.family));
    }
    if view.incoming(HOSTPORT_PASS, &own) == 0 {
        lead(view, batch)?;
    }
    Ok(())
}

/// Leads from `CNI-FORWARD` there, before all rules but those that lead to administrators' chains.
fn lead(view: &View<'_>, batch: &mut Batch) -> Result<(), Error> {
    let jump = jump().rule(view.family);
    let lines = view.lines(names::FORWARD)?;
    let is_admin = |line: &&Line| line.target().is_some_and(|chain| line.is(&overrides(chain)));
    match lines.iter().rfind(is_admin) {
        Some(line) => batch.add_rule_after(&view.table, names::FORWARD, line.handle(), &jump),
        None => batch.insert_rule(&view.table, names::FORWARD, &jump),
    }
    Ok(())
}

/// Takes that back, for the last that needs it.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove(socket: &Socket, batch: &mut Batch) -> Result<(), Error> {
    for family in [Family::V4, Family::V6] {
        let view = view(socket, family)?;
        if !view.has(HOSTPORT_PASS) {
            continue;
        }
        let lines = view.lines(names::FORWARD)?;
        let jumps: Vec<&Line> = lines.iter().filter(|line| line.is(&jump())).collect();
        let own = view.lines(HOSTPORT_PASS)?;
        if view.incoming(HOSTPORT_PASS, &own) > jumps.len() {
            continue; // somebody else uses it
        }
        for line in jumps {
            batch.del_rule(&view.table, names::FORWARD, line.handle());
        }
        batch.del_chain(&view.table, HOSTPORT_PASS);
    }
    Ok(())
}

/// Compares the tables with what [`add`] makes, where the host drops what it forwards: else new
/// connections pass by themselves.
///
/// # Errors
/// [`Error::Differs`] with the first rule that is missing; [`Error::Refused`] when the tables
/// cannot be read.
pub fn check(socket: &Socket, publication: &Publication) -> Result<(), Error> {
    check_forward(socket, &families(publication).collect::<Vec<_>>())
}

/// The same for packets of our own networks.
///
/// # Errors
/// As [`check`].
pub fn check_forward(socket: &Socket, families: &[Family]) -> Result<(), Error> {
    compare(socket, families, |view| view.chain(FORWARD).is_some_and(|found| found.drops))
}

/// As [`check`] on any host.
///
/// # Errors
/// As there.
pub fn check_all(socket: &Socket, publication: &Publication) -> Result<(), Error> {
    compare(socket, &families(publication).collect::<Vec<_>>(), |_| true)
}

fn compare(
    socket: &Socket,
    families: &[Family],
    matters: impl Fn(&View<'_>) -> bool,
) -> Result<(), Error> {
    for &family in families {
        let view = view(socket, family)?;
        if !matters(&view) {
            continue;
        }
        view.demand(FORWARD, &[], &[entry()])?;
        view.demand(HOSTPORT_PASS, &[], &[pass()])?;
        if view.incoming(HOSTPORT_PASS, &view.lines(HOSTPORT_PASS)?) == 0 {
            view.demand(names::FORWARD, &[], &[jump()])?;
        }
    }
    Ok(())
}

fn view(socket: &Socket, family: Family) -> Result<View<'_>, Error> {
    View::of(socket, family, FILTER, &[FORWARD, names::FORWARD, HOSTPORT_PASS])
}

/// Those in which ports are published.
fn families(publication: &Publication) -> impl Iterator<Item = Family> {
    let serves = |family| publication.mappings.iter().any(|mapping| mapping.serves(family));
    targets(publication).map(|(family, _)| family).filter(move |family| serves(*family))
}

/// From `CNI-FORWARD`.
pub(super) fn jump() -> Spec {
    Spec::new(Target::Jump(HOSTPORT_PASS.into())).comment("published ports of cais")
}

/// Its only rule.
pub(super) fn pass() -> Spec {
    Spec::new(Target::Accept).with(Match::Mark(PASS_MARK, u32::MAX))
}
