//! `bridge`: containers on one switch of the host, each through a veth pair.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "web", "type": "bridge", "bridge": "cni0",
//!   "isDefaultGateway": true,
//!   "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"}
//! }
//! ```
//!
//! It never changes the MTU of a bridge that exists and never deletes a link that is not the
//! attachment's. What it needs of the packet filter is in the tables `inet cais` and `bridge cais`.

mod apart;
pub mod config;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::ipam::{self, Addresses, Ipam};
use bridges::apply::Adding;
use bridges::check;
use bridges::plan::Links;
use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, NetworkCall, Plugin, state};
use ipam_cni::{HostLocal, Static};
use kernel::netns::Netns;
use netfilter::kind::{self, Kind};
use pairs::gc;
use pairs::remove::remove;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Bridge;

impl Plugin for Bridge {
    fn name(&self) -> &'static str {
        "bridge"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::parse(network, &Args::default()).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = config::parse(&call.config, &call.args(&["MAC"])?)?;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let ipam = config.ipam.as_ref().map(|kind| Ipam::new(kind, &call.path, IN_PROCESS));
        let host = Host::open(state::run_dir())?;
        let adding = Adding {
            call,
            config: &config,
            links: &Links::new(&config, &call.attachment),
            host: &host,
            netns: &netns,
            addresses: ipam.as_ref().map(|ipam| ipam as &dyn Addresses),
            more: None,
        };
        adding.run()
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        let asks = (&kind::Interface as &dyn Kind, asks(&call.config), Vec::new());
        ipam::del(call, IN_PROCESS, |addresses| remove(call, addresses, asks, &state::run_dir()))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = config::parse(&call.config, &call.args(&["MAC"])?)?;
        if let Some(kind) = &config.ipam {
            Ipam::new(kind, &call.path, IN_PROCESS).check(call)?;
        }
        check::compare(call, &config)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || gc::sweep(&kind::Interface, call, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = config::parse(&call.config, &Args::default())?;
        check::serviceable(&config)?;
        match &config.ipam {
            None => Ok(()),
            Some(kind) => Ipam::new(kind, &call.path, IN_PROCESS).status(call),
        }
    }
}

/// Whether a configuration, whatever else is wrong with it, may ask for something of the packet
/// filter.
fn asks(network: &cni::Config) -> bool {
    let Ok(keys) = network.object() else { return true };
    let on = |key| keys.flag(key).unwrap_or(true);
    let ours = ["isolate", "internal", "icc", "gatewayMode"];
    on("ipMasq") || on("macspoofchk") || ours.into_iter().any(|key| keys.has(key))
}
