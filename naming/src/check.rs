//! Comparing what ADD made with what is there.

use std::path::Path;

use attach::host::Host;
use attach::verify::differs;
use cni::{AddResult, Call, Error, code};
use kernel::netlink::Socket;
use names::{Client, Record};
use netfilter::{Claimant, Store, loopback};
use types::Cidr;

use crate::doors;
use crate::plan::{record, sandbox};
use crate::settings::{Required, Settings};

/// Compares what the daemon knows of an attachment whose plugin makes the bridge itself, and whether
/// it is what the packet filter is told; on the host. Gives the record, if it has names.
///
/// # Errors
/// Code 101 with the first difference.
pub fn joined(
    call: &Call,
    settings: &Settings,
    result: &AddResult,
    (run_dir, plugin): (&Path, &str),
) -> Result<Option<Record>, Error> {
    let netns = sandbox(call)?;
    let host = Host::open(run_dir.to_owned())?;
    let wanted = record(call, settings, result, &netns, &host)?;
    let client = Client::new(run_dir, &call.path);
    if settings.required == Required::No && client.store().read(&wanted.key).is_none() {
        // It started without.
        return Ok(None);
    }
    let record = known(&client, &wanted, plugin)?;
    let claim = Store::under(run_dir).read(&record.key, Claimant::Interface);
    let led = claim.map(|claim| claim.resolvers).unwrap_or_default();
    if led != doors::resolvers(&record.places) {
        let text =
            format!("what {} asks its gateway is not led to the daemon of names", record.key);
        return Err(differs(text));
    }
    Ok(Some(record))
}

/// Compares the record of an attachment with `wanted`, which is what ADD would write now, and asks
/// the daemon whether it listens for it. Gives the record.
///
/// A daemon that does not run, or does not answer, is no difference: no container is to blame for
/// it, and a runtime that ends all of them helps nobody. STATUS tells of it, `plugin` warns.
///
/// # Errors
/// Code 101 with the first difference.
pub fn known(client: &Client<'_>, wanted: &Record, plugin: &str) -> Result<Record, Error> {
    let key = &wanted.key;
    let Some(record) = client.store().read(key) else {
        return Err(differs(format!("no names of {key} are recorded")));
    };
    // Some runtimes leave out on CHECK what they gave on ADD.
    let recorded = record.names.as_slice();
    if let Some(missing) = wanted.names.as_slice().iter().find(|name| !recorded.contains(name)) {
        let text = format!("{key} is called {}, and not {missing}", record.names);
        return Err(differs(text));
    }
    if record.addresses != wanted.addresses {
        let texts = |list: &[Cidr]| list.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ");
        let (there, wanted) = (texts(&record.addresses), texts(&wanted.addresses));
        return Err(differs(format!("names of {key} stand for {there}, not for {wanted}")));
    }
    if record.netns_id != wanted.netns_id {
        return Err(differs(format!("names of {key} are those of another namespace")));
    }
    match client.listens(&record) {
        Ok(Some(false)) => {
            return Err(differs(format!("cais-dnsd does not listen for {key}")));
        }
        Ok(_) => {}
        Err(error) => cni::warn(plugin, &format!("cais-dnsd cannot be asked: {}", error.msg)),
    }
    Ok(record)
}

/// Compares what leads 127.0.0.11 to the daemon; to be called in the container's namespace, of which
/// `place` are the words.
///
/// # Errors
/// Code 101 when it leads elsewhere.
pub fn led(record: &Record, place: &str) -> Result<(), Error> {
    let Some(lead) = doors::lead(&record.places) else { return Ok(()) };
    let socket =
        Socket::open_netfilter(place).map_err(|error| Error::from_chain(code::IO, &error))?;
    Ok(loopback::check(&socket, &record.key, &record.key.ifname, lead)?)
}
