//! Publishing what the plan says, and taking it back.

use std::path::Path;

use attach::error::{no_netns, refused};
use cni::record::{NetnsId, boot_id};
use cni::{Call, Error, code};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::route;
use kernel::undo::Undo;
use netfilter::claim::{Ports, ReferencePorts};
use netfilter::{Claim, Claimant, Filter, Masquerade, Publication, localnet};
use types::{Family, IfName};

use crate::config::Config;

/// Publishes everything, or takes back whatever was done.
pub(crate) fn add(
    call: &Call,
    config: &Config,
    publication: Publication,
    run_dir: &Path,
) -> Result<(), Error> {
    let filter = Filter::open(run_dir)?;
    let claim = claim(call, config, publication, &filter)?;
    Undo::run(|undo| steps(&claim, &filter, undo)).map_err(|failure| {
        failure
            .leftovers
            .iter()
            .fold(failure.error, |e, left| e.with_details(format!("while undoing: {left}")))
    })
}

fn steps<'a>(claim: &'a Claim, filter: &'a Filter, undo: &mut Undo<'a>) -> Result<(), Error> {
    step("filter");
    filter.add(claim, |_| {})?;
    undo.push(format!("take back the ports of {}", claim.key), move || {
        Ok(filter.remove(&claim.key, claim.claimant, |_, _| {}).map(drop)?)
    });
    step("localhost");
    if let Some(link) = claim.ports.as_ref().and_then(|ports| ports.link.as_ref()) {
        localnet::open(link).map_err(|e| Error::from_chain(code::IO, &e))?;
    }
    step("done");
    Ok(())
}

/// What the attachment wants, with what the host says of it.
fn claim(
    call: &Call,
    config: &Config,
    publication: Publication,
    filter: &Filter,
) -> Result<Claim, Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    let failed = |e| Error::new(code::IO, format!("identify {}: {e}", call.sandbox()));
    let inode = netns.inode().map_err(failed)?;
    let netns_id = NetnsId { inode, boot: boot_id().map_err(failed)? };
    let key = call.attachment.clone();
    let mut claim = Claim::new(key, Claimant::Portmap, call.sandbox(), netns_id);
    let mut ports = Ports::of(publication);
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
        ports.reference = Some(ReferencePorts { mark_bit, set_mark_chain });
    }
    claim.ports = Some(ports);
    Ok(claim)
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
    let filter = Filter::open(run_dir)?;
    filter.remove(&call.attachment, Claimant::Portmap, |_, _| {})?;
    Ok(())
}

/// Where tests make ADD panic (`CAIS_PANIC_AT`, debug builds only), to see it undone.
fn step(_name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("CAIS_PANIC_AT").is_some_and(|at| at == _name) {
        panic!("told to panic at step {_name}");
    }
}
