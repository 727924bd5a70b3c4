//! `ptp`: each container on a wire of its own to the host, which routes to it.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "routed", "type": "ptp", "ipMasq": true,
//!   "ipam": {"type": "host-local", "subnet": "10.1.1.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
//! }
//! ```
//!
//! It makes no layer 2 network: containers reach each other by way of the host, even those of one
//! subnet. Without addresses there is nothing to route, so it needs an IPAM plugin.

mod apply;
mod check;
pub mod config;
mod plan;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::ipam::{self, Ipam};
use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, NetworkCall, Plugin, state};
use ipam_cni::{HostLocal, Static};
use kernel::netns::Netns;
use netfilter::kind;
use pairs::gc;
use pairs::remove::remove;

use crate::apply::Adding;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Ptp;

impl Plugin for Ptp {
    fn name(&self) -> &'static str {
        "ptp"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::parse(network, &Args::default()).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        // As with the reference, which does not look at it, nothing else in CNI_ARGS is refused.
        let config = config::parse(&call.config, &Args::lenient(&call.args_text))?;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let host = Host::open(state::run_dir())?;
        let addresses = Ipam::new(&config.ipam, &call.path, IN_PROCESS);
        let adding =
            Adding { call, config: &config, host: &host, netns: &netns, addresses: &addresses };
        adding.run()
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        let asks = call.config.object().and_then(|keys| keys.flag("ipMasq")).unwrap_or(true);
        ipam::del(call, IN_PROCESS, |addresses| {
            remove(call, addresses, (&kind::Interface, asks, Vec::new()), &state::run_dir())
        })
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = config::parse(&call.config, &Args::lenient(&call.args_text))?;
        Ipam::new(&config.ipam, &call.path, IN_PROCESS).check(call)?;
        check::compare(call, &config)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || gc::sweep(&kind::Interface, call, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = config::parse(&call.config, &Args::default())?;
        Ipam::new(&config.ipam, &call.path, IN_PROCESS).status(call)
    }
}
