//! Removing what is left of attachments that are no longer valid: links on the host by their alias,
//! records by their key.

use std::path::Path;

use attach::error::refused;
use attach::host::deleter;
use attach::names::{self, key_of_alias};
use attach::validity::Validity;
use cni::record::Record;
use cni::{Error, NetworkCall};
use kernel::link;
use kernel::netlink::Socket;
use netfilter::kind::Kind;
use netfilter::{Filter, Sweep};

/// Removes everything of the network that is not valid; without a list, what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(kind: &'static dyn Kind, call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let network = call.config.name();
    let validity = Validity::of(call, run_dir)?;
    let mut errors = Vec::new();
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let dead: Vec<&Record> = validity.dead().collect();
    for link in link::list(&host).map_err(|e| refused(&e))? {
        let ours = match link.alias.as_deref() {
            Some(alias) => {
                key_of_alias(alias)
                    .is_some_and(|key| key.network == *network && validity.is_dead(&key))
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
    errors.extend(validity.remove_records());
    let sweep = Sweep { network, valid: validity.valid.as_deref() };
    let filter = Filter::open(run_dir, kind)?;
    let swept = filter.sweep(sweep);
    errors.extend(swept.map_err(Error::from).err());
    Error::joined(errors).map_or(Ok(()), Err)
}
