//! DEL: the link, the addresses, the record; each is tried whatever the others did.

use std::path::Path;

use attach::error::{no_netns, refused};
use attach::host::deleter;
use attach::ipam::Addresses;
use attach::{names, record};
use cni::record::{Record, Records, boot_id};
use cni::{Call, Error};
use kernel::RequestError;
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;

use crate::made::Users;

/// Removes the attachment of `call`, whose link is of `kind`.
///
/// # Errors
/// What went wrong, joined.
pub fn remove(
    call: &Call,
    kind: &str,
    addresses: Option<&dyn Addresses>,
    run_dir: &Path,
) -> Result<(), Error> {
    let mut errors = Vec::new();
    let mut note = |outcome: Result<(), Error>| errors.extend(outcome.err());
    let leaving = Users::under(run_dir);
    // Before the thread is in the container.
    let host = match leaving.has(&call.attachment) {
        true => Some(Socket::open("the host's namespace").map_err(|e| refused(&e))?),
        false => None,
    };
    let in_process = addresses.is_none_or(Addresses::is_in_process);
    if !in_process && let Some(addresses) = addresses {
        // While the link is there, so that `dhcp` can tell its server.
        note(addresses.del(call));
    }
    note(delete(call, kind, run_dir));
    if in_process && let Some(addresses) = addresses {
        note(addresses.del(call));
    }
    note(match host {
        Some(host) => leaving.leave(&host, &call.attachment),
        None => leaving.forget(&call.attachment),
    });
    note(record::remove(call, run_dir));
    Error::joined(errors).map_or(Ok(()), Err)
}

/// Deletes the link by its name in the namespace that the caller names; the reference's links have
/// nothing else. Where the caller names none that is there, the record may know it.
fn delete(call: &Call, kind: &str, run_dir: &Path) -> Result<(), Error> {
    match call.netns.as_ref().map(Netns::open) {
        Some(Ok(netns)) => {
            netns.enter_for_good().map_err(|e| no_netns(&e))?;
            let socket = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
            let deleted = deleter(run_dir).delete(&socket, &call.attachment.ifname, &[]);
            deleted.map(drop).map_err(|e| refused(&e))
        }
        Some(Err(error)) if !error.is_gone() => Err(no_netns(&error)),
        _ => match Records::under(run_dir).read(&call.attachment) {
            Some(record) if !boot_id().is_ok_and(|boot| record.is_dead(&boot)) => {
                delete_recorded(&record, kind, run_dir)
            }
            _ => Ok(()),
        },
    }
}

/// Deletes the link that `record` tells of, in its namespace, which is still there. Another one of
/// its name is left alone.
pub(crate) fn delete_recorded(record: &Record, kind: &str, run_dir: &Path) -> Result<(), Error> {
    let netns = match Netns::open(&record.netns) {
        Err(error) if error.is_gone() => return Ok(()),
        other => other.map_err(|e| no_netns(&e))?,
    };
    let delete = || -> Result<(), RequestError> {
        let socket = Socket::open(record.netns.as_str())?;
        let ifname = &record.key.ifname;
        let Some(link) = link::find(&socket, ifname)? else { return Ok(()) };
        let is_ours = match &link.alias {
            Some(alias) => *alias == names::alias(&record.key),
            // An ADD was killed before it said whose the link is.
            None => link.is_kind(kind),
        };
        match is_ours {
            true => deleter(run_dir).delete(&socket, &link, &[]).map(drop),
            false => Ok(()),
        }
    };
    let deleted = netns.run(delete).map_err(|e| no_netns(&e))?;
    deleted.map_err(|e| refused(&e))
}
