//! `tap`: a link in the container whose other end is a program, such as a virtual machine.
//!
//! ```json
//! {
//!   "cniVersion": "1.1.0", "name": "vm", "type": "tap", "owner": 107, "group": 107,
//!   "multiQueue": true
//! }
//! ```
//!
//! It opens no queue of the tap: that is what the program behind it does.

pub mod config;
mod link;
#[cfg(test)]
mod tests;

use attach::error::no_netns;
use attach::host::Host;
use attach::inside::{self, Adding};
use attach::ipam::{self, Addresses, Ipam};
use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, NetworkCall, Plugin, code, state};
use ipam_cni::{HostLocal, Static};
use kernel::addr::Dad;
use kernel::link::taps_are_there;
use kernel::netns::Netns;

use crate::link::KIND;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Tap;

impl Plugin for Tap {
    fn name(&self) -> &'static str {
        "tap"
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
            host: &host,
            netns: &netns,
            addresses: ipam.as_ref().map(|ipam| ipam as &dyn Addresses),
            dns: config.dns.as_ref(),
            dad: Dad::Detect,
        };
        adding.run(
            |_| link::make(&config, &call.attachment.ifname, &netns),
            |inside, link| link::dress(&config, inside, link),
        )
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        let run_dir = state::run_dir();
        ipam::del(call, IN_PROCESS, |addresses| inside::remove(call, KIND, addresses, &run_dir))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = config::parse(&call.config, &call.args(&["MAC"])?)?;
        if let Some(kind) = &config.ipam {
            Ipam::new(kind, &call.path, IN_PROCESS).check(call)?;
        }
        link::compare(call, &config)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || inside::sweep(call, KIND, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = config::parse(&call.config, &Args::default())?;
        taps_are_there().map_err(|e| {
            let told = Error::new(code::IO, format!("open /dev/net/tun: {e}"));
            told.with_hint("load the kernel module `tun`").unavailable()
        })?;
        match &config.ipam {
            None => Ok(()),
            Some(kind) => Ipam::new(kind, &call.path, IN_PROCESS).status(call),
        }
    }
}
