//! Reality against what ADD promised.

use attach::error::refused;
use attach::verify::differs;
use bridges::check as bridge;
use cni::{Call, Error, NetworkCall, code, state};
use forwarded::OnBridge;
use kernel::netlink::Socket;
use netfilter::tunnels::Guard;
use netfilter::{Filter, kind};
use peers::{NodeFile, SpoolRecord};
use published::plan;
use types::Cidr;

use crate::config::Config;
use crate::network::Network;
use crate::{NAME, data_path, names};

/// Compares everything of one attachment. The calling thread is in the container's namespace
/// afterwards.
pub(crate) fn compare(call: &Call, config: &Config) -> Result<(), Error> {
    let Some(result) = call.config.prev_result()? else {
        return Err(Error::new(code::INVALID_CONFIG, "required prevResult missing")
            .with_hint("CHECK needs the result of ADD in \"prevResult\""));
    };
    let name = &call.attachment.network;
    let run_dir = state::run_dir();
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let network = Network::settle(name, config, &host, &run_dir)?;
    let held = ipam_cni::network::held(call)?;
    for ip in &result.ips {
        let is_ours = network.blocks.iter().any(|block| block.cidr.contains(ip.address.ip()));
        if is_ours && !held.contains(&Cidr::host(ip.address.ip())) {
            return Err(differs(format!("the lease of {} is gone", ip.address.ip())));
        }
    }
    if let Some(difference) = data_path(&network, &host)? {
        return Err(differs(difference));
    }
    OnBridge::check(call, &result, &run_dir)?;
    if let Some(publication) = plan::on_bridge(&call.attachment, &result, &config.mappings) {
        published::apply::check(call, publication, &run_dir, |_, _| Ok(false))?;
    }
    let settings = names::settings(&call.config, &call.args_text)?;
    let record = match &settings {
        Some(settings) => naming::joined(call, settings, &result, (&run_dir, NAME))?,
        None => None,
    };
    if record.is_some()
        && network.has_daemon()
        && SpoolRecord::read(&run_dir, &call.attachment).is_none()
    {
        return Err(differs(format!("other hosts are not told the names of {}", call.attachment)));
    }
    bridge::compare(call, &network.bridge(name, config))?;
    record.map_or(Ok(()), |record| naming::led(&record, &call.sandbox()))
}

/// The first thing of devices, peers or guard that is not as it should be.
fn data_path(network: &Network, host: &Socket) -> Result<Option<String>, Error> {
    let Some(desired) = &network.desired else { return Ok(None) };
    let changes = tunnels::compare(host, desired).map_err(|e| data_path::told(&e))?;
    if let Some(change) = changes.first() {
        return Ok(Some(format!("the next ADD would change the network: {change}")));
    }
    let guard = Guard::open(&state::run_dir())?;
    Ok(match guard.holds(&desired.tunnels())? {
        true => None,
        false => Some("the guard of the network's packets is not complete".to_owned()),
    })
}

/// Whether ADD can be served.
pub(crate) fn serviceable(call: &NetworkCall, config: &Config) -> Result<(), Error> {
    let name = call.config.name();
    let settings = names::settings(&call.config, "").map_err(Error::unavailable)?;
    if settings.is_some_and(|settings| settings.required == naming::Required::Yes) {
        naming::available(&state::run_dir(), &call.path)?;
    }
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e).unavailable())?;
    if let crate::config::Store::Etcd(_) = config.store
        && !NodeFile::path(&state::run_dir(), name).exists()
    {
        // The first ADD lets the daemon take part in the network.
        overlays::Client::new(&state::run_dir(), &call.path).available()?;
        return ipam_cni::network::serviceable(name);
    }
    let network = Network::settle(name, config, &host, &state::run_dir());
    let network = network.map_err(Error::unavailable)?;
    network.may_add().map_err(|error| Error { code: code::LIMITED_CONNECTIVITY, ..error })?;
    bridge::serviceable(&network.bridge(name, config))?;
    ipam_cni::network::serviceable(name)?;
    if data_path::has_containers(&host, name)?
        && let Some(difference) = data_path(&network, &host).map_err(Error::unavailable)?
    {
        let text = format!("network {name} is not whole on this host: {difference}");
        return Err(
            Error::new(code::LIMITED_CONNECTIVITY, text).with_hint("the next ADD makes it whole")
        );
    }
    let filter = Filter::open(&state::run_dir(), &kind::Portmap);
    filter.and_then(|filter| filter.serviceable()).map_err(|e| Error::from(e).unavailable())
}
