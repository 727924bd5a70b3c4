//! Removing what is left of attachments that are no longer valid: links on the host by their alias,
//! records by their key.

use std::path::Path;

use attach::error::refused;
use attach::names::key_of_alias;
use attach::record::{Record, Records};
use cni::{Error, GcAttachment, NetworkCall, code};
use kernel::link;
use kernel::netlink::Socket;
use types::Attachment;

use crate::apply::delete;

/// Removes everything of the network that is not valid; without a list, what is proven dead.
pub(crate) fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let network = call.config.name();
    let valid = call.config.valid_attachments()?;
    let records = Records::under(run_dir);
    let unreadable = |e| Error::new(code::IO, format!("list records of network {network}: {e}"));
    let recorded = records.of_network(network).map_err(unreadable)?;
    let boot =
        kernel::boot::id().map_err(|e| Error::new(code::IO, format!("read the boot's id: {e}")))?;
    let is_dead = |key: &Attachment| match &valid {
        Some(valid) => !valid.iter().any(|entry| names(entry, key)),
        None => recorded.iter().any(|record| record.key == *key && record.is_dead(&boot)),
    };
    let mut errors = Vec::new();
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    for link in link::list(&host).map_err(|e| refused(&e))? {
        let key = link.alias.as_deref().and_then(key_of_alias);
        let ours = key.filter(|key| key.network == *network && is_dead(key));
        if let (Some(_), Ok(name)) = (ours, link.dev.name.parse()) {
            errors.extend(delete(&host, &name, run_dir).map_err(|e| refused(&e)).err());
        }
    }
    for Record { key, .. } in recorded.iter().filter(|record| is_dead(&record.key)) {
        let failed = |e| Error::new(code::IO, format!("remove record of {key}: {e}"));
        errors.extend(records.remove(key).map_err(failed).err());
    }
    Error::joined(errors).map_or(Ok(()), Err)
}

fn names(entry: &GcAttachment, key: &Attachment) -> bool {
    entry.container == key.container
        && entry.ifname.as_ref().is_none_or(|ifname| *ifname == key.ifname)
}
