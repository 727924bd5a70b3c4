//! Publishing what the plan says, and taking it back.

use std::path::Path;

use attach::error::refused;
use attach::host::sandbox_identity;
use attach::steps::{self, step};
use cni::{Call, Error, code};
use kernel::link::{self, Deleter};
use kernel::netlink::Socket;
use kernel::route;
use kernel::undo::Undo;
use netfilter::claim::{Linked, Ports, Proxied, ReferencePorts};
use netfilter::{
    Claim, Claimant, Entrance, Filter, Masquerade, Publication, Removed, Store, kind, localnet,
};
use proxy::{Client, serve_published};
use types::{Attachment, Family, IfName};

use crate::config::Config;
use crate::{connections, listeners};

/// Publishes everything, or takes back whatever was done.
pub(crate) fn add(
    call: &Call,
    config: &Config,
    publication: Publication,
    run_dir: &Path,
) -> Result<(), Error> {
    let filter = Filter::open(run_dir, &kind::Portmap)?;
    let claim = claim(call, config, publication, &filter)?;
    if let Some(ports) = claim.ports.as_ref().filter(|ports| ports.entrance == Entrance::Host) {
        listeners::look(&ports.publication, config.on_listener)?;
    }
    let client = Client::new(run_dir, &call.path);
    steps::run(|undo| steps(claim, &client, &filter, undo))
}

fn steps<'a>(
    mut claim: Claim,
    client: &'a Client<'a>,
    filter: &'a Filter,
    undo: &mut Undo<'a>,
) -> Result<(), Error> {
    let key = claim.key.clone();
    step("proxy");
    if let Some(ports) = claim.ports.as_mut().filter(|ports| ports.entrance == Entrance::Host) {
        undo.push(format!("stop the proxy for {key}"), {
            let key = key.clone();
            move || Ok(client.drop(&key)?)
        });
        // Without it the container is reached on all ways but those that the reference lacks, too.
        match still_served(client, filter, &ports.publication) {
            Some(proxied) => ports.proxied = proxied,
            None => match serve_published(client, &ports.publication) {
                Ok(proxied) => ports.proxied = proxied,
                Err(error) => cni::warn("portmap", &error.msg),
            },
        }
    }
    step("filter");
    filter.add(&claim)?;
    undo.push(format!("take back the ports of {key}"), move || {
        Ok(filter.remove(&key, &[]).map(drop)?)
    });
    if let Some(ports) = &claim.ports {
        step("localhost");
        if let Some(link) = &ports.link {
            localnet::open(link).map_err(|e| Error::from_chain(code::IO, &e))?;
        }
        step("connections");
        connections::forget_others(filter.socket(), &ports.publication)?;
    }
    step("done");
    Ok(())
}

/// What the proxy serves since an earlier ADD of the same ports, if it does.
fn still_served(
    client: &Client<'_>,
    filter: &Filter,
    publication: &Publication,
) -> Option<Vec<Proxied>> {
    let earlier = filter.store().read(&publication.key, Claimant::Portmap)?.ports?;
    if earlier.publication != *publication || earlier.proxied.is_empty() {
        return None;
    }
    let (_, served) = client.list().ok()??;
    let of_key = served.iter().filter(|served| served.key == publication.key).count();
    (of_key == earlier.proxied.len()).then_some(earlier.proxied)
}

/// What the attachment wants, with what the host says of it.
fn claim(
    call: &Call,
    config: &Config,
    publication: Publication,
    filter: &Filter,
) -> Result<Claim, Error> {
    let netns_id = sandbox_identity(call)?;
    let key = call.attachment.clone();
    let mut claim = Claim::new(key, Claimant::Portmap, call.sandbox(), netns_id);
    let mut ports = Ports::of(publication);
    ports.entrance = entrance(&call.attachment, filter.store());
    if ports.entrance != Entrance::Host {
        claim.ports = Some(ports);
        return Ok(claim);
    }
    if ports.publication.masquerade != Masquerade::Nobody
        && ports.publication.mappings.iter().any(|mapping| mapping.serves(Family::V4))
    {
        ports.link = link_to(&ports.publication)?;
        if let Some(link) = &ports.link {
            // By an earlier attachment, perhaps, which this one may outlive.
            ports.link_opened = localnet::is_closed(link) || filter.has_opened(link)?;
        }
    }
    if config.reference_chains {
        let (mark_bit, set_mark_chain) = (config.mark_bit, config.set_mark_chain.clone());
        let linked = Linked::No;
        ports.reference = Some(ReferencePorts { mark_bit, set_mark_chain, linked });
    }
    claim.ports = Some(ports);
    Ok(claim)
}

/// Where clients come in: the interface plugin said to which class of network the container
/// belongs. Where it said nothing, at the host, as with the reference.
fn entrance(key: &Attachment, store: &Store) -> Entrance {
    let claim = store.read(key, Claimant::Interface);
    let isolation = claim.and_then(|claim| claim.isolation);
    isolation.map_or(Entrance::Host, |isolation| isolation.class.entrance())
}

/// The host's link that leads to the container.
fn link_to(publication: &Publication) -> Result<Option<IfName>, Error> {
    let Some(target) = publication.v4 else { return Ok(None) };
    let socket = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let route = route::get(&socket, target.ip()).map_err(|e| refused(&e))?;
    let Some(index) = route.and_then(|route| route.dev) else { return Ok(None) };
    let link = link::find(&socket, index).map_err(|e| refused(&e))?;
    Ok(link.and_then(|link| link.dev.name.parse().ok()))
}

/// Takes back what `call` published, remembered or not.
pub(crate) fn remove(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let filter = Filter::open(run_dir, &kind::Portmap)?;
    let removed = filter.remove(&call.attachment, &[])?;
    let stopped = Client::new(run_dir, &call.path).drop(&call.attachment);
    let forgotten = forget(&filter, &removed);
    Deleter::detached(run_dir.join("deleter")).close_later(filter.into_socket());
    Error::joined([stopped, forgotten].into_iter().filter_map(Result::err).collect())
        .map_or(Ok(()), Err)
}

/// Forgets flows to ports that are not published any more.
pub(crate) fn forget(filter: &Filter, removed: &Removed) -> Result<(), Error> {
    let ports = removed.claim.as_ref().and_then(|claim| claim.ports.as_ref());
    ports.map_or(Ok(()), |ports| connections::forget_own(filter.socket(), &ports.publication))
}
