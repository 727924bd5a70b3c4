//! Letting a container's packets through, and taking that back.

use std::net::IpAddr;
use std::path::Path;

use attach::host::sandbox_identity;
use attach::steps::{self, step};
use cni::{AddResult, Call, Error, code};
use firewalld::{Firewalld, Member, Zone};
use kernel::link::Deleter;
use kernel::undo::Undo;
use netfilter::claim::{Forward, Forwarder};
use netfilter::{Claim, Claimant, Filter, kind, reference};

use crate::config::{Backend, Config};

/// Lets packets through, or takes back whatever was done.
pub(crate) fn add(
    call: &Call,
    config: &Config,
    result: &AddResult,
    run_dir: &Path,
) -> Result<(), Error> {
    let forward = wanted(config, result)?;
    let netns_id = sandbox_identity(call)?;
    let key = call.attachment.clone();
    let mut claim = Claim::new(key, Claimant::Firewall, call.sandbox(), netns_id);
    claim.forward = Some(forward);
    steps::run(|undo| steps(&claim, run_dir, undo))
}

fn steps<'a>(claim: &'a Claim, run_dir: &'a Path, undo: &mut Undo<'a>) -> Result<(), Error> {
    let Some(forward) = &claim.forward else { return Ok(()) };
    step("filter");
    let filter = Filter::open(run_dir, &kind::Firewall)?;
    filter.add(claim)?;
    undo.push(format!("take back the forwarding of {}", claim.key), move || {
        Ok(filter.remove(&claim.key, &[]).map(drop)?)
    });
    if let Forwarder::Firewalld(zone) = &forward.by {
        step("firewalld");
        let mut firewalld = connected()?;
        let zone = parsed(zone)?;
        for address in &forward.addresses {
            let member = Member::Source(*address);
            if firewalld.add(&zone, &member).map_err(|e| refused(&e))? {
                let zone = zone.clone();
                undo.push(format!("remove source {address} from zone {zone}"), move || {
                    match Firewalld::connect()? {
                        Some(mut firewalld) => Ok(firewalld.remove(&zone, &member).map(drop)?),
                        None => Ok(()),
                    }
                });
            }
        }
    }
    step("done");
    Ok(())
}

/// What the configuration wants for a result.
fn wanted(config: &Config, result: &AddResult) -> Result<Forward, Error> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in result.ips.iter().map(|ip| ip.address.ip()) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    let by_firewalld = match config.backend {
        Backend::Chosen => firewalld::is_running().map_err(|e| refused(&e))?,
        Backend::Firewalld => true,
        Backend::Chains | Backend::Nobody => false,
    };
    let by = match (by_firewalld, config.backend) {
        (true, _) => Forwarder::Firewalld(config.zone.to_string()),
        (false, Backend::Nobody) => Forwarder::Nobody,
        (false, _) => Forwarder::Chains(config.admin_chain.clone()),
    };
    Ok(Forward { addresses, by, ingress: config.ingress, bridge: config.bridge()? })
}

fn connected() -> Result<Firewalld, Error> {
    Firewalld::connect().map_err(|e| refused(&e))?.ok_or_else(|| {
        Error::new(code::IO, "bind the container's addresses in firewalld: it does not run")
            .with_hint("start firewalld, or set \"backend\" to iptables")
    })
}

fn parsed(zone: &str) -> Result<Zone, Error> {
    zone.parse().map_err(|why| Error::new(code::INVALID_CONFIG, format!("zone \"{zone}\": {why}")))
}

/// firewalld's refusals in the protocol's terms.
pub(crate) fn refused(error: &firewalld::Error) -> Error {
    let code = if error.is_temporary() { code::TRY_AGAIN } else { code::IO };
    let told = Error::from_chain(code, error);
    match error.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// Takes back what `call` was let through.
pub(crate) fn remove(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let filter = Filter::open(run_dir, &kind::Firewall)?;
    let result = call.config.prev_result().ok().flatten().unwrap_or_default();
    let promised: Vec<IpAddr> = result.ips.iter().map(|ip| ip.address.ip()).collect();
    let removed = filter.remove(&call.attachment, &promised)?;
    let unbound = unbind(&removed);
    Deleter::detached(run_dir.join("deleter")).close_later(filter.into_socket());
    unbound
}

/// Removes the addresses of a claim that firewalld had from its zone.
pub(crate) fn unbind(removed: &netfilter::Removed) -> Result<(), Error> {
    let forward = removed.claim.as_ref().and_then(|claim| claim.forward.as_ref());
    let Some(Forward { by: Forwarder::Firewalld(zone), .. }) = forward else { return Ok(()) };
    // Where it does not run it has forgotten them.
    let Some(mut firewalld) = Firewalld::connect().map_err(|e| refused(&e))? else { return Ok(()) };
    let zone = parsed(zone)?;
    for address in &removed.addresses {
        firewalld.remove(&zone, &Member::Source(*address)).map_err(|e| refused(&e))?;
    }
    Ok(())
}

/// Compares what was let through with what is.
pub(crate) fn check(
    call: &Call,
    config: &Config,
    result: &AddResult,
    run_dir: &Path,
) -> Result<(), Error> {
    let filter = Filter::open(run_dir, &kind::Firewall)?;
    let wanted = wanted(config, result)?;
    let claim = filter.store().read(&call.attachment, Claimant::Firewall);
    let Some(claim) = claim else { return of_reference(&filter, &wanted) };
    filter.check(&claim)?;
    match claim.forward.as_ref() {
        Some(forward) => bound(forward),
        None => Ok(()),
    }
}

/// Compares what the reference made, in whatever layout.
fn of_reference(filter: &Filter, wanted: &Forward) -> Result<(), Error> {
    // What only a table of ours does, the reference left undone.
    if wanted.by == Forwarder::Nobody || kind::Firewall::is_forwarded(filter, wanted)? {
        return bound(wanted);
    }
    Ok(reference::firewall::check(filter.socket(), wanted, &[])?)
}

/// Claims that firewalld has the addresses of `forward`, if it is firewalld that forwards.
fn bound(forward: &Forward) -> Result<(), Error> {
    let Forwarder::Firewalld(zone) = &forward.by else { return Ok(()) };
    let zone = parsed(zone)?;
    let mut firewalld = connected()?;
    for address in &forward.addresses {
        let there =
            firewalld.contains(&zone, &Member::Source(*address)).map_err(|e| refused(&e))?;
        if !there {
            return Err(attach::verify::differs(format!(
                "zone {zone} of firewalld has no source {address} any more"
            )));
        }
    }
    Ok(())
}
