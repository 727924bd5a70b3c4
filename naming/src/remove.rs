//! Taking back: independent removals, all of which are tried. What is gone is success.

use cni::{Call, Error, NetworkCall, code};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use names::{Client, Record, Request, Topic};
use netfilter::loopback;
use types::Attachment;

/// Forgets the names of `key`. A daemon that cannot be told is warned of: the record is gone, so it
/// will not know it any more when it reads them again, and the plugins before this one have to be
/// let clean up. `plugin` is who warns.
///
/// # Errors
/// When the record cannot be removed.
pub fn forget(client: &Client<'_>, key: &Attachment, plugin: &str) -> Result<(), Error> {
    client.store().remove(key)?;
    if let Err(error) = client.tell(&Request::Drop(key.clone())) {
        cni::warn(plugin, &format!("names of {key} may be found for a while: {}", error.msg));
    }
    Ok(())
}

/// Leads 127.0.0.11 nowhere any more for the attachment of `call`, where its namespace still lives.
/// The calling thread stays where it is. The socket waits for the kernel when it is closed: that is
/// for the child that closes or deletes the rest.
///
/// # Errors
/// When the packet filter refuses; there is no socket then.
pub fn take_back(call: &Call) -> (Option<Socket>, Result<(), Error>) {
    let Some(path) = &call.netns else { return (None, Ok(())) };
    let Ok(netns) = Netns::open(path) else { return (None, Ok(())) };
    match netns.run(|| unled_here(&call.attachment, &netns)) {
        Ok(Ok(socket)) => (Some(socket), Ok(())),
        Ok(Err(error)) => (None, Err(error)),
        // Not the caller's to enter.
        Err(_) => (None, Ok(())),
    }
}

/// The same in the calling thread's namespace, which is `netns`. Closing the socket waits for the
/// kernel.
fn unled_here(key: &Attachment, netns: &Netns) -> Result<Socket, Error> {
    let socket = Socket::open_netfilter(netns.path().display().to_string())
        .map_err(|error| Error::from_chain(code::IO, &error))?;
    loopback::remove(&socket, key)?;
    Ok(socket)
}

/// The same for a record of an attachment whose namespace somebody keeps.
fn unlead_remembered(record: &Record, boot: &str) -> Result<(), Error> {
    if !record.netns_id.lives_at(&record.netns, boot) {
        return Ok(());
    }
    let Ok(netns) = Netns::open(&record.netns) else { return Ok(()) };
    match netns.run(|| unled_here(&record.key, &netns).map(drop)) {
        Ok(removed) => removed,
        Err(error) => Err(Error::from_chain(code::IO, &error)),
    }
}

/// Forgets the names of all attachments of the network that are not valid; without a list, of those
/// that are proven dead. `plugin` is who warns.
///
/// # Errors
/// What could not be removed; all were tried.
pub fn sweep(client: &Client<'_>, call: &NetworkCall, plugin: &str) -> Result<(), Error> {
    let network = call.config.name();
    let valid = call.config.valid_attachments()?;
    let boot = cni::record::boot_id()
        .map_err(|e| Error::new(code::IO, format!("read the boot's id: {e}")))?;
    let store = client.store();
    let dead = |key: &Attachment| {
        valid.as_ref().is_some_and(|valid| !valid.iter().any(|entry| entry.covers(key)))
    };
    let mut gone: Vec<Attachment> = Vec::new();
    let mut errors: Vec<Error> = Vec::new();
    for record in store.of_network(network)? {
        let is_gone = match valid {
            Some(_) => dead(&record.key),
            None => !record.netns_id.lives_at(&record.netns, &boot),
        };
        if is_gone {
            errors.extend(unlead_remembered(&record, &boot).err());
            gone.push(record.key);
        }
    }
    if valid.is_some() {
        // Of these nothing proves that they are dead, beside the list.
        gone.extend(store.unfinished(network)?.into_iter().filter(|key| dead(key)));
    }
    errors.extend(gone.iter().filter_map(|key| forget(client, key, plugin).err()));
    // What it was not told of before, it forgets now.
    if let Err(error) = client.about(Topic::Reload) {
        cni::warn(plugin, &format!("cais-dnsd did not read the records again: {}", error.msg));
    }
    Error::joined(errors).map_or(Ok(()), Err)
}
