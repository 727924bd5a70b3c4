//! Networks of ours pass iptables' `FORWARD`, in either variant, be its policy what it may.

use kernel::nft::{self, Batch};
use types::Family;

use crate::claim::{Claim, Claimant, Passing};
use crate::error::Error;
use crate::filter::{Filter, Removed};
use crate::layout::{INET, PASSING};
use crate::reference::legacy::{self, Trace};
use crate::reference::{passing, tidy};
use crate::store::Locked;

/// Lets packets of the networks of `claims` through.
pub(crate) fn pass(filter: &Filter, claims: &[Claim]) -> Result<(), Error> {
    let families = families(claims);
    if families.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    passing::add_to_forward(filter.socket(), &mut batch, &families)?;
    batch.commit(filter.socket())?;
    Ok(legacy::pass(&families)?)
}

/// Takes that back where nobody needs it after `removed`.
pub(crate) fn pass_no_more(
    filter: &Filter,
    locked: &Locked,
    removed: &Removed,
) -> Result<(), Error> {
    let passed = removed.claim.as_ref().is_some_and(|claim| claim.passing.is_some());
    if !passed
        || !removed.was_last_of_network
        || locked.has_any(Claimant::Portmap)
        || !nft::elements(filter.socket(), &INET, &PASSING)?.is_empty()
    {
        return Ok(());
    }
    let mut batch = Batch::new();
    passing::remove(filter.socket(), &mut batch)?;
    batch.commit_skipping_missing(filter.socket())?;
    legacy::remove(&[Trace::Passing])?;
    if locked.has_none_with_chains() {
        tidy(filter.socket())?;
    }
    Ok(())
}

/// Compares the host's `FORWARD` with what `claim` needs of it.
///
/// # Errors
/// [`Error::Differs`] where it drops and lacks a rule of ours.
pub(crate) fn check_passing(filter: &Filter, claim: &Claim) -> Result<(), Error> {
    passing::check_forward(filter.socket(), &families(std::slice::from_ref(claim)))
}

/// Families of the addresses that are to pass.
fn families(claims: &[Claim]) -> Vec<Family> {
    let wants = |family: &Family| {
        let passing = claims.iter().filter_map(|claim| claim.passing.as_ref());
        let addresses = passing.flat_map(|Passing { addresses, .. }| addresses);
        addresses.map(|address| Family::of(*address)).any(|of| of == *family)
    };
    [Family::V4, Family::V6].into_iter().filter(wants).collect()
}
