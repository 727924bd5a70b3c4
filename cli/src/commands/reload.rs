use std::process::ExitCode;

use cni::runtime::directory;
use cni::{Error, code, state};
use firewalld::{Firewalld, Member, Zone};
use netfilter::claim::{Entrance, Forwarder};
use netfilter::{Claim, Filter, kind};
use proxy::{Client, serve_published};

use crate::fault::Done;
use crate::output;
use crate::session::Session;

/// `cais reload`.
pub(crate) fn run(session: &Session) -> Done {
    let run_dir = state::run_dir();
    let filter = Filter::open(&run_dir, &kind::Portmap)?;
    // First what serves most: the tables, in one transaction.
    let mut claims = filter.reload()?;
    let mut errors = Vec::new();
    for claim in &mut claims {
        errors.extend(proxied(&filter, claim).err());
        errors.extend(bound(claim).err());
    }
    if let Some(error) = Error::joined(errors) {
        return Err(error.into());
    }
    if session.json {
        let keys: Vec<String> = claims.iter().map(name).collect();
        output::json(&serde_json::json!({ "restored": keys }))?;
    } else {
        let text: String =
            claims.iter().map(|claim| format!("restored {}\n", name(claim))).collect();
        output::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn name(claim: &Claim) -> String {
    format!("{} {}", claim.claimant.name(), claim.key)
}

/// Has the proxy serve again what it was told, if it was killed meanwhile.
fn proxied(filter: &Filter, claim: &mut Claim) -> Result<(), Error> {
    let run_dir = state::run_dir();
    let plugins = directory::plugin_dirs();
    let client = Client::new(&run_dir, &plugins);
    let Some(ports) = claim.ports.as_mut().filter(|ports| ports.entrance == Entrance::Host) else {
        return Ok(());
    };
    if ports.proxied.is_empty() {
        return Ok(());
    }
    let served = client.list()?.map(|(_, served)| served).unwrap_or_default();
    if served.iter().any(|served| served.key == claim.key) {
        return Ok(());
    }
    ports.proxied = serve_published(&client, &ports.publication)?;
    Ok(filter.add(claim)?)
}

/// Gives addresses back to firewalld, which forgets them when it reloads.
fn bound(claim: &Claim) -> Result<(), Error> {
    let Some(forward) = &claim.forward else { return Ok(()) };
    let Forwarder::Firewalld(zone) = &forward.by else { return Ok(()) };
    let failed = |e: &firewalld::Error| Error::from_chain(code::IO, e);
    let Some(mut firewalld) = Firewalld::connect().map_err(|e| failed(&e))? else { return Ok(()) };
    let zone: Zone = zone
        .parse()
        .map_err(|why| Error::new(code::INVALID_CONFIG, format!("zone \"{zone}\": {why}")))?;
    for address in &forward.addresses {
        firewalld.add(&zone, &Member::Source(*address)).map_err(|e| failed(&e))?;
    }
    Ok(())
}
