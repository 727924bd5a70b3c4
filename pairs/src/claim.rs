//! What an attachment wants of the packet filter.

use std::path::Path;

use attach::host::identity;
use attach::verify::differs;
use cni::{AddResult, Call, Error, code};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::undo::Undo;
use netfilter::kind::{self, Kind};
use netfilter::{Claim, Claimant, Filter, Store};
use types::{Attachment, Cidr};

/// A claim of the attachment of `call` in `netns` that wants nothing yet.
///
/// # Errors
/// Code 5 when the namespace cannot be told from others.
pub fn of(call: &Call, netns: &Netns) -> Result<Claim, Error> {
    let sandbox = call.sandbox();
    let netns_id =
        identity(netns).map_err(|e| Error::new(code::IO, format!("identify {sandbox}: {e}")))?;
    Ok(Claim::new(call.attachment.clone(), Claimant::Interface, sandbox, netns_id))
}

/// Tells the packet filter what an attachment wants, to be taken back when a later step fails.
///
/// # Errors
/// What the packet filter says.
pub fn add<'a>(
    kind: &'static dyn Kind,
    claim: Claim,
    run_dir: &Path,
    undo: &mut Undo<'a>,
) -> Result<(), Error> {
    let filter = Filter::open(run_dir, kind)?;
    filter.add(&claim)?;
    // Its socket stays on the host, wherever the thread goes.
    undo.push(format!("take back what {} wants of the packet filter", claim.key), move || {
        Ok(filter.remove(&claim.key, &[]).map(drop)?)
    });
    Ok(())
}

/// Whether anything is remembered that DEL has to take back.
pub(crate) fn is_remembered(key: &Attachment, run_dir: &Path) -> bool {
    Store::under(run_dir).read(key, Claimant::Interface).is_some()
}

/// Takes back what the attachment wanted. The socket is to be kept open while the kernel frees
/// what was deleted.
pub(crate) fn remove(
    kind: &'static dyn Kind,
    key: &Attachment,
    run_dir: &Path,
) -> Result<Socket, Error> {
    let filter = Filter::open(run_dir, kind)?;
    filter.remove(key, &[])?;
    Ok(filter.into_socket())
}

/// Compares what the attachment of `call` wants with what is there. One without a claim of ours was
/// made by the reference, whose own layouts `of_reference` knows.
///
/// # Errors
/// Code 101 with the first difference, and what cannot be asked.
pub fn compare(
    kind: &'static dyn Kind,
    call: &Call,
    of_reference: impl FnOnce(&Filter) -> Result<(), Error>,
) -> Result<(), Error> {
    let filter = Filter::open(&cni::state::run_dir(), kind)?;
    match filter.store().read(&call.attachment, Claimant::Interface) {
        Some(claim) => Ok(filter.check(&claim)?),
        None => of_reference(&filter),
    }
}

/// Claims that the reference masquerades the addresses of `result`.
///
/// # Errors
/// Code 101 when it does not, and what cannot be asked.
pub fn is_masqueraded_by_reference(
    filter: &Filter,
    key: &Attachment,
    result: &AddResult,
) -> Result<(), Error> {
    let addresses: Vec<Cidr> = result.ips.iter().map(|ip| ip.address).collect();
    match kind::Interface::is_masqueraded(filter.socket(), key, &addresses)? {
        true => Ok(()),
        false => Err(differs(format!("nothing masquerades the addresses of {key}"))),
    }
}
