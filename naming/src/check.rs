//! Comparing what ADD made with what is there.

use attach::verify::differs;
use cni::{Error, code};
use kernel::netlink::Socket;
use names::{Client, Record};
use netfilter::loopback;
use types::Cidr;

use crate::doors;

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
