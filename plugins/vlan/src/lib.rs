//! `vlan`: a container on a VLAN of a link of the host.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "lan", "type": "vlan", "master": "eth0", "vlanId": 50,
//!   "ipam": {"type": "host-local", "subnet": "192.0.2.0/24", "rangeStart": "192.0.2.200"}
//! }
//! ```
//!
//! A VLAN is one container's alone: a second one on the same master is refused by the kernel.

pub mod config;
mod link;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::ipam::{self, Ipam};
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, state};
use ipam_cni::{HostLocal, Static};
use kernel::netns::Netns;
use sublinks::apply::Adding;
use sublinks::remove::remove;
use sublinks::{check, gc};

use crate::link::KIND;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Vlan;

impl Plugin for Vlan {
    fn name(&self) -> &'static str {
        "vlan"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::parse(network).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let (config, vlan, ipam) = config::parse(&call.config)?;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let host = Host::open(state::run_dir())?;
        let addresses = Ipam::new(ipam, &call.path, IN_PROCESS);
        let adding = Adding {
            call,
            config: &config,
            sublink: &vlan,
            host: &host,
            netns: &netns,
            addresses: Some(&addresses),
        };
        adding.run()
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        ipam::del(call, IN_PROCESS, |addresses| remove(call, KIND, addresses, &state::run_dir()))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let (config, vlan, ipam) = config::parse(&call.config)?;
        Ipam::new(ipam, &call.path, IN_PROCESS).check(call)?;
        check::compare(call, &config, &vlan)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || gc::sweep(call, KIND, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let (config, _, ipam) = config::parse(&call.config)?;
        check::serviceable(&config)?;
        Ipam::new(ipam, &call.path, IN_PROCESS).status(call)
    }
}
