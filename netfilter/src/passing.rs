//! Networks of ours pass iptables' `FORWARD`, in either variant, be its policy what it may.

use kernel::netlink::Socket;
use kernel::nft::{self, Batch};
use types::Family;

use crate::claim::{Claim, Passing};
use crate::error::Error;
use crate::kind::Gone;
use crate::layout::{INET, PASSING};
use crate::reference::legacy::{self, Trace};
use crate::reference::{passing, tidy};

/// Lets packets of the networks of `claims` through.
pub(crate) fn pass(socket: &Socket, claims: &[Claim]) -> Result<(), Error> {
    let families = families(claims);
    if families.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    passing::add_to_forward(socket, &mut batch, &families)?;
    batch.commit(socket)?;
    Ok(legacy::pass(&families)?)
}

/// Takes that back where nobody needs it without `gone`, whose elements are deleted by now.
pub(crate) fn pass_no_more(socket: &Socket, gone: &Gone<'_>) -> Result<(), Error> {
    let passed = gone.claim.is_some_and(|claim| claim.passing.is_some());
    if !passed
        || !gone.was_last_of_kind
        || gone.others_publish
        || !nft::elements(socket, &INET, &PASSING)?.is_empty()
    {
        return Ok(());
    }
    let mut batch = Batch::new();
    passing::remove(socket, &mut batch)?;
    batch.commit_skipping_missing(socket)?;
    legacy::remove(&[Trace::Passing])?;
    tidy(socket).map(drop)
}

/// Compares the host's `FORWARD` with what `claim` needs of it.
///
/// # Errors
/// [`Error::Differs`] where it drops and lacks a rule of ours.
pub(crate) fn check(socket: &Socket, claim: &Claim) -> Result<(), Error> {
    passing::check_forward(socket, &families(std::slice::from_ref(claim)))
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
