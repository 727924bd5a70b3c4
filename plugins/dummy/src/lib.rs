//! `dummy`: a link with nothing at its other end, to hold addresses.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "service", "type": "dummy",
//!   "ipam": {"type": "static", "addresses": [{"address": "192.0.2.10/32"}]}
//! }
//! ```
//!
//! It connects the container to nothing: what is sent on the link is dropped.

pub mod config;
mod link;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::inside::{self, Adding};
use attach::ipam::{self, Ipam};
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, state};
use ipam_cni::{HostLocal, Static};
use kernel::addr::Dad;
use kernel::netns::Netns;

use crate::link::KIND;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Dummy;

impl Plugin for Dummy {
    fn name(&self) -> &'static str {
        "dummy"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::parse(network).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = config::parse(&call.config)?;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let addresses = Ipam::new(&config.ipam, &call.path, IN_PROCESS);
        let host = Host::open(state::run_dir())?;
        let adding = Adding {
            call,
            host: &host,
            netns: &netns,
            addresses: Some(&addresses),
            dns: config.dns.as_ref(),
            // Nobody is there to have the same address, or to learn of it.
            dad: Dad::Skip,
        };
        let name = &call.attachment.ifname;
        adding.run(|_| link::make(name, &netns, &host.socket), |_, _| Ok(()))
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        let run_dir = state::run_dir();
        ipam::del(call, IN_PROCESS, |addresses| inside::remove(call, KIND, addresses, &run_dir))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = config::parse(&call.config)?;
        Ipam::new(&config.ipam, &call.path, IN_PROCESS).check(call)?;
        link::compare(call)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || inside::sweep(call, KIND, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = config::parse(&call.config)?;
        link::serviceable()?;
        Ipam::new(&config.ipam, &call.path, IN_PROCESS).status(call)
    }
}
