//! What clients send to resolvers, let through iptables' `INPUT`, in either variant: hosts whose
//! policy there is to drop know nothing of a resolver that listens at some port of a gateway. One rule
//! does for all networks, since our own table marks the packets
//! ([`layout::PASS_MARK`](crate::layout::PASS_MARK)). Where there is no `INPUT`, nothing is made.

use kernel::netlink::Socket;
use kernel::nft::Batch;
use kernel::nft::xt::{Match, Spec, Target};
use types::Family;

use super::legacy::{self, LegacyError};
use super::view::{FILTER, Line, View, contains};
use crate::Error;
use crate::layout::PASS_MARK;

/// Where packets to the host itself come.
pub(crate) const INPUT: &str = "INPUT";
/// Says whose the rule is; one word, which iptables prints without quotes.
pub(crate) const COMMENT: &str = "cais-names";

/// Lets them through before all other rules, unless that is done already.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn add(socket: &Socket, batch: &mut Batch, families: &[Family]) -> Result<(), Error> {
    for &family in families {
        let view = view(socket, family)?;
        if view.chain(INPUT).is_some_and(|found| found.is_base)
            && !contains(&view.lines(INPUT)?, &rule())
        {
            batch.insert_rule(&view.table, INPUT, &rule().rule(family));
        }
    }
    Ok(())
}

/// Takes that back.
///
/// # Errors
/// [`Error::Refused`] when the tables cannot be read.
pub fn remove(socket: &Socket, batch: &mut Batch, families: &[Family]) -> Result<(), Error> {
    for &family in families {
        let view = view(socket, family)?;
        let lines = view.lines(INPUT)?;
        for line in lines.iter().filter(|line: &&Line| line.is(&rule())) {
            batch.del_rule(&view.table, INPUT, line.handle());
        }
    }
    Ok(())
}

/// Compares the tables with what [`add`] makes, where the host drops what comes to it.
///
/// # Errors
/// [`Error::Differs`] when the rule is missing; [`Error::Refused`] when the tables cannot be read.
pub fn check(socket: &Socket, families: &[Family]) -> Result<(), Error> {
    for &family in families {
        let view = view(socket, family)?;
        if view.chain(INPUT).is_some_and(|found| found.drops) {
            view.demand(INPUT, &[], &[rule()])?;
        }
    }
    Ok(())
}

/// As [`add`] where the legacy table `filter` is in use.
///
/// # Errors
/// When it can be neither read nor changed.
pub fn add_legacy(families: &[Family]) -> Result<(), LegacyError> {
    families.iter().try_for_each(|family| legacy::admit(*family))
}

/// Takes that back.
///
/// # Errors
/// When it can be neither read nor changed.
pub fn remove_legacy(families: &[Family]) -> Result<(), LegacyError> {
    families.iter().try_for_each(|family| legacy::admit_no_more(*family))
}

fn view(socket: &Socket, family: Family) -> Result<View<'_>, Error> {
    View::of(socket, family, FILTER, &[INPUT])
}

fn rule() -> Spec {
    Spec::new(Target::Accept).with(Match::Mark(PASS_MARK, u32::MAX)).comment(COMMENT)
}
