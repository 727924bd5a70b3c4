//! ADD's steps: first the daemon answers, then packets are led to it.

use attach::host::Host;
use cni::{Error, code};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::undo::Undo;
use names::{Client, Pending, Place, Record, Request};
use netfilter::{Claim, Claimant, Filter, kind, loopback};
use types::Attachment;

use crate::doors;

/// Makes the names of `record` known to the daemon, which is started if there is none. Gives the
/// places at which it listens. `netns` is the container's namespace; to be called in the host's.
///
/// # Errors
/// As [`Client::register`].
pub fn register<'a>(
    client: &'a Client<'a>,
    record: &Record,
    netns: &Netns,
    undo: &mut Undo<'a>,
) -> Result<Vec<Place>, Error> {
    begin(client, record, undo)?.finish(netns)
}

/// As [`register`] for those who have something else to do until the daemon answers. Who needs no
/// answer any more calls [`Pending::give_up`] before `undo` runs on.
///
/// # Errors
/// As there.
pub fn begin<'a>(
    client: &'a Client<'a>,
    record: &Record,
    undo: &mut Undo<'a>,
) -> Result<Pending<'a>, Error> {
    let key = record.key.clone();
    let earlier = client.store().read(&key);
    undo.push(format!("forget the names of {key}"), move || {
        let Some(earlier) = earlier else { return Ok(client.remove(&key)?) };
        // An attachment that was there already keeps what it is called.
        client.store().write(&earlier)?;
        client.tell(&Request::Put(Box::new(earlier)))?;
        Ok(())
    });
    client.begin(record)
}

/// What leads the network's containers to the daemon, as a claim of its own; `None` where none is
/// needed. A plugin with a claim of another kind puts [`doors::resolvers`] into that.
#[must_use]
pub fn claim(record: &Record, places: &[Place]) -> Option<Claim> {
    let resolvers = doors::resolvers(places);
    if resolvers.is_empty() {
        return None;
    }
    let Record { key, netns, netns_id, .. } = record.clone();
    Some(Claim { resolvers, ..Claim::new(key, Claimant::Names, netns, netns_id) })
}

/// Redirects what containers of the network ask at the gateway, where they do; to be called in the
/// host's namespace.
///
/// # Errors
/// As [`Filter::add`].
pub fn redirect<'a>(
    host: &'a Host,
    record: &Record,
    places: &[Place],
    undo: &mut Undo<'a>,
) -> Result<(), Error> {
    let filter = Filter::open(&host.run_dir, &kind::Names)?;
    let key = record.key.clone();
    let Some(claim) = claim(record, places) else {
        if filter.store().read(&key, Claimant::Names).is_some() {
            filter.remove(&key, &[])?;
        }
        return Ok(());
    };
    filter.add(&claim)?;
    let (netns, run_dir) = (&host.netns, &host.run_dir);
    undo.push(format!("take back what leads {key} to its names"), move || {
        // By then the thread may be in the container.
        let taken_back = netns.run(|| {
            let filter = Filter::open(run_dir, &kind::Names)?;
            filter.remove(&key, &[]).map(drop)
        })?;
        Ok(taken_back?)
    });
    Ok(())
}

/// Leads 127.0.0.11 to the daemon; to be called in the container's namespace. `place` is that
/// namespace in words.
///
/// # Errors
/// When the packet filter refuses.
pub fn lead(
    key: &Attachment,
    places: &[Place],
    place: &str,
    undo: &mut Undo<'_>,
) -> Result<(), Error> {
    let Some(lead) = doors::lead(places) else { return Ok(()) };
    let socket =
        Socket::open_netfilter(place).map_err(|error| Error::from_chain(code::IO, &error))?;
    loopback::lead(&socket, key, &key.ifname, lead)?;
    let key = key.clone();
    undo.push(format!("take back what leads 127.0.0.11 of {key} to its names"), move || {
        Ok(loopback::remove(&socket, &key)?)
    });
    Ok(())
}
