//! Taking back the ports of attachments that are no longer valid.

use std::path::Path;

use cni::{Error, NetworkCall};
use netfilter::{Filter, Sweep, kind};
use proxy::Client;
use types::Attachment;

use crate::apply::forget;

/// Removes everything of the network that is not valid; without a list, what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let valid = call.config.valid_attachments()?;
    let network = call.config.name();
    let of = Sweep { network, valid: valid.as_deref() };
    let filter = Filter::open(run_dir, &kind::Portmap)?;
    let removed = filter.sweep(of)?;
    let client = Client::new(run_dir, &call.path);
    let mut errors = Vec::new();
    for one in &removed {
        errors.extend(forget(&filter, one).err());
        errors.extend(client.drop(&one.key).err());
    }
    // A killed call may have begun with the proxy, or not have come to it.
    let is_dead = |key: &Attachment| {
        key.network == *network
            && valid.as_ref().is_some_and(|valid| !valid.iter().any(|entry| entry.covers(key)))
    };
    errors.extend(client.drop_all(is_dead).err());
    Error::joined(errors).map_or(Ok(()), Err)
}
