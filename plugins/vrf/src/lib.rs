//! `vrf`: an interface looks up its routes in a table of its own group.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "blue", "plugins": [
//!   {"type": "macvlan", "master": "eth1", "ipam": {"type": "dhcp"}},
//!   {"type": "vrf", "vrfname": "blue"}]}
//! ```
//!
//! The interface that an earlier plugin made joins a VRF of its container, which is made when it is
//! missing and goes with its last member. It refuses interfaces that have another master, and works
//! only inside of the container.

mod apply;
mod check;
mod config;
mod gc;
mod plan;
mod remove;
#[cfg(test)]
mod tests;

use attach::chained;
use attach::error::{no_netns, refused};
use cni::schema::Key;
use cni::{AddResult, Call, Config as Network, Error, NetworkCall, Plugin};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns;
use types::IfName;

use crate::config::{Config, KEYS};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Vrf;

impl Plugin for Vrf {
    fn name(&self) -> &'static str {
        "vrf"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self, network: &Network) -> Result<(), Error> {
        Config::parse(network)?;
        network.prev_result().map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config)?;
        let result = chained::prev_result(&call.config, self.name())?;
        apply::add(call, &config)?;
        Ok(result)
    }

    /// What cannot be read of the configuration counts as not given.
    fn del(&self, call: &Call) -> Result<(), Error> {
        remove::remove(call)
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config)?;
        let result = chained::prev_result(&call.config, self.name())?;
        check::compare(call, &config, &result)
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        gc::sweep(call)
    }

    /// Makes a VRF in a namespace that goes at once.
    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        Config::parse(&call.config)?;
        let scratch = netns::create_unnamed().map_err(|e| no_netns(&e).unavailable())?;
        let host = Socket::open("the host's namespace").map_err(|e| refused(&e).unavailable())?;
        let name: IfName = self.name().parse().expect("three letters are an interface name");
        let create = link::Vrf::new(name, 1).netns(&scratch).create();
        host.run(&create).map_err(|e| refused(&e).unavailable())
    }
}
