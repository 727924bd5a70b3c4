//! Taking back what attachments were let through that are no longer valid.

use std::path::Path;

use cni::{Error, NetworkCall};
use netfilter::{Filter, Sweep, kind};

use crate::apply::unbind;

/// Removes everything of the network that is not valid; without a list, what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let valid = call.config.valid_attachments()?;
    let network = call.config.name();
    let of = Sweep { network, valid: valid.as_deref() };
    let filter = Filter::open(run_dir, &kind::Firewall)?;
    let removed = filter.sweep(of)?;
    let errors = removed.iter().filter_map(|removed| unbind(removed).err()).collect();
    Error::joined(errors).map_or(Ok(()), Err)
}
