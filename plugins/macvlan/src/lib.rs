//! `macvlan`: containers on the wire of a link of the host, each with an Ethernet address of its own.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "lan", "type": "macvlan", "master": "eth0",
//!   "ipam": {"type": "host-local", "subnet": "192.0.2.0/24", "rangeStart": "192.0.2.200"}
//! }
//! ```
//!
//! It never changes the master. The kernel lets nothing pass between the host itself and the
//! containers on its link.

pub mod config;
mod link;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::ipam::{self, Addresses, Ipam};
use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, NetworkCall, Plugin, state};
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
pub struct Macvlan;

impl Plugin for Macvlan {
    fn name(&self) -> &'static str {
        "macvlan"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::parse(network, &Args::default()).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let (config, macvlan) = config::parse(&call.config, &call.args(&["MAC"])?)?;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let ipam = config.ipam.as_ref().map(|kind| Ipam::new(kind, &call.path, IN_PROCESS));
        let host = Host::open(state::run_dir())?;
        let adding = Adding {
            call,
            config: &config,
            sublink: &macvlan,
            host: &host,
            netns: &netns,
            addresses: ipam.as_ref().map(|ipam| ipam as &dyn Addresses),
        };
        adding.run()
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        ipam::del(call, IN_PROCESS, |addresses| remove(call, KIND, addresses, &state::run_dir()))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let (config, macvlan) = config::parse(&call.config, &call.args(&["MAC"])?)?;
        if let Some(kind) = &config.ipam {
            Ipam::new(kind, &call.path, IN_PROCESS).check(call)?;
        }
        check::compare(call, &config, &macvlan)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || gc::sweep(call, KIND, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let (config, _) = config::parse(&call.config, &Args::default())?;
        check::serviceable(&config)?;
        match &config.ipam {
            None => Ok(()),
            Some(kind) => Ipam::new(kind, &call.path, IN_PROCESS).status(call),
        }
    }
}
