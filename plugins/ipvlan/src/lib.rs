//! `ipvlan`: containers on the wire of a link of the host, behind the Ethernet address that it has.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "lan", "type": "ipvlan", "master": "eth0",
//!   "ipam": {"type": "host-local", "subnet": "192.0.2.0/24", "rangeStart": "192.0.2.200"}
//! }
//! ```
//!
//! The kernel lets nothing pass between the host itself and the containers on its link. Mode and flag
//! are the master's: it has those of the container that came last.

mod chain;
pub mod config;
mod link;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::ipam::{self, Addresses, Ipam};
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, state};
use ipam_cni::{HostLocal, Static};
use kernel::netns::Netns;
use sublinks::apply::Adding;
use sublinks::remove::remove;
use sublinks::{check, gc};

use crate::chain::Previous;
use crate::link::KIND;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Ipvlan;

impl Plugin for Ipvlan {
    fn name(&self) -> &'static str {
        "ipvlan"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::parse(network)?;
        network.prev_result().map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let (mut config, ipvlan) = config::parse(&call.config)?;
        let previous = call.config.prev_result()?;
        if let (None, Some(result)) = (&config.master.name, &previous) {
            config.master.name = Some(chain::master(result)?);
        }
        let addresses: Box<dyn Addresses + '_> = match &config.ipam {
            Some(kind) => Box::new(Ipam::new(kind, &call.path, IN_PROCESS)),
            None => Box::new(Previous::of(previous)?),
        };
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let host = Host::open(state::run_dir())?;
        let adding = Adding {
            call,
            config: &config,
            sublink: &ipvlan,
            host: &host,
            netns: &netns,
            addresses: Some(&*addresses),
        };
        adding.run()
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        ipam::del(call, IN_PROCESS, |addresses| remove(call, KIND, addresses, &state::run_dir()))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let (config, ipvlan) = config::parse(&call.config)?;
        if let Some(kind) = &config.ipam {
            Ipam::new(kind, &call.path, IN_PROCESS).check(call)?;
        }
        check::compare(call, &config, &ipvlan)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || gc::sweep(call, KIND, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let (config, _) = config::parse(&call.config)?;
        if let (None, None) = (&config.master.name, &config.ipam) {
            // It comes after a plugin whose interface is the master, and STATUS is told of none.
            return Ok(());
        }
        check::serviceable(&config)?;
        match &config.ipam {
            None => Ok(()),
            Some(kind) => Ipam::new(kind, &call.path, IN_PROCESS).status(call),
        }
    }
}
