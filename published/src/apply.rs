//! Publishing what the plan says, and taking it back.

use std::path::Path;

use attach::error::{no_netns, refused};
use attach::host::{deleter, sandbox_identity};
use attach::steps::step;
use attach::verify::differs;
use cni::{Call, Error, code};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::route;
use kernel::undo::Undo;
use netfilter::claim::{Ports, Proxied, ReferencePorts};
use netfilter::{
    Claim, Claimant, Entrance, Filter, Masquerade, Publication, Removed, Store, kind, localnet,
};
use proxy::{Client, serve_published};
use types::{Attachment, Family, IfName};

use crate::listeners::OnListener;
use crate::{connections, listeners};

/// What a plugin wants published for one attachment, and how.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What leads where.
    pub publication: Publication,
    /// How the reference's chains are written; `None` where they are not.
    pub reference: Option<ReferencePorts>,
    /// What to do about a program of the host that has the port.
    pub on_listener: OnListener,
}

/// Publishes ports in the steps of an ADD. Made on the host.
#[derive(Debug)]
pub struct Publisher<'a> {
    call: &'a Call,
    plugin: &'static str,
    run_dir: &'a Path,
    host: Netns,
    client: Client<'a>,
    filter: Filter,
}

impl<'a> Publisher<'a> {
    /// Opens the packet filter of the host for `plugin`, with what is remembered below `run_dir`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(call: &'a Call, plugin: &'static str, run_dir: &'a Path) -> Result<Self, Error> {
        let filter = Filter::open(run_dir, &kind::Portmap)?;
        let host = Netns::current().map_err(|e| no_netns(&e))?;
        Ok(Self { call, plugin, run_dir, host, client: Client::new(run_dir, &call.path), filter })
    }

    /// Publishes everything; each step pushes its inverse.
    ///
    /// # Errors
    /// [`netfilter::Error::Taken`] and what else went wrong.
    pub fn publish(&'a self, wanted: &Wanted, undo: &mut Undo<'a>) -> Result<(), Error> {
        let mut claim = claim(self.call, wanted, &self.filter)?;
        let key = claim.key.clone();
        if let Some(ports) = claim.ports.as_mut().filter(|p| p.entrance == Entrance::Host) {
            listeners::look(&ports.publication, wanted.on_listener, self.plugin)?;
            step("proxy");
            self.serve(ports, undo);
        }
        step("filter");
        self.filter.add(&claim)?;
        undo.push(format!("take back the ports of {key}"), move || {
            // By then the thread may be in the container, whose switches and tables are others.
            let remove = || Filter::open(self.run_dir, &kind::Portmap)?.remove(&key, &[]);
            Ok(self.host.run(remove)?.map(drop)?)
        });
        if let Some(ports) = &claim.ports {
            step("localhost");
            if let Some(link) = ports.link.as_ref().filter(|link| localnet::is_closed(link)) {
                localnet::open(link).map_err(|e| Error::from_chain(code::IO, &e))?;
            }
            step("connections");
            connections::forget_others(self.filter.socket(), &ports.publication)?;
        }
        Ok(())
    }

    /// Has the proxy serve what the kernel cannot lead to the container. Without it the container is
    /// reached on all ways but those that the reference lacks, too.
    fn serve(&'a self, ports: &mut Ports, undo: &mut Undo<'a>) {
        let key = ports.publication.key.clone();
        undo.push(format!("stop the proxy for {key}"), move || Ok(self.client.drop(&key)?));
        match still_served(&self.client, &self.filter, &ports.publication) {
            Some(proxied) => ports.proxied = proxied,
            None => match serve_published(&self.client, &ports.publication) {
                Ok(proxied) => ports.proxied = proxied,
                Err(error) => cni::warn(self.plugin, &error.msg),
            },
        }
    }
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
fn claim(call: &Call, wanted: &Wanted, filter: &Filter) -> Result<Claim, Error> {
    let netns_id = sandbox_identity(call)?;
    let key = call.attachment.clone();
    let mut claim = Claim::new(key, Claimant::Portmap, call.sandbox(), netns_id);
    let mut ports = Ports::of(wanted.publication.clone());
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
    ports.reference = wanted.reference.clone();
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

/// Compares what `call` published with what is. What nobody remembers is `unremembered`'s to find.
///
/// # Errors
/// Code 101 with the first difference, and what cannot be asked.
pub fn check(
    call: &Call,
    publication: Publication,
    run_dir: &Path,
    unremembered: impl FnOnce(&Filter, &Publication) -> Result<bool, Error>,
) -> Result<(), Error> {
    let filter = Filter::open(run_dir, &kind::Portmap)?;
    let Some(mut claim) = filter.store().read(&call.attachment, Claimant::Portmap) else {
        return match unremembered(&filter, &publication)? {
            true => Ok(()),
            false => Err(differs(format!("no ports of {} are published", call.attachment))),
        };
    };
    if let Some(ports) = &mut claim.ports {
        ports.publication = publication;
    }
    Ok(filter.check(&claim)?)
}

/// Takes back what `call` published, remembered or not.
///
/// # Errors
/// What went wrong, joined.
pub fn remove(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let (socket, outcome) = take_back(call, run_dir);
    if let Some(socket) = socket {
        deleter(run_dir).close_later(vec![socket]);
    }
    outcome
}

/// As [`remove`], with what went wrong beside the socket of the packet filter. It is to be kept open
/// while the kernel frees what was deleted.
pub fn take_back(call: &Call, run_dir: &Path) -> (Option<Socket>, Result<(), Error>) {
    let removed = Filter::open(run_dir, &kind::Portmap)
        .and_then(|filter| Ok((filter.remove(&call.attachment, &[])?, filter)));
    let (removed, filter) = match removed {
        Ok(done) => done,
        Err(error) => return (None, Err(error.into())),
    };
    let stopped = stop(call, run_dir);
    let forgotten = forget(&filter, &removed);
    (Some(filter.into_socket()), Error::all([stopped, forgotten]))
}

/// Has the proxy serve nothing of `call` any more.
///
/// # Errors
/// When it cannot be told.
pub fn stop(call: &Call, run_dir: &Path) -> Result<(), Error> {
    Client::new(run_dir, &call.path).drop(&call.attachment)
}

/// Forgets flows to ports that are not published any more.
pub(crate) fn forget(filter: &Filter, removed: &Removed) -> Result<(), Error> {
    let ports = removed.claim.as_ref().and_then(|claim| claim.ports.as_ref());
    ports.map_or(Ok(()), |ports| connections::forget_own(filter.socket(), &ports.publication))
}
