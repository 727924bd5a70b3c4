//! DEL: the attachment as a whole, of which each part is removed whatever became of the others.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use attach::error::{no_netns, refused};
use attach::host::{Host, deleter};
use attach::ipam::Addresses;
use attach::{names, record};
use cni::record::Records;
use cni::{Call, Error};
use kernel::link::{self, Deleter};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use netfilter::kind::Kind;
use types::IfName;

use crate::claim;
use crate::make::NAMES;

/// Removes the attachment: the container's end, the host's end, the addresses, the record. Each is
/// tried whatever the others did. `kind` is the plugin's, `asks` says whether its configuration may have asked for anything
/// of the packet filter; what is remembered is taken back in any case. `hold` are sockets of the
/// packet filter through which more was deleted: the child that waits for the kernel holds them.
///
/// # Errors
/// What went wrong, joined.
pub fn remove(
    call: &Call,
    addresses: Option<&dyn Addresses>,
    (kind, asks, hold): (&'static dyn Kind, bool, Vec<Socket>),
    run_dir: &Path,
) -> Result<(), Error> {
    let mut errors = Vec::new();
    let mut hold = hold;
    if asks || claim::is_remembered(&call.attachment, run_dir) {
        match claim::remove(kind, &call.attachment, run_dir) {
            Ok(socket) => hold.push(socket),
            Err(error) => errors.push(error),
        }
    }
    let mut note = |outcome: Result<(), Error>| errors.extend(outcome.err());
    let in_process = addresses.is_none_or(Addresses::is_in_process);
    if !in_process && let Some(addresses) = addresses {
        // While the link is there, so that `dhcp` can tell its server.
        note(addresses.del(call));
    }
    let hold: Vec<_> = hold.iter().map(AsFd::as_fd).collect();
    note(remove_pair(call, run_dir, &hold));
    if in_process && let Some(addresses) = addresses {
        note(addresses.del(call));
    }
    note(record::remove(call, run_dir));
    Error::joined(errors).map_or(Ok(()), Err)
}

/// Removes the pair of `call`: by the host's end, which is ours by its alias, else by the
/// container's (a pair of the reference, or one whose ADD was killed before it had an alias).
/// The child that waits in our place keeps `hold` open.
fn remove_pair(call: &Call, run_dir: &Path, hold: &[BorrowedFd<'_>]) -> Result<(), Error> {
    let deleter = deleter(run_dir);
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let alias = names::alias(&call.attachment);
    for attempt in 0..NAMES {
        let name = names::host_ifname(&call.attachment, attempt);
        match link::find(&host, &name).map_err(|e| refused(&e))? {
            None => break,
            Some(link) if link.alias.as_deref() == Some(&alias) => {
                return deleter.delete(&host, &link, hold).map(drop).map_err(|e| refused(&e));
            }
            Some(_) => {}
        }
    }
    let netns = match call.netns.as_ref().map(Netns::open) {
        None => None,
        Some(Err(error)) if error.is_gone() => None,
        Some(other) => Some(other.map_err(|e| no_netns(&e))?),
    };
    let Some(netns) = netns else { return remove_unnamed(call, run_dir, &host, hold) };
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let inside = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
    let ifname = &call.attachment.ifname;
    deleter.delete(&inside, ifname, hold).map(drop).map_err(|e| refused(&e))
}

/// Removes the pair of an ADD that was killed before the host's end had its alias, where the
/// container's is gone: the kernel takes it with the namespace, some time later.
fn remove_unnamed(
    call: &Call,
    run_dir: &Path,
    host: &Socket,
    hold: &[BorrowedFd<'_>],
) -> Result<(), Error> {
    let Some(record) = Records::under(run_dir).read(&call.attachment) else { return Ok(()) };
    let Ok(name) = record.host_ifname.parse::<IfName>() else { return Ok(()) };
    match link::find(host, &name).map_err(|e| refused(&e))? {
        Some(link) if link.alias.is_none() && link.is_kind("veth") => {
            deleter(run_dir).delete(host, &link, hold).map(drop).map_err(|e| refused(&e))
        }
        _ => Ok(()),
    }
}

/// Deletes a link of the host from wherever the calling thread is, and waits for the kernel: only
/// failed ADDs do so.
///
/// # Errors
/// What the kernel said.
pub fn take_back(host: &Host, name: &IfName) -> Result<(), kernel::undo::StepError> {
    Deleter::waiting().delete(&host.socket, name, &[])?;
    Ok(())
}
