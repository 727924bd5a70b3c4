//! Removing what is left of attachments that are no longer valid: links on the host by their alias,
//! records by their key.

use std::path::Path;

use attach::error::refused;
use attach::names::{self, key_of_alias};
use cni::record::{Record, Records, boot_id};
use cni::{Error, NetworkCall, code};
use kernel::link;
use kernel::netlink::Socket;
use netfilter::{Filter, Sweep, kind};
use types::Attachment;

use crate::apply::deleter;

/// Removes everything of the network that is not valid; without a list, what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let network = call.config.name();
    let valid = call.config.valid_attachments()?;
    let records = Records::under(run_dir);
    let unreadable = |e| Error::new(code::IO, format!("list records of network {network}: {e}"));
    let recorded = records.of_network(network).map_err(unreadable)?;
    let boot = boot_id().map_err(|e| Error::new(code::IO, format!("read the boot's id: {e}")))?;
    let is_dead = |key: &Attachment| match &valid {
        Some(valid) => !valid.iter().any(|entry| entry.covers(key)),
        None => recorded.iter().any(|record| record.key == *key && record.is_dead(&boot)),
    };
    let mut errors = Vec::new();
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let dead: Vec<&Record> = recorded.iter().filter(|record| is_dead(&record.key)).collect();
    for link in link::list(&host).map_err(|e| refused(&e))? {
        let ours = match link.alias.as_deref() {
            Some(alias) => {
                key_of_alias(alias).is_some_and(|key| key.network == *network && is_dead(&key))
                    || dead.iter().any(|record| names::alias(&record.key) == alias)
            }
            // An ADD that was killed before the pair had its alias left its name in the record.
            None => dead.iter().any(|r| r.host_ifname == link.dev.name) && link.is_kind("veth"),
        };
        if ours {
            let deleted = deleter(run_dir).delete(&host, &link, &[]);
            errors.extend(deleted.map_err(|e| refused(&e)).err());
        }
    }
    // Of these nothing proves that they are dead, beside the list.
    let unfinished = match &valid {
        Some(_) => records.unfinished(network).map_err(unreadable)?,
        None => Vec::new(),
    };
    let unfinished = unfinished.iter().filter(|key| is_dead(key));
    for key in dead.iter().map(|record| &record.key).chain(unfinished) {
        let failed = |e| Error::new(code::IO, format!("remove record of {key}: {e}"));
        errors.extend(records.remove(key).map_err(failed).err());
    }
    let sweep = Sweep { network, valid: valid.as_deref() };
    let filter = Filter::open(run_dir, &kind::Interface)?;
    let swept = filter.sweep(sweep);
    errors.extend(swept.map_err(Error::from).err());
    Error::joined(errors).map_or(Ok(()), Err)
}
