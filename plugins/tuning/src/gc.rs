//! Removing what is left of attachments that are no longer valid. The directory of backup files is
//! shared by all networks and by the reference, and the files do not say whose they are, so only
//! those that a record of this network names are looked at.

use std::path::Path;

use cni::{Error, NetworkCall, code};
use kernel::boot;
use types::Attachment;

use crate::record::{Record, Store};
use crate::restore::Traces;

/// Removes everything of the network that is not valid; without a list, what is proven dead.
pub(crate) fn sweep(call: &NetworkCall, store: &Store) -> Result<(), Error> {
    let network = call.config.name();
    let valid = call.config.valid_attachments()?;
    let boot = boot::id().map_err(|e| Error::new(code::IO, format!("read the boot's id: {e}")))?;
    let unreadable = |e| Error::new(code::IO, format!("list records of network {network}: {e}"));
    let is_valid =
        |key: &Attachment| valid.as_ref().map(|valid| valid.iter().any(|alive| alive.covers(key)));
    let mut errors = Vec::new();
    for record in store.of_network(network).map_err(unreadable)? {
        let is_dead = is_valid(&record.key).map_or_else(|| !record.lives(&boot), |valid| !valid);
        if is_dead {
            errors.extend(bury(&record, store).err());
        }
    }
    for key in store.unfinished(network).map_err(unreadable)? {
        // Of these nothing proves that they are dead, beside the list.
        if is_valid(&key) == Some(false) {
            let failed = |e| Error::new(code::IO, format!("remove record of {key}: {e}"));
            errors.extend(store.remove(&key).map_err(failed).err());
        }
    }
    Error::joined(errors).map_or(Ok(()), Err)
}

/// Somebody may keep the namespace of a container that is gone; it gets back what it had.
fn bury(record: &Record, store: &Store) -> Result<(), Error> {
    Traces::of_record(record, store).remove(Some(Path::new(&record.netns)))
}
