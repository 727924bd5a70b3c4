//! Reality against what ADD promised.

use attach::verify::differs;
use bridges::check as bridge;
use cni::{Call, Error, NetworkCall, code, state};
use forwarded::OnBridge;
use netfilter::{Filter, kind};
use published::plan;
use types::Cidr;

use crate::config::Config;
use crate::registry::Registry;
use crate::{host, names};

/// Compares everything of one attachment. The calling thread is in the container's namespace
/// afterwards.
pub(crate) fn compare(call: &Call, config: &Config) -> Result<(), Error> {
    let Some(result) = call.config.prev_result()? else {
        return Err(Error::new(code::INVALID_CONFIG, "required prevResult missing")
            .with_hint("CHECK needs the result of ADD in \"prevResult\""));
    };
    let name = &call.attachment.network;
    let Some(network) = Registry::under(&state::lib_dir()).known(name, config)? else {
        return Err(differs(format!("network {name} has other subnets or another bridge")));
    };
    let held = ipam_cni::network::held(call)?;
    for ip in &result.ips {
        let is_ours = network.subnets.iter().any(|subnet| subnet.subnet.contains(ip.address.ip()));
        if is_ours && !held.contains(&Cidr::host(ip.address.ip())) {
            return Err(differs(format!("the lease of {} is gone", ip.address.ip())));
        }
    }
    let run_dir = state::run_dir();
    OnBridge::check(call, &result, &run_dir)?;
    if let Some(publication) = plan::on_bridge(&call.attachment, &result, &config.mappings) {
        published::apply::check(call, publication, &run_dir, |_, _| Ok(false))?;
    }
    let settings = names::settings(&call.config, &call.args_text, config)?;
    let record = naming::joined(call, &settings, &result, (&run_dir, names::NAME))?;
    bridge::compare(call, &host::bridge(name, config, &network, None))?;
    record.map_or(Ok(()), |record| naming::led(&record, &call.sandbox()))
}

/// Whether ADD can be served.
pub(crate) fn serviceable(call: &NetworkCall, config: &Config) -> Result<(), Error> {
    let name = call.config.name();
    let registry = Registry::under(&state::lib_dir());
    let network = registry.known(name, config).map_err(Error::unavailable)?;
    if let Some(network) = &network {
        bridge::serviceable(&host::bridge(name, config, network, None))?;
    }
    ipam_cni::network::serviceable(name)?;
    let settings = names::settings(&call.config, "", config).map_err(Error::unavailable)?;
    if settings.required == naming::Required::Yes {
        naming::available(&state::run_dir(), &call.path)?;
    }
    let filter = Filter::open(&state::run_dir(), &kind::Portmap);
    filter.and_then(|filter| filter.serviceable()).map_err(|e| Error::from(e).unavailable())
}
